// The links of a graph.
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "topology/graph/bandwidths.hpp"
#include "topology/graph/graph_builder.hpp"

namespace lockstep::topology {
namespace {

/// RCCL tells AMD's GPUs apart by this attribute of <gpu>.
std::string_view gcnOf(const Gpu& gpu) {
  for (const auto& [name, value] : gpu.other)
    if (name == "gcn") return value;
  return {};
}

Bandwidth bandwidthOf(const Gpu& gpu, const GpuLinks& links) {
  const Bandwidth each =
      links.kind == GpuLinkKind::nvlink ? nvlinkBandwidth(gpu.sm) : xgmiBandwidth(gcnOf(gpu));
  return each * links.count;
}

LinkKind kindOf(const GpuLinks& links) {
  return links.kind == GpuLinkKind::nvlink ? LinkKind::nvlink : LinkKind::xgmi;
}

/// Sources that are no files of ours may tell any counts.
int sumOf(int a, int b) {
  const long long sum = static_cast<long long>(a) + b;
  return static_cast<int>(std::min<long long>(sum, std::numeric_limits<int>::max()));
}

/// A hostile file can make one of every row.
constexpr std::size_t kMostGraphRemarks = 100;

}  // namespace

void GraphBuilder::remark(std::string text) {
  if (graph_.remarks_.size() < kMostGraphRemarks) graph_.remarks_.push_back(std::move(text));
}

/// For links that no source tells twice: a CPU may have thousands of children, and each is here
/// once.
void GraphBuilder::append(NodeId from, NodeId to, LinkKind kind, int count, Bandwidth bandwidth) {
  graph_.out_[static_cast<std::size_t>(from)].push_back(static_cast<int>(graph_.links_.size()));
  graph_.links_.push_back({from, to, kind, count, bandwidth});
}

/// A source may name one target in several rows: they are one link.
void GraphBuilder::connect(NodeId from, NodeId to, LinkKind kind, int count, Bandwidth bandwidth) {
  const auto [place, isNew] = linkAt_.try_emplace({from, to, kind}, graph_.links_.size());
  if (isNew) return append(from, to, kind, count, bandwidth);
  Link& link = graph_.links_[place->second];
  link.count = sumOf(link.count, count);
  link.bandwidth += bandwidth;
}

void GraphBuilder::connectBoth(NodeId a, NodeId b, LinkKind kind, int count, Bandwidth bandwidth) {
  connect(a, b, kind, count, bandwidth);
  connect(b, a, kind, count, bandwidth);
}

void GraphBuilder::linkPcie() {
  for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes_.size()); ++id) {
    const Node& child = node(id);
    if (child.parent == kNone || child.kind == NodeKind::cpu) continue;
    const PcieLink link = child.pci == kNone ? PcieLink{} : pci(child.pci).link;
    append(id, child.parent, LinkKind::pcie, link.width, pcieBandwidth(link));
    append(child.parent, id, LinkKind::pcie, link.width, pcieBandwidth(link));
  }
}

/// Itself, above it, below it, or linked to it by connect().
bool GraphBuilder::isNeighbour(NodeId id, NodeId other) const {
  return id == other || graph_.node(id).parent == other || graph_.node(other).parent == id ||
         linkAt_.contains({id, other, LinkKind::pcie});
}

/// Without a bandwidth: they are parts of one chip, which is no narrower than its ports. Both may
/// tell of it.
void GraphBuilder::linkPeerSwitches() {
  for (std::size_t row = 0; row < inventory_.pci.size(); ++row) {
    const NodeId id = switchOfPci_[row];
    if (id == kNone) continue;
    for (const BusId& peer : inventory_.pci[row].peerSwitches) {
      const auto found = pciAt_.find({node(id).host, peer});
      const NodeId other =
          found == pciAt_.end() ? kNone : switchOfPci_[static_cast<std::size_t>(found->second)];
      if (other == kNone)
        remark(fmt::format("{}: its pcilink leads to {}, where no PCIe switch is; left out",
                           node(id).name, print(peer)));
      else if (!isNeighbour(id, other))
        connectBoth(id, other, LinkKind::pcie, 0, {});
    }
  }
}

void GraphBuilder::linkCpus() {
  const std::vector<NodeId>& cpus = graph_.ofKind(NodeKind::cpu);
  for (const NodeId a : cpus)
    for (const NodeId b : cpus) {
      if (a == b || node(a).host != node(b).host) continue;
      const Bandwidth bandwidth =
          interCpuBandwidth(inventory_.cpus[static_cast<std::size_t>(node(a).row)],
                            inventory_.cpus[static_cast<std::size_t>(node(b).row)]);
      append(a, b, LinkKind::interCpu, 1, bandwidth);
    }
}

void GraphBuilder::linkGpus() {
  for (const NodeId id : gpuOfRow_) {
    const Gpu& gpu = inventory_.gpus[static_cast<std::size_t>(node(id).row)];
    for (const GpuLinks& links : gpu.links)
      if (links.count > 0) linkToTarget(id, links);
    for (const ChipToChip& link : gpu.chipToChip) {
      if (node(id).cpu == kNone || link.count <= 0) continue;
      connectBoth(id, node(id).cpu, LinkKind::chipToChip, link.count, link.each * link.count);
    }
  }
}

void GraphBuilder::linkToTarget(NodeId id, const GpuLinks& links) {
  const Gpu& gpu = inventory_.gpus[static_cast<std::size_t>(node(id).row)];
  const Bandwidth bandwidth = bandwidthOf(gpu, links);
  const std::uint32_t target = targetClass(id, links);
  if (target == pci_class::kNvSwitch) {
    const int host = links.target == kInvisibleSwitch ? kNone : node(id).host;
    connectBoth(id, nvSwitchAt_.at({host, links.target}), kindOf(links), links.count, bandwidth);
    return;
  }
  if (target == pci_class::kCpu) {
    if (node(id).cpu != kNone) connectBoth(id, node(id).cpu, kindOf(links), links.count, bandwidth);
    return;
  }
  const auto gpuThere = gpuAt_.find({node(id).host, links.target});
  if (gpuThere == gpuAt_.end()) {
    remark(fmt::format("{}: {} {}s lead to {}, where no GPU is; left out", node(id).name,
                       links.count, name(kindOf(links)), print(links.target)));
  } else if (gpuThere->second == id) {
    remark(
        fmt::format("{}: {} {}s lead to itself ({}), as some virtual machines show them; which GPU "
                    "they reach is "
                    "not known, so they are left out",
                    node(id).name, links.count, name(kindOf(links)), print(links.target)));
  } else {
    connect(id, gpuThere->second, kindOf(links), links.count, bandwidth);
  }
}

void GraphBuilder::linkNetwork() {
  if (graph_.ofKind(NodeKind::network).empty()) return;
  const NodeId network = graph_.ofKind(NodeKind::network).front();
  for (const NodeId id : graph_.ofKind(NodeKind::nic)) {
    if (node(id).bare) continue;
    const Nic& nic = inventory_.nics[static_cast<std::size_t>(node(id).row)];
    if (nic.up == false) continue;
    append(id, network, LinkKind::network, 1, nic.speed);
    append(network, id, LinkKind::network, 1, nic.speed);
  }
}

void GraphBuilder::sortLinks() {
  graph_.byTarget_ = graph_.out_;
  const auto place = [&](int position) {
    const Link& link = graph_.links_[static_cast<std::size_t>(position)];
    return std::tuple(link.to, link.kind, position);
  };
  for (std::vector<int>& links : graph_.byTarget_)
    std::sort(links.begin(), links.end(), [&](int a, int b) { return place(a) < place(b); });
}

}  // namespace lockstep::topology
