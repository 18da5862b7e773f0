// What the kernel says of PCI devices: what they are, their links, and where they are.
#include <algorithm>
#include <charconv>
#include <map>
#include <system_error>

#include <fmt/format.h>

#include "topology/inventory/pci_place.hpp"
#include "topology/probes/probe.hpp"
#include "topology/probes/sysfs/pcie_link.hpp"
#include "topology/probes/sysfs/sysfs.hpp"

namespace lockstep::topology {
namespace {

/// Number of the machine's first NUMA node, and how many there are; node 0 where the kernel knows
/// none.
struct NumaNodes {
  explicit NumaNodes(const std::filesystem::path& sys) {
    for (const std::string& name : sysfs::names(sys / "devices/system/node")) {
      if (!name.starts_with("node")) continue;
      const char* end = name.data() + name.size();
      int number = 0;
      const auto [stop, error] = std::from_chars(name.data() + 4, end, number);
      if (error != std::errc() || stop != end) continue;
      first = count == 0 ? number : std::min(first, number);
      ++count;
    }
  }
  int first = 0;
  int count = 0;
};

class PciTree {
 public:
  explicit PciTree(const Surroundings& surroundings)
      : folder_(surroundings.sys / "bus/pci/devices"), nodes_(surroundings.sys) {}

  Finding found() {
    for (const std::string& name : sysfs::names(folder_))
      if (const std::optional<BusId> id = parseBusId(name)) collect(*id, folder_ / name);
    // Bridges before what is below them.
    std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
      return a.chain.size() < b.chain.size();
    });
    for (const Entry& entry : entries_) add(entry);
    if (entries_.empty()) finding_.absent = folder_.string() + ": no PCI device is there";
    if (unplaced_ > 0 && nodes_.count > 1)
      finding_.remarks.push_back(fmt::format(
          "the firmware does not say near which NUMA node {} is ({} devices are like that); taken "
          "for node {}",
          print(firstUnplaced_), unplaced_, nodes_.first));
    return std::move(finding_);
  }

 private:
  struct Entry {
    PciDevice device;
    std::filesystem::path path;
    std::vector<BusId> chain;  // from the root port down to itself
  };
  struct Below {
    PciPlace place;
    PcieLink ablest;  // of the port that it is below
  };

  void collect(const BusId& id, const std::filesystem::path& path) {
    Entry entry{{}, path, sysfs::pciChain(path)};
    if (entry.chain.empty() || entry.chain.back() != id) entry.chain = {id};
    entry.device = deviceAt(id, path);
    entries_.push_back(std::move(entry));
  }

  static PciDevice deviceAt(const BusId& id, const std::filesystem::path& path) {
    const auto half = [&](const char* name) -> std::optional<std::uint16_t> {
      const std::optional<std::uint32_t> value = sysfs::hexadecimal(path / name);
      if (!value || *value > 0xffff) return std::nullopt;
      return static_cast<std::uint16_t>(*value);
    };
    PciDevice device;
    device.id = id;
    device.classCode = sysfs::hexadecimal(path / "class").value_or(0) & 0xffffffU;
    device.vendor = half("vendor");
    device.device = half("device");
    device.subsystemVendor = half("subsystem_vendor");
    device.subsystemDevice = half("subsystem_device");
    device.link = sysfs::trainedLink(path);
    return device;
  }

  void add(const Entry& entry) {
    const Below above = whereIs(entry);
    const PcieLink ablest = sysfs::ablestLink(entry.path);
    PciDevice device = entry.device;
    device.capable = sysfs::capableLink(ablest, above.ablest, device.link);
    Below& below = below_[device.id] = {above.place, ablest};
    if (isSwitch(device))
      below.place = belowBridge(finding_.inventory, above.place, std::move(device));
    else
      addDevice(finding_.inventory, above.place, std::move(device));
  }

  Below whereIs(const Entry& entry) {
    if (entry.chain.size() > 1)
      if (const auto above = below_.find(entry.chain[entry.chain.size() - 2]);
          above != below_.end())
        return above->second;
    Below root;
    root.place.cpu = cpuRow(numaOf(entry));
    return root;
  }

  int numaOf(const Entry& entry) {
    const int numa = sysfs::number(entry.path / "numa_node").value_or(-1);
    if (numa >= 0) return numa;
    if (unplaced_++ == 0) firstUnplaced_ = entry.device.id;
    return nodes_.first;
  }

  int cpuRow(int numa) {
    std::vector<Cpu>& cpus = finding_.inventory.cpus;
    const int known = findCpu(finding_.inventory, {}, numa);
    if (known != kNone) return known;
    cpus.emplace_back();
    cpus.back().numa = numa;
    return static_cast<int>(cpus.size()) - 1;
  }

  std::filesystem::path folder_;
  NumaNodes nodes_;
  std::vector<Entry> entries_;
  std::map<BusId, Below> below_;
  BusId firstUnplaced_;
  int unplaced_ = 0;
  Finding finding_;
};

Finding look(const Surroundings& surroundings) {
  return PciTree(surroundings).found();
}

}  // namespace

extern const Probe kProbesSysfsPci = {.name = "sysfs PCI", .stage = 1, .look = look};

}  // namespace lockstep::topology
