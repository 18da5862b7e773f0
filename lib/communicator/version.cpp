#include <fmt/format.h>

#include "topology/machine.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep {

std::string_view version() {
  return "0.1.0";
}

/// Nothing of it depends on what this process may use: ranks are confined to different cores, and
/// must agree.
std::string machine() {
  const topology::Machine& m = topology::thisMachine();
  return fmt::format("{}, {} cores, {} threads, L3 {} KiB, hypervisor {}, lockstep {}", m.cpuModel,
                     m.cores, m.threads, m.l3Bytes / 1024, m.virtualization, version());
}

}  // namespace lockstep
