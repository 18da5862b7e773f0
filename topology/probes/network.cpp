// Network cards: ports of RDMA devices, and network interfaces that are no RDMA device's.
#include <charconv>
#include <map>
#include <set>
#include <system_error>

#include "topology/inventory/guid.hpp"
#include "topology/probes/probe.hpp"
#include "topology/probes/sysfs/sysfs.hpp"

namespace lockstep::topology {
namespace {

constexpr std::size_t kMostPorts = 255;  // the port number of InfiniBand has 8 bits

/// "400 Gb/sec (4X NDR)"
Bandwidth rateIn(const std::string& text) {
  const char* end = text.data() + text.size();
  double gigabits = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, gigabits);
  const bool sane =
      error == std::errc() && gigabits > 0 && gigabits < 1e6 &&
      std::string_view(stop, static_cast<std::size_t>(end - stop)).starts_with(" Gb/sec");
  return sane ? Bandwidth::megabitsPerSecond(gigabits * 1000) : Bandwidth();
}

class Network {
 public:
  explicit Network(const Surroundings& surroundings) : classes_(surroundings.sys / "class") {}

  Finding found() {
    for (const std::string& name : sysfs::names(classes_ / "infiniband"))
      addRdma(name, classes_ / "infiniband" / name);
    for (const std::string& name : sysfs::names(classes_ / "net"))
      addInterface(name, classes_ / "net" / name);
    if (finding_.inventory.nics.empty())
      finding_.absent = "neither " + (classes_ / "infiniband").string() + " nor " +
                        (classes_ / "net").string() + " has a card on PCI";
    return std::move(finding_);
  }

 private:
  void addRdma(const std::string& name, const std::filesystem::path& path) {
    Nic nic;
    nic.name = name;
    if (const std::optional<BusId> id = pciOf(path)) {
      nic.pci = rowOf(*id);
      rdma_.insert(*id);
    }
    nic.guid = guidAsNcclWrites(sysfs::text(path / "sys_image_guid").value_or(std::string()));
    if (nic.guid.empty())
      nic.guid = guidAsNcclWrites(sysfs::text(path / "node_guid").value_or(std::string()));
    std::size_t ports = 0;
    for (const std::string& port : sysfs::names(path / "ports"))
      if (++ports <= kMostPorts) addPort(nic, port, path / "ports" / port);
  }

  void addPort(Nic nic, const std::string& port, const std::filesystem::path& path) {
    const char* end = port.data() + port.size();
    const auto [stop, error] = std::from_chars(port.data(), end, nic.port);
    if (error != std::errc() || stop != end) return;
    const std::string state = sysfs::text(path / "state").value_or(std::string());
    if (!state.empty()) nic.up = state.starts_with("4:");  // "4: ACTIVE"
    // A port without a link shows some rate too.
    if (nic.up.value_or(true))
      nic.speed = rateIn(sysfs::text(path / "rate").value_or(std::string()));
    if (const std::optional<std::string> layer = sysfs::text(path / "link_layer"))
      nic.other.emplace_back("link_layer", *layer);
    finding_.inventory.nics.push_back(std::move(nic));
  }

  void addInterface(const std::string& name, const std::filesystem::path& path) {
    const std::optional<BusId> id = pciOf(path);
    if (!id || rdma_.contains(*id)) return;
    Nic nic;
    nic.name = name;
    nic.pci = rowOf(*id);
    const int megabits = sysfs::number(path / "speed").value_or(-1);
    if (megabits > 0) nic.speed = Bandwidth::megabitsPerSecond(megabits);
    const std::string state = sysfs::text(path / "operstate").value_or("unknown");
    if (state != "unknown") nic.up = state == "up";
    finding_.inventory.nics.push_back(std::move(nic));
  }

  /// The PCI function that the device is, or is behind: a virtio device is one below it. Not what
  /// is behind USB: that is no place for traffic (a BMC's interface, for one).
  static std::optional<BusId> pciOf(const std::filesystem::path& path) {
    std::error_code error;
    const std::filesystem::path device = std::filesystem::canonical(path / "device", error);
    if (error) return std::nullopt;
    for (const std::filesystem::path& component : device)
      if (component.string().starts_with("usb")) return std::nullopt;
    const std::vector<BusId> chain = sysfs::pciChain(device);
    return chain.empty() ? std::nullopt : std::optional(chain.back());
  }

  /// Of the PCI device: its bus id, by which it is joined to what other probes know of it.
  int rowOf(const BusId& id) {
    const auto [row, isNew] = rows_.emplace(id, static_cast<int>(finding_.inventory.pci.size()));
    if (isNew) {
      finding_.inventory.pci.emplace_back();
      finding_.inventory.pci.back().id = id;
    }
    return row->second;
  }

  std::filesystem::path classes_;
  std::set<BusId> rdma_;
  std::map<BusId, int> rows_;
  Finding finding_;
};

Finding look(const Surroundings& surroundings) {
  return Network(surroundings).found();
}

}  // namespace

extern const Probe kProbesNetwork = {.name = "network", .stage = 3, .look = look};

}  // namespace lockstep::topology
