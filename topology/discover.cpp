#include "topology/discover.hpp"

#include <algorithm>

#include "topology/inventory/merge.hpp"

namespace lockstep::topology {
namespace {

std::vector<const Probe*> byStage() {
  std::vector<const Probe*> probes(allProbes().begin(), allProbes().end());
  std::sort(probes.begin(), probes.end(), [](const Probe* a, const Probe* b) {
    return std::pair(a->stage, a->name) < std::pair(b->stage, b->name);
  });
  return probes;
}

}  // namespace

Discovery discover(const Surroundings& surroundings) {
  Discovery discovery;
  for (const Probe* probe : byStage()) {
    Finding finding = probe->look(surroundings);
    if (finding.absent.empty()) discovery.inventory = merge(discovery.inventory, finding.inventory);
    discovery.reports.push_back(
        {probe->name, std::move(finding.absent), std::move(finding.remarks)});
  }
  discovery.inventory.source = "this machine";
  return discovery;
}

}  // namespace lockstep::topology
