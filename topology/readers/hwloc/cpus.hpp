// CPUs out of hwloc's XML, and near which of them a place is.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <vector>

#include "topology/readers/xml/document.hpp"

namespace lockstep::topology::hwloc_xml {

class Cpus {
 public:
  /// The kernel's MAX_NUMNODES is 1024.
  static constexpr std::size_t kMostNodes = 4096;

  /// Adds the rows to `inventory`: at least one. `root` is <topology>.
  Cpus(const xml::Element& root, xml::Report& report, Inventory& inventory);

  /// Row of the CPU near this object, which is no I/O object; kNone where that could be any.
  int near(const pugi::xml_node& object);

 private:
  int rowByNodeset(const pugi::xml_node& object) const;

  pugi::xml_node machine_;
  std::unordered_map<int, int> rows_;          // by number of the NUMA node
  std::unordered_map<std::size_t, int> near_;  // by hash_value(): what was asked before
};

}  // namespace lockstep::topology::hwloc_xml
