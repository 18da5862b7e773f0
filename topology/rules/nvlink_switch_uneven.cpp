// An NVSwitch to which all GPUs have fewer links than to its siblings.
#include <fmt/format.h>

#include "topology/rules/evidence/confidential.hpp"
#include "topology/rules/evidence/nvlinks.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

void look(const Graph& graph, std::vector<Problem>& problems) {
  if (confidentiality(graph.inventory()) == Confidentiality::singleGpu) return;
  for (const ThinSwitch& thin : thinSwitches(graph))
    problems.push_back(
        {Severity::error,
         {},
         described(graph.node(thin.chip)),
         fmt::format("is reached by {} from each of {}, where its siblings are by {} at least",
                     counted(thin.has, "NVLink"), list(graph, thin.gpus), thin.expected),
         "the switch or its part of the board is at fault, and not the GPUs: look at the fabric "
         "manager's log (/var/log/fabricmanager.log) and `dmesg | grep -i sxid`"});
}

}  // namespace

extern const Rule kRulesNvlinkSwitchUneven{"nvlink-switch-uneven",
                                           "an NVSwitch with fewer links than its siblings", look};

}  // namespace lockstep::topology
