// What hwloc knows of a machine, out of the XML that it writes: of another machine from a file, of
// this one from hwloc itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "topology/readers/reader.hpp"

namespace lockstep::topology {

/// Whether the first element is <topology>, after what may come before it.
bool isHwlocXml(std::string_view text);

/// hwloc tells the bandwidth of PCIe links and not their speed and lanes.
enum class LinkGuess : std::uint8_t {
  widest,  ///< widestLinkOf(), and a remark that says so
  none     ///< leave links unknown: another source knows them
};

/// CPUs by NUMA node, PCI devices below them, GPUs and NICs where operating-system devices tell of
/// them. Throws Error(invalidArgument) "SOURCE:LINE: ...".
Reading readHwlocXml(std::string_view text, const std::string& source, LinkGuess guess);

/// The widest link of this bandwidth as hwloc computes it: Gen4 x16 for 31.5 GB/s, though Gen5 x8
/// has that too. Unknown where no link has it.
PcieLink widestLinkOf(double gigabytesPerSecond);

}  // namespace lockstep::topology
