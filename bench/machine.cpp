#include "bench/machine.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hwloc.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>

#include "base/fail.hpp"
#include "bench/sizes.hpp"

namespace lockstep::bench {
namespace {

using Topology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;

Topology loadTopology() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) failErrno("hwloc cannot start");
  Topology topology(raw, hwloc_topology_destroy);
  if (hwloc_topology_load(raw) != 0) failErrno("hwloc cannot read this machine's topology");
  return topology;
}

std::string cpuModel(hwloc_topology_t topology) {
  const hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
  const char* model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : nullptr;
  return model ? model : "unknown CPU";
}

std::vector<Cache> cachesOf(hwloc_topology_t topology) {
  std::vector<Cache> caches;
  for (const hwloc_obj_type_t type :
       {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L4CACHE}) {
    const int count = hwloc_get_nbobjs_by_type(topology, type);
    if (count <= 0) continue;
    const hwloc_obj_t first = hwloc_get_obj_by_type(topology, type, 0);
    const bool data = first->attr->cache.type == HWLOC_OBJ_CACHE_DATA;
    caches.push_back({fmt::format("L{}{}", first->attr->cache.depth, data ? "d" : ""),
                      static_cast<std::size_t>(first->attr->cache.size), count});
  }
  return caches;
}

/// What the process may be bound to now (taskset, cpuset), which can be less than the machine.
std::vector<int> oneCpuPerCore(hwloc_topology_t topology) {
  const std::unique_ptr<hwloc_bitmap_s, decltype(&hwloc_bitmap_free)> bound(hwloc_bitmap_alloc(),
                                                                            hwloc_bitmap_free);
  if (hwloc_get_cpubind(topology, bound.get(), HWLOC_CPUBIND_PROCESS) != 0)
    hwloc_bitmap_copy(bound.get(), hwloc_topology_get_allowed_cpuset(topology));
  std::vector<int> cpus;
  hwloc_obj_t core = nullptr;
  while ((core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)) != nullptr) {
    int cpu = hwloc_bitmap_first(core->cpuset);
    while (cpu >= 0 && !hwloc_bitmap_isset(bound.get(), static_cast<unsigned>(cpu)))
      cpu = hwloc_bitmap_next(core->cpuset, cpu);
    if (cpu >= 0) cpus.push_back(cpu);
  }
  return cpus;
}

int boundThreads(hwloc_topology_t topology) {
  const std::unique_ptr<hwloc_bitmap_s, decltype(&hwloc_bitmap_free)> bound(hwloc_bitmap_alloc(),
                                                                            hwloc_bitmap_free);
  if (hwloc_get_cpubind(topology, bound.get(), HWLOC_CPUBIND_PROCESS) != 0)
    return hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
  return hwloc_bitmap_weight(bound.get());
}

std::size_t cgroupLeft() {
  std::size_t limit = 0, used = 0;
  std::ifstream maximum("/sys/fs/cgroup/memory.max"), current("/sys/fs/cgroup/memory.current");
  if (maximum >> limit && current >> used) return limit > used ? limit - used : 0;
  return std::numeric_limits<std::size_t>::max();  // no cgroup v2 limit ("max" is not a number)
}

std::string describe(const Cache& cache) {
  const std::string size = formatBytes(static_cast<double>(cache.bytes));
  return cache.count == 1 ? fmt::format("{} {}", cache.name, size)
                          : fmt::format("{} {} x {}", cache.name, cache.count, size);
}

}  // namespace

Machine detectMachine() {
  const Topology topology = loadTopology();
  Machine machine;
  machine.cpu = cpuModel(topology.get());
  utsname system{};
  if (uname(&system) == 0) machine.kernel = fmt::format("{} {}", system.sysname, system.release);
  machine.cpus = oneCpuPerCore(topology.get());
  machine.cores = std::max<int>(1, static_cast<int>(machine.cpus.size()));
  machine.threads = boundThreads(topology.get());
  machine.numaNodes = hwloc_get_nbobjs_by_type(topology.get(), HWLOC_OBJ_NUMANODE);
  machine.caches = cachesOf(topology.get());
  return machine;
}

std::size_t availableMemory() {
  std::ifstream info("/proc/meminfo");
  for (std::string key, rest; info >> key && std::getline(info, rest);)
    if (key == "MemAvailable:") return std::min(std::stoull(rest) * 1024, cgroupLeft() + 0ull);
  return std::numeric_limits<std::size_t>::max();
}

std::string describe(const Machine& machine) {
  std::vector<std::string> parts{
      machine.cpu,
      fmt::format("{} core{} ({} thread{})", machine.cores, machine.cores == 1 ? "" : "s",
                  machine.threads, machine.threads == 1 ? "" : "s")};
  if (machine.numaNodes > 1) parts.push_back(fmt::format("{} NUMA nodes", machine.numaNodes));
  for (const Cache& cache : machine.caches) parts.push_back(describe(cache));
  parts.push_back(machine.kernel);
  return fmt::format("{}", fmt::join(parts, ", "));
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Cache, name, bytes, count)

void to_json(nlohmann::json& json, const Machine& machine) {
  json = {
      {"cpu", machine.cpu},         {"kernel", machine.kernel},       {"cores", machine.cores},
      {"threads", machine.threads}, {"numaNodes", machine.numaNodes}, {"caches", machine.caches}};
}

}  // namespace lockstep::bench
