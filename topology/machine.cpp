#include "topology/machine.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

#include <hwloc.h>
#include <sys/utsname.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace lockstep::topology {

namespace {

struct FreeBitmap {
  void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, FreeBitmap>;

struct DestroyTopology {
  void operator()(hwloc_topology* topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<hwloc_topology, DestroyTopology>;

/// Objects of a type, at least 1: hwloc leaves out levels that the system does not describe.
int count(hwloc_topology_t topology, hwloc_obj_type_t type) {
  return std::max(1, hwloc_get_nbobjs_by_type(topology, type));
}

int countIn(hwloc_topology_t topology, hwloc_const_cpuset_t cpus, hwloc_obj_type_t type) {
  int n = 0;
  for (hwloc_obj_t o = nullptr; (o = hwloc_get_next_obj_by_type(topology, type, o)) != nullptr;)
    n += hwloc_bitmap_intersects(o->cpuset, cpus) != 0 ? 1 : 0;
  return std::max(1, n);
}

std::size_t cacheBytes(hwloc_topology_t topology, hwloc_obj_type_t level) {
  const hwloc_obj_t cache = hwloc_get_obj_by_type(topology, level, 0);
  return cache == nullptr ? 0 : cache->attr->cache.size;
}

bool oneL3Serves(hwloc_topology_t topology, hwloc_const_cpuset_t cpus) {
  for (hwloc_obj_t o = nullptr;
       (o = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_L3CACHE, o)) != nullptr;)
    if (hwloc_bitmap_isincluded(cpus, o->cpuset) != 0) return true;
  return false;
}

/// What this process may run on. A topology of another machine has no binding: all of it.
Bitmap allowedCpus(hwloc_topology_t topology) {
  Bitmap cpus(hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology)));
  const Bitmap bound(hwloc_bitmap_alloc());
  if (!cpus || !bound || hwloc_topology_is_thissystem(topology) == 0 ||
      hwloc_get_cpubind(topology, bound.get(), HWLOC_CPUBIND_PROCESS) != 0)
    return cpus;
  hwloc_bitmap_and(cpus.get(), cpus.get(), bound.get());
  return cpus;
}

/// /proc/cpuinfo, for machines whose CPU hwloc has no name for.
std::string modelFromProc() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

std::string modelOf(hwloc_topology_t topology) {
  const hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
  for (const hwloc_obj_t object : {package, hwloc_get_root_obj(topology)}) {
    const char* name = object == nullptr ? nullptr : hwloc_obj_get_info_by_name(object, "CPUModel");
    if (name != nullptr && *name != '\0') return name;
  }
  const std::string fromProc =
      hwloc_topology_is_thissystem(topology) != 0 ? modelFromProc() : std::string();
  return fromProc.empty() ? Machine{}.cpuModel : fromProc;
}

/// Caches, cores and CPUs only: looking for devices takes far longer.
Topology load() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return nullptr;
  Topology topology(raw);
  hwloc_topology_set_io_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  return hwloc_topology_load(raw) == 0 ? std::move(topology) : nullptr;
}

std::string kernelName() {
  utsname name{};
  if (::uname(&name) != 0) return Machine{}.kernel;
  return std::string(name.sysname) + " " + name.release;
}

#if defined(__x86_64__)
/// The hypervisor's signature: CPUID leaf 1 ECX bit 31 says that there is one, leaf 0x40000000
/// names it in EBX, ECX, EDX (Linux kernel documentation, virt/kvm/x86/cpuid.rst).
std::string hypervisor() {
  constexpr unsigned kHypervisorBit = 1U << 31;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kHypervisorBit) == 0) return "none";
  __cpuid(0x40000000, a, b, c, d);
  char text[13] = {};
  std::memcpy(text, &b, 4);
  std::memcpy(text + 4, &c, 4);
  std::memcpy(text + 8, &d, 4);
  const std::string signature(text);
  static constexpr std::pair<const char*, const char*> kNames[] = {
      {"KVMKVMKVM", "KVM"},       {"Linux KVM Hv", "KVM"},     {"Microsoft Hv", "Hyper-V"},
      {"VMwareVMware", "VMware"}, {"XenVMMXenVMM", "Xen"},     {"TCGTCGTCGTCG", "QEMU"},
      {"ACRNACRNACRN", "ACRN"},   {" lrpepyh vr", "Parallels"}};
  for (const auto& [sign, name] : kNames)
    if (signature == sign) return name;
  return "a hypervisor";
}
#else
std::string hypervisor() {
  std::ifstream type("/sys/hypervisor/type");
  std::string name;
  return type >> name ? name : "none";
}
#endif

}  // namespace

Machine describe(hwloc_topology* topology) {
  Machine machine;
  machine.cpuModel = modelOf(topology);
  machine.cores = count(topology, HWLOC_OBJ_CORE);
  machine.threads = count(topology, HWLOC_OBJ_PU);
  machine.packages = count(topology, HWLOC_OBJ_PACKAGE);
  machine.numaNodes = count(topology, HWLOC_OBJ_NUMANODE);
  machine.l1dBytes = cacheBytes(topology, HWLOC_OBJ_L1CACHE);
  machine.l2Bytes = cacheBytes(topology, HWLOC_OBJ_L2CACHE);
  machine.l3Bytes = cacheBytes(topology, HWLOC_OBJ_L3CACHE);
  if (const Bitmap allowed = allowedCpus(topology)) {
    machine.allowedCores = countIn(topology, allowed.get(), HWLOC_OBJ_CORE);
    machine.allowedThreads = countIn(topology, allowed.get(), HWLOC_OBJ_PU);
    machine.l3SharedByAll = oneL3Serves(topology, allowed.get());
  }
  return machine;
}

const Machine& thisMachine() {
  static const Machine machine = [] {
    const Topology topology = load();
    Machine found = topology ? describe(topology.get()) : Machine{};
    found.kernel = kernelName();
    found.virtualization = hypervisor();
    return found;
  }();
  return machine;
}

}  // namespace lockstep::topology
