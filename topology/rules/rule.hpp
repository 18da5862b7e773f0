// What is wrong, or suspicious, with a machine: rules over its graph, each in words for whoever has
// to mend it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

enum class Severity : std::uint8_t {
  note,     ///< worth knowing, nothing to mend: confidential computing is on
  warning,  ///< suspicious, or slower than it could be
  error     ///< broken
};
/// "note"
std::string_view name(Severity severity);

struct Problem {
  Severity severity = Severity::warning;
  std::string_view rule;  ///< Rule::name
  std::string subject;    ///< "GPU3"
  std::string what;    ///< "has 17 of the 18 NVLinks that the other 7 GPUs have (none to NVSwitch
                       ///< 0000:1b:00.0)"
  std::string advice;  ///< what to do about it
};

/// A file rules/NAME.cpp defines kRulesNAME, and is in the table by being there.
struct Rule {
  std::string_view name;  ///< "nvlink-missing"
  std::string_view what;  ///< what it looks for, in a line
  /// Adds what it finds, with everything but Problem::rule.
  void (*look)(const Graph& graph, std::vector<Problem>& problems);
};

std::span<const Rule* const> allRules();
/// By all rules: errors first, then as the rules are listed.
std::vector<Problem> diagnose(const Graph& graph);

}  // namespace lockstep::topology
