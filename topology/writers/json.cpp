#include "topology/writers/json.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "topology/graph/path.hpp"

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

/// Why paths are left out; null where they are not. They name each device many times.
Json whyNoPaths(const Graph& graph, const std::vector<NodeId>& devices) {
  constexpr std::size_t kLongestName = 1000;
  if (devices.size() > kMostDevicesWithPaths)
    return fmt::format("{} GPUs and NICs; paths are told between {} at most", devices.size(),
                       kMostDevicesWithPaths);
  const bool absurd = std::any_of(devices.begin(), devices.end(), [&](NodeId id) {
    return graph.node(id).name.size() > kLongestName;
  });
  return absurd ? Json(fmt::format("a name is longer than {} bytes", kLongestName)) : Json();
}

Json paths(const Graph& graph, const std::vector<NodeId>& devices) {
  Json array = Json::array();
  for (std::size_t i = 0; i < devices.size(); ++i)
    for (std::size_t j = i + 1; j < devices.size(); ++j)
      array.push_back(pathBetween(graph, devices[i], devices[j]));
  return array;
}

std::string compact(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// A row a line: to be read, searched with grep, and compared with diff.
std::string print(const Json& document) {
  std::string out = "{";
  const char* separator = "\n";
  for (const auto& [key, value] : document.items()) {
    out += separator + compact(key) + ": ";
    separator = ",\n";
    if (!value.is_array() || value.empty()) {
      out += compact(value);
      continue;
    }
    const char* before = "[\n  ";
    for (const Json& row : value) {
      out += before + compact(row);
      before = ",\n  ";
    }
    out += "\n]";
  }
  return out + "\n}\n";
}

}  // namespace

std::string writeJson(const Graph& graph) {
  const Inventory& inventory = graph.inventory();
  const std::vector<NodeId> devices = devicesOf(graph);
  Json document;
  document["schema"] = 1;
  document["source"] = text(inventory.source);
  document["ncclVersion"] = inventory.version;
  document["driver"] = driver(inventory.driver);
  document["cpus"] = list(inventory.cpus, cpu);
  document["pciDevices"] = list(inventory.pci, pciDevice);
  document["gpus"] = list(inventory.gpus, gpu);
  document["nics"] = list(inventory.nics, nic);
  document["nodes"] = list(graph.nodes(), [&](const Node& each) { return node(graph, each); });
  document["links"] = list(graph.links(), [&](const Link& each) { return link(graph, each); });
  const Json reason = whyNoPaths(graph, devices);
  document["paths"] = reason.is_null() ? paths(graph, devices) : Json();
  document["pathsLeftOut"] = reason;
  document["remarks"] = graph.remarks();
  return print(document);
}

}  // namespace lockstep::topology
