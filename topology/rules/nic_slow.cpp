// A port of a NIC that is slower than most of its model: a cable, a transceiver or the port at the
// other end settles for less.
#include <cmath>
#include <map>
#include <tuple>

#include <fmt/format.h>

#include "topology/rules/evidence/alike.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

/// Fewer say nothing of what is usual.
constexpr std::size_t kFewestPorts = 4;
/// So many times those that differ must the usual ones be.
constexpr std::int64_t kMostly = 3;

const Nic& nicOf(const Graph& graph, NodeId id) {
  return graph.inventory().nics[static_cast<std::size_t>(graph.node(id).row)];
}

/// Ports that are up, by what they are. One card may be for storage, by Ethernet, at another speed.
std::vector<std::vector<NodeId>> portsOfModels(const Graph& graph) {
  using Model = std::tuple<int, std::uint16_t, std::uint16_t, std::uint32_t>;
  std::map<Model, std::vector<NodeId>> ports;
  for (const NodeId id : graph.ofKind(NodeKind::nic)) {
    const Node& node = graph.node(id);
    if (node.bare || node.pci == kNone) continue;
    const PciDevice& device = graph.inventory().pci[static_cast<std::size_t>(node.pci)];
    if (!device.vendor || !device.device) continue;
    if (!nicOf(graph, id).speed.known() || !nicOf(graph, id).up.value_or(true)) continue;
    ports[{node.host, *device.vendor, *device.device, device.classCode}].push_back(id);
  }
  std::vector<std::vector<NodeId>> all;
  for (auto& [model, ids] : ports) all.push_back(std::move(ids));
  return all;
}

std::int64_t megabitsOf(const Graph& graph, NodeId id) {
  return std::llround(nicOf(graph, id).speed.megabitsPerSecond());
}

void judge(const Graph& graph, const std::vector<NodeId>& ports, std::vector<Problem>& problems) {
  std::vector<std::int64_t> speeds;
  for (const NodeId id : ports) speeds.push_back(megabitsOf(graph, id));
  const std::int64_t usual = mostCommon(speeds);
  Alike<std::int64_t> slow;
  std::int64_t asUsual = 0, slower = 0;
  for (const NodeId id : ports) {
    const std::int64_t speed = megabitsOf(graph, id);
    if (speed < usual) slow.add(speed, id), ++slower;
    if (speed == usual) ++asUsual;
  }
  if (ports.size() < kFewestPorts || asUsual < kMostly * slower) return;
  for (const auto& [speed, ids] : slow)
    problems.push_back(
        {Severity::warning,
         {},
         list(graph, ids),
         fmt::format("{} at {:g} Gb/s, where {} of the model run at {:g} Gb/s",
                     agree(ids.size(), "runs", "run"), static_cast<double>(speed) / 1000, asUsual,
                     static_cast<double>(usual) / 1000),
         "look at the cable, the transceiver and the switch's port (`ibstat`, `ethtool`, "
         "`mlxlink`); if another speed is meant there, this is as it should be"});
}

void look(const Graph& graph, std::vector<Problem>& problems) {
  for (const std::vector<NodeId>& ports : portsOfModels(graph)) judge(graph, ports, problems);
}

}  // namespace

extern const Rule kRulesNicSlow{"nic-slow", "a port that is slower than most of its model", look};

}  // namespace lockstep::topology
