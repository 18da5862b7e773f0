#include "topology/rules/evidence/peers.hpp"

#include <map>
#include <tuple>

namespace lockstep::topology {
namespace {

constexpr std::uint16_t kNvidia = 0x10de;

const PciDevice& pciOf(const Graph& graph, NodeId node) {
  return graph.inventory().pci[static_cast<std::size_t>(graph.node(node).pci)];
}

std::vector<NodeId> gpusThatAre(const Graph& graph, bool bare) {
  std::vector<NodeId> gpus;
  for (const NodeId id : graph.ofKind(NodeKind::gpu))
    if (graph.node(id).bare == bare) gpus.push_back(id);
  return gpus;
}

template <class KeyOf>
std::vector<std::vector<NodeId>> grouped(const Graph& graph, KeyOf keyOf) {
  std::map<decltype(keyOf(NodeId{})), std::size_t> known;
  std::vector<std::vector<NodeId>> groups;
  for (const NodeId id : knownGpus(graph)) {
    const auto [group, isNew] = known.try_emplace(keyOf(id), groups.size());
    if (isNew) groups.emplace_back();
    groups[group->second].push_back(id);
  }
  return groups;
}

}  // namespace

std::vector<NodeId> knownGpus(const Graph& graph) {
  return gpusThatAre(graph, false);
}

std::vector<NodeId> bareGpus(const Graph& graph) {
  return gpusThatAre(graph, true);
}

const Gpu& gpuOf(const Graph& graph, NodeId node) {
  return graph.inventory().gpus[static_cast<std::size_t>(graph.node(node).row)];
}

std::vector<std::vector<NodeId>> peerGroups(const Graph& graph) {
  return grouped(graph, [&](NodeId id) {
    const PciDevice& device = pciOf(graph, id);
    return std::tuple(graph.node(id).host, device.vendor, device.device, gpuOf(graph, id).sm);
  });
}

std::vector<std::vector<NodeId>> gpusByHost(const Graph& graph) {
  return grouped(graph, [&](NodeId id) { return graph.node(id).host; });
}

bool isNvidia(const Graph& graph, NodeId gpu) {
  const auto& vendor = pciOf(graph, gpu).vendor;
  return vendor ? *vendor == kNvidia : graph.inventory().version != 2;
}

std::int64_t mostCommon(const std::vector<std::int64_t>& values) {
  std::map<std::int64_t, std::size_t> uses;
  for (const std::int64_t value : values) ++uses[value];
  std::int64_t best = 0;
  std::size_t most = 0;
  for (const auto& [value, count] : uses)
    if (count >= most) best = value, most = count;
  return best;
}

}  // namespace lockstep::topology
