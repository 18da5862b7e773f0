#include "topology/writers/nccl_xml.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "topology/inventory/transfer_rate.hpp"
#include "topology/readers/nccl/schema.hpp"
#include "topology/readers/xml/document.hpp"
#include "topology/readers/xml/fields.hpp"

namespace lockstep::topology {
namespace {

bool beginsName(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         byte == '_' || byte == ':';
}

bool isName(std::string_view text) {
  return !text.empty() && beginsName(text[0]) && std::all_of(text.begin(), text.end(), [](char c) {
    return beginsName(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

/// Elements two blanks deeper than what they are in, as NCCL prints them.
class XmlText {
 public:
  void open(std::string_view element) {
    if (open_.size() == static_cast<std::size_t>(xml::kDeepest))
      fail(ErrorCode::invalidArgument,
           "cannot write this machine as NCCL XML: its PCI devices are nested deeper than {} "
           "elements",
           xml::kDeepest);
    if (inTag_) text_ += ">\n";
    text_.append(2 * open_.size(), ' ');
    text_ += '<';
    text_ += element;
    open_.push_back(element);
    names_.clear();
    inTag_ = true;
  }

  void close() {
    const std::string_view element = open_.back();
    open_.pop_back();
    if (inTag_) {
      text_ += "/>\n";
    } else {
      text_.append(2 * open_.size(), ' ');
      text_ += fmt::format("</{}>\n", element);
    }
    inTag_ = false;
  }

  /// Of the element opened last. The first of a name stands.
  void attribute(std::string_view name, std::string_view value) {
    if (std::find(names_.begin(), names_.end(), name) != names_.end()) return;
    names_.push_back(name);
    text_ += ' ';
    text_ += name;
    text_ += "=\"";
    for (const char c : value) add(c);
    text_ += '"';
  }

  void attribute(std::string_view name, long long value) {
    attribute(name, fmt::format("{}", value));
  }

  void attributes(const Attributes& attributes) {
    for (const auto& [name, value] : attributes)
      if (isName(name)) attribute(name, value);
  }

  std::string take() { return std::move(text_); }

 private:
  void add(char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&')
      text_ += "&amp;";
    else if (c == '<')
      text_ += "&lt;";
    else if (c == '>')
      text_ += "&gt;";
    else if (c == '"')
      text_ += "&quot;";
    else if (byte < 0x20)
      text_ += fmt::format("&#{};", byte);
    else
      text_ += c;
  }

  std::string text_;
  std::vector<std::string_view> open_;
  std::vector<std::string_view> names_;  // of the tag that is open
  bool inTag_ = false;
};

/// Rows below each row, in their order. Below no row: last.
class Children {
 public:
  explicit Children(std::size_t parents) : rows_(parents + 1) {}
  void add(int parent, std::size_t row) {
    const std::size_t at = parent == kNone ? rows_.size() - 1 : static_cast<std::size_t>(parent);
    rows_[at].push_back(row);
  }
  const std::vector<std::size_t>& of(std::size_t parent) const { return rows_[parent]; }
  const std::vector<std::size_t>& ofNone() const { return rows_.back(); }

 private:
  std::vector<std::vector<std::size_t>> rows_;
};

/// As NCCL writes it where that says it all.
std::string microseconds(double value) {
  std::string text = fmt::format("{:f}", value);
  return xml::parseFraction(text) == value ? text : fmt::format("{}", value);
}

class NcclWriter {
 public:
  explicit NcclWriter(const Inventory& inventory)
      : inventory_(inventory),
        rootsOf_(inventory.cpus.size()),
        nicsOfCpu_(inventory.cpus.size()),
        devicesBelow_(inventory.pci.size()),
        gpusOf_(inventory.pci.size()),
        nicsOf_(inventory.pci.size()) {
    for (std::size_t row = 0; row < inventory.pci.size(); ++row) {
      const PciDevice& device = inventory.pci[row];
      if (device.parent == kNone)
        rootsOf_.add(device.cpu, row);
      else
        devicesBelow_.add(device.parent, row);
    }
    for (std::size_t row = 0; row < inventory.gpus.size(); ++row)
      gpusOf_.add(inventory.gpus[row].pci, row);
    for (std::size_t row = 0; row < inventory.nics.size(); ++row) {
      const Nic& nic = inventory.nics[row];
      if (nic.pci == kNone)
        nicsOfCpu_.add(nic.cpu, row);
      else
        nicsOf_.add(nic.pci, row);
    }
  }

  std::string write() {
    xml_.open("system");
    xml_.attribute("version", inventory_.version == 2 ? 2 : 1);
    bool placed = false;  // what is below no CPU
    for (std::size_t row = 0; row < inventory_.cpus.size(); ++row) {
      const Cpu& cpu = inventory_.cpus[row];
      openCpu(cpu);
      writeDevices(rootsOf_.of(row));
      const bool takesAll = !placed && cpu.numa == kNone && cpu.host.empty();
      if (takesAll) writeDevices(rootsOf_.ofNone());
      writeNics(nicsOfCpu_.of(row), takesAll ? nicsOfCpu_.ofNone() : std::vector<std::size_t>{});
      xml_.close();
      placed = placed || takesAll;
    }
    if (!placed && !(rootsOf_.ofNone().empty() && nicsOfCpu_.ofNone().empty())) {
      openCpu(Cpu{});
      writeDevices(rootsOf_.ofNone());
      writeNics(nicsOfCpu_.ofNone(), {});
      xml_.close();
    }
    xml_.close();
    return xml_.take();
  }

 private:
  void writeText(std::string_view name, std::string_view value) {
    if (!value.empty()) xml_.attribute(name, value);
  }

  void openCpu(const Cpu& cpu) {
    xml_.open("cpu");
    if (!cpu.host.empty()) {
      const auto number = nccl::asHostHash(cpu.host);
      xml_.attribute("host_hash", number ? *number : nccl::hostHash(cpu.host));
      if (!number) xml_.attribute("host", cpu.host);
    }
    xml_.attribute("numaid", cpu.numa);
    writeText("affinity", cpu.affinity);
    writeText("arch", cpu.arch);
    writeText("vendor", cpu.vendor);
    // NCCL looks for both where it has found one.
    if (cpu.familyId != kNone || cpu.modelId != kNone) {
      xml_.attribute("familyid", cpu.familyId);
      xml_.attribute("modelid", cpu.modelId);
    }
    xml_.attributes(cpu.other);
  }

  /// Calls itself as deep as XmlText goes.
  void writeDevices(const std::vector<std::size_t>& rows) {
    for (const std::size_t row : rows) {
      const PciDevice& device = inventory_.pci[row];
      openPci(device);
      for (const std::size_t gpu : gpusOf_.of(row)) writeGpu(inventory_.gpus[gpu]);
      for (const BusId& peer : device.peerSwitches) writePeerSwitch(peer);
      writeNics(nicsOf_.of(row), {});
      writeDevices(devicesBelow_.of(row));
      xml_.close();
    }
  }

  void openPci(const PciDevice& device) {
    xml_.open("pci");
    xml_.attribute("busid", print(device.id));
    xml_.attribute("class", fmt::format("{:#08x}", device.classCode));
    writeId("vendor", device.vendor);
    writeId("device", device.device);
    writeId("subsystem_vendor", device.subsystemVendor);
    writeId("subsystem_device", device.subsystemDevice);
    xml_.attribute("link_speed", print(device.link.speed));
    xml_.attribute("link_width", device.link.width);
    xml_.attributes(device.other);
  }

  void writeId(std::string_view name, std::optional<std::uint16_t> id) {
    if (id) xml_.attribute(name, fmt::format("{:#06x}", *id));
  }

  void writePeerSwitch(const BusId& peer) {
    xml_.open("pcilink");
    xml_.attribute("target", print(peer));
    xml_.close();
  }

  void writeGpu(const Gpu& gpu) {
    xml_.open("gpu");
    if (gpu.device != kNone) xml_.attribute("dev", gpu.device);
    if (gpu.sm != 0) xml_.attribute("sm", gpu.sm);
    xml_.attribute("rank", gpu.rank);
    xml_.attribute("gdr", gpu.gpuDirect ? 1 : 0);
    xml_.attributes(gpu.other);
    for (const GpuLinks& links : gpu.links) writeLinks(links);
    for (const ChipToChip& links : gpu.chipToChip) writeChipToChip(links);
    xml_.close();
  }

  void writeLinks(const GpuLinks& links) {
    xml_.open(nccl::elementFor(links.kind));
    xml_.attribute("target", print(links.target));
    xml_.attribute("count", links.count);
    if (links.targetClass != 0) xml_.attribute("tclass", fmt::format("{:#08x}", links.targetClass));
    xml_.attributes(links.other);
    xml_.close();
  }

  void writeChipToChip(const ChipToChip& links) {
    xml_.open("c2c");
    xml_.attribute("bw", std::llround(links.each.bytesPerSecond() / 1e6));
    xml_.attribute("count", links.count);
    xml_.attributes(links.other);
    xml_.close();
  }

  void writeNics(const std::vector<std::size_t>& rows, const std::vector<std::size_t>& more) {
    if (rows.empty() && more.empty()) return;
    xml_.open("nic");
    for (const std::size_t row : rows) writeNet(inventory_.nics[row]);
    for (const std::size_t row : more) writeNet(inventory_.nics[row]);
    xml_.close();
  }

  void writeNet(const Nic& nic) {
    xml_.open("net");
    xml_.attribute("name", nic.name);
    if (nic.device != kNone) xml_.attribute("dev", nic.device);
    const long long megabits = std::llround(nic.speed.megabitsPerSecond());
    if (megabits > 0) xml_.attribute("speed", megabits);
    xml_.attribute("port", nic.port);
    xml_.attribute("latency", microseconds(nic.latency));
    writeText("guid", nic.guid);
    if (nic.maxConnections != 0) xml_.attribute("maxconn", nic.maxConnections);
    xml_.attribute("gdr", nic.gpuDirect ? 1 : 0);
    xml_.attributes(nic.other);
    xml_.close();
  }

  const Inventory& inventory_;
  Children rootsOf_;    // by CPU
  Children nicsOfCpu_;  // those without PCI
  Children devicesBelow_;
  Children gpusOf_;
  Children nicsOf_;
  XmlText xml_;
};

}  // namespace

std::string writeNcclXml(const Inventory& inventory) {
  return NcclWriter(inventory).write();
}

}  // namespace lockstep::topology
