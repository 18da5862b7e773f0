// All rules over one graph.
#include <algorithm>
#include <array>

#include "topology/rules/rule.hpp"

namespace lockstep::topology {

std::string_view name(Severity severity) {
  constexpr std::array<std::string_view, 3> kNames{"note", "warning", "error"};
  return kNames[static_cast<std::size_t>(severity)];
}

std::vector<Problem> diagnose(const Graph& graph) {
  std::vector<Problem> problems;
  for (const Rule* rule : allRules()) {
    const std::size_t before = problems.size();
    rule->look(graph, problems);
    for (std::size_t i = before; i < problems.size(); ++i) problems[i].rule = rule->name;
  }
  std::stable_sort(problems.begin(), problems.end(),
                   [](const Problem& a, const Problem& b) { return a.severity > b.severity; });
  return problems;
}

}  // namespace lockstep::topology
