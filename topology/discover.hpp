// Looking at this machine with all probes, and joining what they find.
#pragma once

#include "topology/probes/probe.hpp"

namespace lockstep::topology {

/// What a probe had to say, for whoever shows it.
struct ProbeReport {
  std::string_view name;
  std::string absent;  ///< why it found nothing; empty where it did
  std::vector<std::string> remarks;
};

struct Discovery {
  Inventory inventory;  ///< of all probes, merged
  std::vector<ProbeReport> reports;
};

Discovery discover(const Surroundings& surroundings = {});

}  // namespace lockstep::topology
