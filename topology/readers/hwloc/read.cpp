#include "topology/readers/hwloc/read.hpp"

#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "topology/inventory/pci_place.hpp"
#include "topology/readers/hwloc/cpus.hpp"
#include "topology/readers/hwloc/objects.hpp"
#include "topology/readers/hwloc/os_devices.hpp"

namespace lockstep::topology {
namespace hwloc_xml {
namespace {

class Devices {
 public:
  /// Of PCI functions, and of NICs: merging and drawing take longer than linear time. Machines with
  /// thousands of virtual functions have been seen.
  static constexpr std::size_t kMostRows = 16384;

  Devices(const xml::Element& root, xml::Report& report, Inventory& inventory, LinkGuess guess)
      : root_(root.node()),
        report_(report),
        inventory_(inventory),
        cpus_(root, report, inventory),
        guess_(guess) {}

  /// In the order of the text: bridges come before what is below them.
  void addAll() {
    for (pugi::xml_node at = root_; at; at = next(root_, at)) {
      const std::string_view type = typeOf(at);
      if (type == "Bridge") addBridge(at);
      if (type == "PCIDev") addPciDevice(at);
      if (type == "OSDev") addOsDevice(at);
    }
    addOsDevices(inventory_, osDevices_);
    if (inventory_.nics.size() > kMostRows)
      report_.fail(xml::offsetOf(root_), "more than {} ports of NICs", kMostRows);
    if (guessed_)
      report_.remark(xml::Report::kWhole,
                     "hwloc tells the bandwidth of PCIe links only: each is shown as the "
                     "widest link that has it, so x16 may be a faster x8");
    if (guess_ == LinkGuess::widest && !inventory_.gpus.empty())
      report_.remark(xml::Report::kWhole,
                     "hwloc does not count NVLinks: none are shown, and none are missed");
  }

 private:
  PciPlace placeOf(const pugi::xml_node& object) {
    const pugi::xml_node above = object.parent();
    if (const auto known = below_.find(above.hash_value()); known != below_.end())
      return known->second;
    PciPlace place;
    place.cpu = cpus_.near(above);
    if (place.cpu == kNone) {
      place.cpu = 0;
      report_.remark(xml::offsetOf(object), "not near any NUMA node of its own; taken for node {}",
                     inventory_.cpus[0].numa);
    }
    return place;
  }

  void addBridge(const pugi::xml_node& object) {
    PciPlace& below = below_[object.hash_value()] = placeOf(object);
    if (!object.attribute("pci_busid")) return;  // the host bridge
    if (std::optional<PciDevice> bridge = deviceOf(object))
      below = belowBridge(inventory_, below, std::move(*bridge));
    else
      ++below.bridges;
  }

  void addPciDevice(const pugi::xml_node& object) {
    const PciPlace place = placeOf(object);
    below_[object.hash_value()] = place;
    std::optional<PciDevice> device = deviceOf(object);
    if (!device) return;
    const int row = addDevice(inventory_, place, std::move(*device));
    rows_.emplace(object.hash_value(), row);
  }

  /// Nothing, with a remark, where it cannot be a row.
  std::optional<PciDevice> deviceOf(const pugi::xml_node& object) {
    std::optional<PciDevice> device = pciDeviceOf(object);
    if (!device) {
      report_.remark(xml::offsetOf(object),
                     "a PCI device left out: a bus id like \"0000:1b:00.0\" was expected "
                     "in pci_busid");
      return std::nullopt;
    }
    if (seen_.size() == kMostRows)
      report_.fail(xml::offsetOf(object), "more than {} PCI devices", kMostRows);
    if (!seen_.insert(device->id).second) {
      report_.remark(xml::offsetOf(object), "{} is there twice; the second is left out",
                     print(device->id));
      return std::nullopt;
    }
    if (guess_ == LinkGuess::widest) {
      device->link = widestLinkOf(linkSpeedOf(object));
      guessed_ = guessed_ || device->link.width > 0;
    }
    return device;
  }

  /// Those that belong to no PCI device (memory, virtual interfaces) are no business of ours.
  void addOsDevice(const pugi::xml_node& object) {
    const auto row = rows_.find(object.parent().hash_value());
    if (row != rows_.end()) osDevices_.push_back({row->second, object});
  }

  pugi::xml_node root_;  // <topology>
  xml::Report& report_;
  Inventory& inventory_;
  Cpus cpus_;
  LinkGuess guess_;
  bool guessed_ = false;
  std::unordered_map<std::size_t, PciPlace> below_;  // by hash_value() of bridges and devices
  std::unordered_map<std::size_t, int> rows_;        // likewise, of devices
  std::set<BusId> seen_;
  std::vector<OsDevice> osDevices_;
};

}  // namespace
}  // namespace hwloc_xml

bool isHwlocXml(std::string_view text) {
  return xml::rootName(text) == "topology";
}

Reading readHwlocXml(std::string_view text, const std::string& source, LinkGuess guess) {
  xml::Report report(text, source);
  const xml::Document document(text, "topology", report);
  Reading reading;
  reading.inventory.source = source;
  hwloc_xml::Devices(document.root(), report, reading.inventory, guess).addAll();
  reading.remarks = report.take();
  return reading;
}

}  // namespace lockstep::topology
