// Any bytes as hwloc's XML: a sound inventory with a CPU, or an Error that names the source.
#pragma once

#include <cstdlib>
#include <string_view>

#include "topology/readers/hwloc/read.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

inline void hwlocXml(std::string_view text) {
  using namespace topology;
  const auto require = [](bool holds) {
    if (!holds) std::abort();
  };
  try {
    const Reading reading = readHwlocXml(text, "fuzz", LinkGuess::widest);
    requireSound(reading.inventory);
    require(!reading.inventory.cpus.empty());
    for (const PciDevice& device : reading.inventory.pci) require(device.cpu != kNone);
    require(reading.remarks.size() <= kMostRemarks);
  } catch (const Error& error) {
    require(std::string_view(error.what()).find("fuzz:") != std::string_view::npos);
  }
  static_cast<void>(isHwlocXml(text));
}

}  // namespace lockstep::fuzz
