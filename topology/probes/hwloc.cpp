// CPUs, NUMA nodes and the tree of PCI devices, as hwloc sees them.
#include <memory>

#include <hwloc.h>

#include "base/fail.hpp"
#include "topology/probes/hwloc/inventory.hpp"
#include "topology/probes/probe.hpp"

namespace lockstep::topology {
namespace {

struct DestroyTopology {
  void operator()(hwloc_topology* topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, DestroyTopology>;

/// All PCI devices and the bridges above them; CPUs that this process may not use too. Without what
/// the operating system and drivers call devices: other probes know more of that, and hwloc would
/// start CUDA for it.
Topology load() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return nullptr;
  Topology topology(raw);
  // libpciaccess reads what hwloc reads from sysfs without it, and leaks.
  hwloc_topology_set_components(raw, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "pci");
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_OS_DEVICE, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_cache_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_icache_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  return hwloc_topology_load(raw) == 0 ? std::move(topology) : nullptr;
}

Finding found(hwloc_topology* topology) {
  Finding finding;
  Reading reading = inventoryOf(topology);
  finding.inventory = std::move(reading.inventory);
  for (Remark& remark : reading.remarks) finding.remarks.push_back(std::move(remark.text));
  if (hwloc_topology_is_thissystem(topology) == 0)
    finding.remarks.emplace_back(
        "hwloc shows another machine than this one, as its environment tells it (HWLOC_XMLFILE, "
        "HWLOC_SYNTHETIC or HWLOC_FSROOT)");
  return finding;
}

Finding look(const Surroundings& surroundings) {
  const auto absent = [](std::string why) { return Finding{{}, {}, std::move(why)}; };
  if (surroundings.sys != Surroundings{}.sys)
    return absent("hwloc looks at " + Surroundings{}.sys.string() + " and nowhere else");
  const Topology topology = load();
  if (!topology) return absent(std::string("hwloc cannot look at this machine: ") + explain(errno));
  try {
    return found(topology.get());
  } catch (const Error& error) {
    return absent(error.what());
  }
}

}  // namespace

extern const Probe kProbesHwloc = {.name = "hwloc", .stage = 0, .look = look};

}  // namespace lockstep::topology
