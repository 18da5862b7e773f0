#include "topology/writers/json.hpp"

#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "topology/graph/path.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

using Json = nlohmann::ordered_json;

// Each is null where not known.

Json number(int value, int unknown = kNone) {
  return value == unknown ? Json() : Json(value);
}

Json text(const std::string& value) {
  return value.empty() ? Json() : Json(value);
}

/// Without the last digits of a double, which say nothing.
Json real(double value) {
  return value > 0 ? Json(std::round(value * 1e6) / 1e6) : Json();
}

Json rate(Bandwidth value) {
  return real(value.gigabytesPerSecond());
}

template <class Value>
Json orNull(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json hex(const std::optional<std::uint16_t>& value) {
  return value ? Json(fmt::format("0x{:04x}", *value)) : Json();
}

Json classCode(std::uint32_t value) {
  return value == 0 ? Json() : Json(fmt::format("0x{:06x}", value));
}

Json attributes(const Attributes& other) {
  Json object = Json::object();
  for (const auto& [name, value] : other) object[name] = value;
  return object;
}

template <class Rows, class Write>
Json list(const Rows& rows, Write write) {
  Json array = Json::array();
  for (const auto& row : rows) array.push_back(write(row));
  return array;
}

// The inventory.

Json cpu(const Cpu& cpu) {
  return {{"host", text(cpu.host)},         {"numa", number(cpu.numa)},
          {"package", number(cpu.package)}, {"affinity", text(cpu.affinity)},
          {"arch", text(cpu.arch)},         {"vendor", text(cpu.vendor)},
          {"model", text(cpu.model)},       {"familyId", number(cpu.familyId)},
          {"modelId", number(cpu.modelId)}, {"other", attributes(cpu.other)}};
}

Json pcieLink(const PcieLink& link) {
  return {{"gigatransfersPerSecond", real(link.speed.gigatransfers())},
          {"lanes", number(link.width, 0)}};
}

Json pciDevice(const PciDevice& device) {
  return {{"busId", print(device.id)},
          {"cpu", number(device.cpu)},
          {"parent", number(device.parent)},
          {"class", classCode(device.classCode)},
          {"vendor", hex(device.vendor)},
          {"device", hex(device.device)},
          {"subsystemVendor", hex(device.subsystemVendor)},
          {"subsystemDevice", hex(device.subsystemDevice)},
          {"link", pcieLink(device.link)},
          {"capable", pcieLink(device.capable)},
          {"peerSwitches", list(device.peerSwitches, [](const BusId& id) { return print(id); })},
          {"name", text(device.name)},
          {"other", attributes(device.other)}};
}

Json gpuLinks(const GpuLinks& links) {
  return {{"kind", links.kind == GpuLinkKind::nvlink ? "NVLink" : "xGMI"},
          {"target", print(links.target)},
          {"targetClass", classCode(links.targetClass)},
          {"count", links.count},
          {"other", attributes(links.other)}};
}

Json chipToChip(const ChipToChip& link) {
  return {{"count", link.count},
          {"gigabytesPerSecondEach", rate(link.each)},
          {"other", attributes(link.other)}};
}

Json fabric(const std::optional<FabricState>& fabric) {
  if (!fabric) return {};
  constexpr std::array<const char*, 4> kStates{"notSupported", "notStarted", "inProgress",
                                               "completed"};
  return {{"state", kStates.at(static_cast<std::size_t>(fabric->state))},
          {"status", fabric->status},
          {"clusterUuid", text(fabric->clusterUuid)},
          {"clique", fabric->clique},
          {"health", orNull(fabric->health)}};
}

Json peer(const PeerAccess& peer) {
  return {{"gpu", number(peer.gpu)}, {"allowed", peer.allowed}, {"reason", text(peer.reason)}};
}

Json gpu(const Gpu& gpu) {
  return {{"pci", number(gpu.pci)},
          {"device", number(gpu.device)},
          {"sm", number(gpu.sm, 0)},
          {"rank", number(gpu.rank)},
          {"gpuDirect", gpu.gpuDirect},
          {"uuid", text(gpu.uuid)},
          {"links", list(gpu.links, gpuLinks)},
          {"chipToChip", list(gpu.chipToChip, chipToChip)},
          {"deadLinks", gpu.deadLinks},
          {"fabric", fabric(gpu.fabric)},
          {"peers", list(gpu.peers, peer)},
          {"other", attributes(gpu.other)}};
}

Json nic(const Nic& nic) {
  return {{"pci", number(nic.pci)},
          {"cpu", number(nic.cpu)},
          {"name", text(nic.name)},
          {"device", number(nic.device)},
          {"gigabytesPerSecond", rate(nic.speed)},
          {"port", number(nic.port, 0)},
          {"latencyMicroseconds", real(nic.latency)},
          {"guid", text(nic.guid)},
          {"maxConnections", number(nic.maxConnections, 0)},
          {"gpuDirect", nic.gpuDirect},
          {"up", orNull(nic.up)},
          {"other", attributes(nic.other)}};
}

Json confidential(const std::optional<ConfidentialComputing>& facts) {
  if (!facts) return {};
  constexpr std::array<const char*, 3> kModes{"none", "protectedPcie", "nvle"};
  const char* mode = kModes.at(static_cast<std::size_t>(facts->multiGpu));
  return {{"feature", facts->feature},
          {"multiGpu", facts->multiGpuKnown ? Json(mode) : Json()},
          {"production", facts->production},
          {"devTools", facts->devTools}};
}

Json lostGpu(const LostGpu& gpu) {
  return {{"number", number(gpu.number)},
          {"busId", gpu.id ? Json(print(*gpu.id)) : Json()},
          {"reason", text(gpu.reason)}};
}

Json driver(const Driver& driver) {
  return {{"version", text(driver.version)},
          {"confidentialComputing", confidential(driver.confidential)},
          {"lostGpus", list(driver.lost, lostGpu)}};
}

// The graph.

Json nameOf(const Graph& graph, NodeId id) {
  return id == kNone ? Json() : Json(graph.node(id).name);
}

bool hasBus(const Node& node) {
  return node.pci != kNone || node.kind == NodeKind::nvSwitch;
}

Json node(const Graph& graph, const Node& node) {
  return {{"name", node.name},
          {"kind", name(node.kind)},
          {"row", number(node.row)},
          {"pci", number(node.pci)},
          {"cpu", nameOf(graph, node.cpu)},
          {"parent", nameOf(graph, node.parent)},
          {"busId", hasBus(node) ? Json(print(node.bus)) : Json()},
          {"bare", node.bare},
          {"host", number(node.host)}};
}

Json link(const Graph& graph, const Link& link) {
  return {{"from", nameOf(graph, link.from)},
          {"to", nameOf(graph, link.to)},
          {"kind", name(link.kind)},
          {"count", number(link.count, 0)},
          {"gigabytesPerSecond", rate(link.bandwidth)}};
}

Json pathBetween(const Graph& graph, NodeId from, NodeId to) {
  const Path path = findPath(graph, from, to);
  Json steps = Json::array();
  for (const std::vector<NodeId>& step : path.steps)
    steps.push_back(list(step, [&](NodeId id) { return nameOf(graph, id); }));
  return {{"from", nameOf(graph, from)}, {"to", nameOf(graph, to)},
          {"type", name(path.type)},     {"steps", std::move(steps)},
          {"links", path.links},         {"gigabytesPerSecond", rate(path.bottleneck)}};
}

std::vector<NodeId> devicesOf(const Graph& graph) {
  std::vector<NodeId> devices = graph.ofKind(NodeKind::gpu);
  const std::vector<NodeId>& nics = graph.ofKind(NodeKind::nic);
  devices.insert(devices.end(), nics.begin(), nics.end());
  return devices;
}

/// Steps of paths name each device many times, and NVSwitches once for each path.
constexpr std::size_t kMostLinksToSwitches = 8192;

/// Why paths are left out; null where they are not.
Json whyNoPaths(const Graph& graph, const std::vector<NodeId>& devices) {
  if (devices.size() > kMostDevicesWithPaths)
    return fmt::format("{} GPUs and NICs; paths are told between {} at most", devices.size(),
                       kMostDevicesWithPaths);
  std::size_t links = 0;
  for (const NodeId chip : graph.ofKind(NodeKind::nvSwitch)) links += graph.linksFrom(chip).size();
  return links > kMostLinksToSwitches
             ? Json(fmt::format("NVSwitches and GPUs are joined {} times; paths are told with {} "
                                "at most",
                                links, kMostLinksToSwitches))
             : Json();
}

/// What terminals obey and JSON allows: the control characters that are not ASCII's first.
std::string withoutControls(std::string text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](std::size_t at) {
      return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    if (byte(i) == 0x7f)
      text.replace(i, 1, "\\u007f");
    else if (byte(i) == 0xc2 && byte(i + 1) < 0xa0)
      text.replace(i, 2, fmt::format("\\u{:04x}", byte(i + 1)));
  }
  return text;
}

std::string compact(const Json& value) {
  return withoutControls(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Json problem(const Problem& each) {
  return {{"severity", name(each.severity)},
          {"rule", each.rule},
          {"subject", each.subject},
          {"what", each.what},
          {"advice", text(each.advice)}};
}

/// A row a line: to be read, searched with grep, and compared with diff. Of large machines only
/// the text is kept.
class Document {
 public:
  void add(std::string_view key, const Json& value) {
    out_ += fmt::format("{}\"{}\": {}", out_.empty() ? "{\n" : ",\n", key, compact(value));
  }

  template <class Rows, class Write>
  void add(std::string_view key, const Rows& rows, Write write) {
    begin(key);
    for (const auto& each : rows) row(write(each));
    end();
  }

  void begin(std::string_view key) {
    out_ += fmt::format("{}\"{}\": [", out_.empty() ? "{\n" : ",\n", key);
    rows_ = 0;
  }
  void row(const Json& value) {
    out_ += rows_++ == 0 ? "\n  " : ",\n  ";
    out_ += compact(value);
  }
  void end() { out_ += rows_ == 0 ? "]" : "\n]"; }

  std::string take() { return std::move(out_) + "\n}\n"; }

 private:
  std::string out_;
  std::size_t rows_ = 0;
};

void addPaths(const Graph& graph, Document& document) {
  const std::vector<NodeId> devices = devicesOf(graph);
  const Json reason = whyNoPaths(graph, devices);
  if (reason.is_null()) {
    document.begin("paths");
    for (std::size_t i = 0; i < devices.size(); ++i)
      for (std::size_t j = i + 1; j < devices.size(); ++j)
        document.row(pathBetween(graph, devices[i], devices[j]));
    document.end();
  } else {
    document.add("paths", Json());
  }
  document.add("pathsLeftOut", reason);
}

}  // namespace

std::string writeJson(const Graph& graph) {
  const Inventory& inventory = graph.inventory();
  Document document;
  document.add("schema", 1);
  document.add("source", text(inventory.source));
  document.add("ncclVersion", inventory.version);
  document.add("driver", driver(inventory.driver));
  document.add("cpus", inventory.cpus, cpu);
  document.add("pciDevices", inventory.pci, pciDevice);
  document.add("gpus", inventory.gpus, gpu);
  document.add("nics", inventory.nics, nic);
  document.add("nodes", graph.nodes(), [&](const Node& each) { return node(graph, each); });
  document.add("links", graph.links(), [&](const Link& each) { return link(graph, each); });
  addPaths(graph, document);
  document.add("remarks", graph.remarks(), [](const std::string& each) { return Json(each); });
  document.add("problems", diagnose(graph), problem);
  return document.take();
}

}  // namespace lockstep::topology
