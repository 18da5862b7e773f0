// Devices of which the same is to be said: one problem names them all.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// Groups in the order in which their first device came.
template <class Finding>
class Alike {
 public:
  using Group = std::pair<Finding, std::vector<NodeId>>;

  void add(const Finding& finding, NodeId node) {
    auto group = std::find_if(groups_.begin(), groups_.end(),
                              [&](const Group& known) { return known.first == finding; });
    if (group == groups_.end()) group = groups_.insert(groups_.end(), Group{finding, {}});
    group->second.push_back(node);
  }
  auto begin() const { return groups_.begin(); }
  auto end() const { return groups_.end(); }
  std::size_t size() const { return groups_.size(); }

 private:
  std::vector<Group> groups_;
};

}  // namespace lockstep::topology
