// What rules say of a machine, a line each, for tests of their words.
#pragma once

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "topology/rules/rule.hpp"

namespace lockstep::topology {

/// "error nvlink-missing: GPU3 has 17 NVLinks, ...", from this severity.
inline std::vector<std::string> said(const Inventory& inventory,
                                     Severity from = Severity::warning) {
  std::vector<std::string> lines;
  for (const Problem& problem : diagnose(Graph(inventory))) {
    EXPECT_FALSE(problem.subject.empty() || problem.what.empty() || problem.advice.empty());
    if (problem.severity >= from)
      lines.push_back(fmt::format("{} {}: {} {}", name(problem.severity), problem.rule,
                                  problem.subject, problem.what));
  }
  return lines;
}

/// With what is only noted.
inline std::vector<std::string> allSaid(const Inventory& inventory) {
  return said(inventory, Severity::note);
}

inline PciDevice& pciOf(Inventory& machine, std::size_t gpu) {
  return machine.pci[static_cast<std::size_t>(machine.gpus[gpu].pci)];
}

inline PciDevice& pciOfNic(Inventory& machine, std::size_t nic) {
  return machine.pci[static_cast<std::size_t>(machine.nics[nic].pci)];
}

}  // namespace lockstep::topology
