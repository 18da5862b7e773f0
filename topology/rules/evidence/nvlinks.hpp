// Who has how many NVLinks (or xGMI links) to whom, and what does not add up.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// Links of which the graph has nothing, since nobody knows where they lead.
std::int64_t leadingNowhere(const Graph& graph, NodeId gpu);

/// Links that a peer says it has to this GPU, and this GPU does not say it has. Of a GPU some of
/// whose links lead nowhere one cannot tell.
struct Untold {
  NodeId gpu = kNone;
  NodeId peer = kNone;
  LinkKind kind = LinkKind::nvlink;
  std::int64_t says = 0;
  std::int64_t peerSays = 0;
};
std::vector<Untold> untoldLinks(const Graph& graph);

/// An NVSwitch to which most GPUs of a machine have fewer links than links are spread over its
/// siblings. 5, 5, 4, 4 is even (18 links over four switches), and so is 2, 2, 1, 1, 1, 1; 5, 5,
/// 4, 3 is not, nor is 9, 8.
struct ThinSwitch {
  NodeId chip = kNone;
  std::int64_t has = 0;       ///< links of most GPUs to it
  std::int64_t expected = 0;  ///< at least
  std::vector<NodeId> gpus;   ///< those with fewer than expected
};
std::vector<ThinSwitch> thinSwitches(const Graph& graph);

/// Of one GPU, by its own words.
struct Linkage {
  NodeId gpu = kNone;
  std::int64_t active = 0;            ///< wherever they lead
  std::map<NodeId, std::int64_t> to;  ///< NVSwitches, and GPUs
  std::int64_t missingElsewhere = 0;  ///< that untoldLinks or thinSwitches tell of
};
Linkage linkageOf(const Graph& graph, NodeId gpu);
/// Of all known GPUs, by node.
std::map<NodeId, Linkage> linkages(const Graph& graph);

/// Links that most of these GPUs have to each NVSwitch; left out where most have none.
std::map<NodeId, std::int64_t> usualLinks(const Graph& graph,
                                          const std::vector<const Linkage*>& gpus);

/// Whether some GPU of the group has a link to an NVSwitch.
bool isSwitched(const Graph& graph, const std::vector<NodeId>& gpus);
/// Those that PCI shows and those that links lead to.
std::vector<NodeId> switchesOf(const Graph& graph, int host, const std::vector<NodeId>& gpus);
/// "NVLink", "xGMI link": by the first link that one of them has.
const char* nounOf(const Graph& graph, const std::vector<NodeId>& gpus);

}  // namespace lockstep::topology
