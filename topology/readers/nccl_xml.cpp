// NCCL's topology files: dumps (NCCL_TOPO_DUMP_FILE) and the hint files of cloud providers
// (NCCL_TOPO_FILE), version 1; and those of RCCL, version 2. As src/graph/xml.cc and topo.cc of
// NCCL read them, without their limits.
#include <map>
#include <utility>

#include "topology/inventory/transfer_rate.hpp"
#include "topology/readers/nccl/schema.hpp"
#include "topology/readers/xml/document.hpp"
#include "topology/readers/xml/fields.hpp"
#include "topology/readers/xml/text.hpp"

namespace lockstep::topology {
namespace {

using xml::Document;
using xml::Element;
using xml::Fields;
using xml::Report;

constexpr std::string_view kRoot = "system";

/// What is beyond these is a mistake or malice, not a machine.
constexpr xml::Range kNumaNodes{-1, 4095};
constexpr xml::Range kCpuIds{0, 0xffff};
constexpr xml::Range kPcieLanes{0, 32};
constexpr xml::Range kDevices{0, 0xffff};
constexpr xml::Range kRanks{0, 0xffffff};
constexpr xml::Range kSm{0, 9999};  // RCCL: compute units
constexpr xml::Range kPorts{0, 0xffff};
constexpr xml::Range kConnections{0, 0x7fffffff};
constexpr xml::Range kMegabits{0, 100'000'000};
constexpr xml::Range kMegabytes{0, 100'000'000};
constexpr xml::Range kLinks{1, 1024};
constexpr double kMostMicroseconds = 1e6;
constexpr std::size_t kLongestHost = 255;
/// Of one element, that mean nothing to us. NCCL itself reads 16 in all.
constexpr std::size_t kMostOther = 32;

constexpr std::string_view kBusIdExample = "a PCI address such as 0000:1b:00.0";
constexpr std::string_view kLeftOut = "the link is left out";

/// "0x030200"; or its beginning: NCCL writes "0x03" of a GPU whose class it cannot read, and looks
/// at no more than that.
std::optional<std::uint32_t> parseClass(std::string_view text) {
  const auto value = xml::parseHexadecimal(text, 6);
  if (!value) return std::nullopt;
  const std::size_t digits = text.size() - (text.find_first_of("xX") == 1 ? 2 : 0);
  const unsigned missing = digits == 2 ? 16 : digits == 4 ? 8 : 0;
  return static_cast<std::uint32_t>(*value) << missing;
}

std::uint32_t takeClass(Fields& fields, std::string_view name) {
  const std::string written = fields.text(name);
  if (written.empty()) return 0;
  if (const auto code = parseClass(written)) return *code;
  fields.refuse(name, written, "a PCI class such as 0x030200");
  return 0;
}

std::optional<std::uint16_t> takeId(Fields& fields, std::string_view name) {
  const auto id = fields.hexadecimal(name, 4);
  if (!id) return std::nullopt;
  return static_cast<std::uint16_t>(*id);
}

int takeInt(Fields& fields, std::string_view name, xml::Range range, int unknown) {
  return static_cast<int>(fields.number(name, range, unknown));
}

/// Some NICs say -1 for what they do not know; NCCL then assumes 10 Gbit/s.
Bandwidth takeSpeed(Fields& fields) {
  const auto megabits = fields.number("speed", kMegabits, kNone);
  return megabits > 0 ? Bandwidth::megabitsPerSecond(static_cast<double>(megabits)) : Bandwidth{};
}

PcieLink takeLink(Fields& fields) {
  PcieLink link;
  const std::string speed = fields.text("link_speed");
  if (const auto rate = parseTransferRate(speed))
    link.speed = *rate;
  else
    fields.refuse("link_speed", speed, "a rate such as \"32.0 GT/s PCIe\"");
  link.width = takeInt(fields, "link_width", kPcieLanes, 0);
  return link;
}

/// NVML calls a switch that the machine does not show FFFFFFF:FFFF:FF, and NCCL copies that.
std::optional<BusId> parseTarget(std::string_view text) {
  if (text.starts_with("fffffff:ffff:ff")) return kInvisibleSwitch;
  return parseBusId(text);
}

class NcclReader {
 public:
  NcclReader(std::string_view text, const std::string& source)
      : report_(text, source), document_(text, kRoot, report_) {}

  Reading read() {
    readSystem(document_.root());
    for (std::size_t row = 0; row < cpuElements_.size(); ++row) readDevices(static_cast<int>(row));
    return {std::move(inventory_), report_.take()};
  }

 private:
  void readSystem(const Element& system) {
    Fields fields(system, report_);
    inventory_.version = takeVersion(system, fields);
    leaveOut(system, fields.rest());
    for (const Element& child : childrenOf(system))
      if (child.name() == "cpu")
        readCpu(child);
      else
        passOver(child, system);
  }

  int takeVersion(const Element& system, Fields& fields) {
    const auto written = fields.take("version");
    if (!written) {
      report_.remark(system.offset(), "<system> without version; taken for version 1");
      return 1;
    }
    const auto version = xml::parseNumber(*written);
    if (version != 1 && version != 2) fields.fail("version", *written, "1 (NCCL) or 2 (RCCL)");
    return static_cast<int>(*version);
  }

  void readCpu(const Element& element) {
    Fields fields(element, report_);
    Cpu cpu;
    cpu.numa = takeNuma(fields);
    cpu.host = takeHost(fields);
    cpu.affinity = fields.text("affinity");
    cpu.arch = fields.text("arch");
    cpu.vendor = fields.text("vendor");
    cpu.familyId = takeInt(fields, "familyid", kCpuIds, kNone);
    cpu.modelId = takeInt(fields, "modelid", kCpuIds, kNone);
    cpu.other = restOf(element, fields);
    addCpu(element, std::move(cpu));
  }

  static int takeNuma(Fields& fields) {
    const std::string expected =
        fmt::format("the number of a NUMA node, from {} to {}", kNumaNodes.least, kNumaNodes.most);
    const std::string written = fields.require("numaid", expected);
    const auto numa = xml::parseNumber(written);
    if (!numa || *numa < kNumaNodes.least || *numa > kNumaNodes.most)
      fields.fail("numaid", written, expected);
    return static_cast<int>(*numa);
  }

  static std::string takeHost(Fields& fields) {
    const std::string hash = fields.text("host_hash");
    const std::string name = fields.text("host");
    const std::string& host = name.empty() ? hash : name;
    if (host.size() > kLongestHost) {
      fields.refuse(name.empty() ? "host_hash" : "host", host,
                    fmt::format("at most {} bytes", kLongestHost));
      return {};
    }
    return nccl::asHostHash(host).value_or(host);
  }

  /// Two elements for one NUMA node are one row: its devices stand in both.
  void addCpu(const Element& element, Cpu cpu) {
    const int row = static_cast<int>(inventory_.cpus.size());
    const int host = hosts_.try_emplace(cpu.host, static_cast<int>(hosts_.size())).first->second;
    const auto [known, added] = cpuRows_.try_emplace({host, cpu.numa}, row);
    if (added) {
      inventory_.cpus.push_back(std::move(cpu));
      hostOfCpu_.push_back(host);
      cpuElements_.emplace_back();
    } else {
      report_.remark(element.offset(),
                     "a second <cpu> of NUMA node {}; its devices are taken to be of the first",
                     cpu.numa);
    }
    cpuElements_[static_cast<std::size_t>(known->second)].push_back(element);
  }

  /// Everything in a CPU before everything in the next, and in each what is on PCI before what is
  /// not: the order in which these are written again.
  void readDevices(int cpu) {
    const std::vector<Element>& elements = cpuElements_[static_cast<std::size_t>(cpu)];
    for (const Element& element : elements)
      for (const Element& child : childrenOf(element))
        if (child.name() == "pci")
          readPci(child, cpu, kNone);
        else if (child.name() != "nic")
          passOver(child, element);
    for (const Element& element : elements)
      for (const Element& child : element.children())
        if (child.name() == "nic") readNic(child, kNone, cpu);
  }

  /// Calls itself as deep as the document is: at most xml::kDeepest.
  void readPci(const Element& element, int cpu, int parent) {
    const int row = addPci(element, cpu, parent);
    bool hasGpu = false;
    for (const Element& child : childrenOf(element))
      if (child.name() == "gpu")
        readGpu(child, row, hasGpu);
      else if (child.name() == "nic")
        readNic(child, row, cpu);
      else if (child.name() == "pcilink")
        readPeerSwitch(child, row);
      else if (child.name() != "pci")
        passOver(child, element);
    for (const Element& child : element.children())
      if (child.name() == "pci") readPci(child, cpu, row);
  }

  int addPci(const Element& element, int cpu, int parent) {
    Fields fields(element, report_);
    PciDevice device;
    device.id = takeBusId(fields);
    requireNew(element, hostOfCpu_[static_cast<std::size_t>(cpu)], device.id);
    device.cpu = cpu;
    device.parent = parent;
    device.classCode = takeClass(fields, "class");
    device.vendor = takeId(fields, "vendor");
    device.device = takeId(fields, "device");
    device.subsystemVendor = takeId(fields, "subsystem_vendor");
    device.subsystemDevice = takeId(fields, "subsystem_device");
    device.link = takeLink(fields);
    device.other = restOf(element, fields);
    inventory_.pci.push_back(std::move(device));
    return static_cast<int>(inventory_.pci.size()) - 1;
  }

  static BusId takeBusId(Fields& fields) {
    const std::string written = fields.require("busid", kBusIdExample);
    const auto id = parseBusId(written);
    if (!id) fields.fail("busid", written, kBusIdExample);
    return *id;
  }

  void requireNew(const Element& element, int host, const BusId& id) {
    const auto [known, added] = pciElements_.try_emplace({host, id}, element.offset());
    if (!added)
      report_.fail(element.offset(),
                   "a second <pci> at {}, where line {} has one; expected each device once",
                   print(id), report_.line(known->second));
  }

  void readGpu(const Element& element, int pci, bool& hasGpu) {
    if (std::exchange(hasGpu, true)) {
      report_.remark(element.offset(), "a second <gpu> in one <pci> is left out");
      return;
    }
    Fields fields(element, report_);
    Gpu gpu;
    gpu.pci = pci;
    gpu.device = takeInt(fields, "dev", kDevices, kNone);
    gpu.sm = takeInt(fields, "sm", kSm, 0);
    gpu.rank = takeInt(fields, "rank", kRanks, kNone);
    gpu.gpuDirect = fields.flag("gdr");
    gpu.other = restOf(element, fields);
    for (const Element& child : childrenOf(element))
      if (child.name() == nccl::elementFor(GpuLinkKind::nvlink))
        readLinks(child, GpuLinkKind::nvlink, gpu);
      else if (child.name() == nccl::elementFor(GpuLinkKind::xgmi))
        readLinks(child, GpuLinkKind::xgmi, gpu);
      else if (child.name() == "c2c")
        readChipToChip(child, gpu);
      else
        passOver(child, element);
    inventory_.gpus.push_back(std::move(gpu));
  }

  /// A link without a sane number of links or a target is none. Where the target is, and whether it
  /// can be linked to, is for the graph to say.
  void readLinks(const Element& element, GpuLinkKind kind, Gpu& gpu) {
    Fields fields(element, report_);
    const std::string target = fields.text("target");
    const auto id = parseTarget(target);
    const int count = takeCount(fields);
    if (!id) fields.refuse("target", target, kBusIdExample, kLeftOut);
    if (!id || count == 0) return;
    const std::uint32_t targetClass = takeClass(fields, "tclass");
    gpu.links.push_back({kind, *id, count, targetClass, restOf(element, fields)});
    requireNothingIn(element);
  }

  /// NCCL: bandwidth in MB/s of each link, as NVML tells it (NVML_FI_DEV_C2C_LINK_GET_MAX_BW).
  void readChipToChip(const Element& element, Gpu& gpu) {
    Fields fields(element, report_);
    const int count = takeCount(fields);
    if (count == 0) return;
    const auto megabytes = static_cast<double>(fields.number("bw", kMegabytes, 0));
    const Bandwidth each = Bandwidth::bytesPerSecond(megabytes * 1e6);
    gpu.chipToChip.push_back({count, each, restOf(element, fields)});
    requireNothingIn(element);
  }

  /// 0 where there is no sane one.
  static int takeCount(Fields& fields) {
    const std::string written = fields.text("count");
    const auto count = xml::parseNumber(written);
    if (count && *count >= kLinks.least && *count <= kLinks.most) return static_cast<int>(*count);
    fields.refuse("count", written,
                  fmt::format("a number from {} to {}", kLinks.least, kLinks.most), kLeftOut);
    return 0;
  }

  void readPeerSwitch(const Element& element, int pci) {
    Fields fields(element, report_);
    const std::string target = fields.text("target");
    if (const auto id = parseBusId(target))
      inventory_.pci[static_cast<std::size_t>(pci)].peerSwitches.push_back(*id);
    else
      fields.refuse("target", target, kBusIdExample, kLeftOut);
    leaveOut(element, fields.rest());
    requireNothingIn(element);
  }

  void readNic(const Element& element, int pci, int cpu) {
    leaveOut(element, element.attributes());
    for (const Element& child : childrenOf(element))
      if (child.name() == "net")
        readNet(child, pci, cpu);
      else
        passOver(child, element);
  }

  void readNet(const Element& element, int pci, int cpu) {
    Fields fields(element, report_);
    Nic nic;
    nic.pci = pci;
    nic.cpu = cpu;
    nic.name = fields.text("name");
    if (nic.name.empty()) report_.remark(element.offset(), "<net> without a name");
    nic.device = takeInt(fields, "dev", kDevices, kNone);
    nic.speed = takeSpeed(fields);
    nic.port = takeInt(fields, "port", kPorts, 0);
    nic.latency = fields.fraction("latency", 0, kMostMicroseconds);
    nic.guid = fields.text("guid");
    nic.maxConnections = takeInt(fields, "maxconn", kConnections, 0);
    nic.gpuDirect = fields.flag("gdr");
    nic.other = restOf(element, fields);
    inventory_.nics.push_back(std::move(nic));
    requireNothingIn(element);
  }

  Attributes restOf(const Element& element, Fields& fields) {
    Attributes rest = fields.rest();
    if (rest.size() <= kMostOther) return rest;
    report_.remark(element.offset(), "<{}> has {} attributes of unknown meaning; {} are kept",
                   element.name(), rest.size(), kMostOther);
    rest.resize(kMostOther);
    return rest;
  }

  /// There is no place for these.
  void leaveOut(const Element& element, const Attributes& attributes) {
    for (const auto& [name, value] : attributes)
      report_.remark(element.offset(), "<{}> {}=\"{}\" is left out", element.name(),
                     xml::shown(name), xml::shown(value));
  }

  void requireNothingIn(const Element& element) {
    for (const Element& child : childrenOf(element)) passOver(child, element);
  }

  /// Text has no meaning anywhere.
  std::vector<Element> childrenOf(const Element& element) {
    if (element.hasText())
      report_.remark(element.offset(), "text in <{}> is left out", element.name());
    return element.children();
  }

  void passOver(const Element& element, const Element& in) {
    report_.remark(element.offset(), "<{}> in <{}> is left out, with all that is in it",
                   xml::shown(element.name()), in.name());
  }

  Report report_;
  Document document_;
  Inventory inventory_;
  std::map<std::string, int> hosts_;            // numbers, so that long names cost nothing
  std::map<std::pair<int, int>, int> cpuRows_;  // of host and NUMA number
  std::map<std::pair<int, BusId>, std::size_t> pciElements_;  // places in the text, of host and id
  std::vector<int> hostOfCpu_;                                // by row
  std::vector<std::vector<Element>> cpuElements_;             // by row
};

bool recognises(std::string_view text) {
  return xml::rootName(text) == kRoot;
}

Reading read(std::string_view text, const std::string& source) {
  return NcclReader(text, source).read();
}

}  // namespace

extern const Reader kReadersNcclXml;
const Reader kReadersNcclXml{"NCCL topology XML", recognises, read};

}  // namespace lockstep::topology
