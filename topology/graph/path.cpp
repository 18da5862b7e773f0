#include "topology/graph/path.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace lockstep::topology {

std::string_view name(PathType type) {
  constexpr std::array<std::string_view, 12> kNames{"LOC", "NVL", "NVB", "C2C", "PIX", "PXB",
                                                    "P2C", "PXN", "PHB", "SYS", "NET", "DIS"};
  return kNames[static_cast<std::size_t>(type)];
}

namespace {

bool isGpuLink(LinkKind kind) {
  return kind == LinkKind::nvlink || kind == LinkKind::xgmi;
}

/// NVLinks or xGMI links side by side, as far as both ends tell them.
struct Strand {
  int count = 0;
  Bandwidth bandwidth;
  LinkKind kind = LinkKind::nvlink;
};

Strand narrower(const Strand& a, const Strand& b) {
  return {std::min(a.count, b.count), narrower(a.bandwidth, b.bandwidth), a.kind};
}

/// `path`, continued by `next`, which begins where `path` ends.
Path joined(Path path, const Path& next, PathType type) {
  path.steps.insert(path.steps.end(), next.steps.begin() + 1, next.steps.end());
  path.bottleneck = narrower(path.bottleneck, next.bottleneck);
  path.links = path.links == 0 ? next.links : path.links;
  path.type = type;
  return path;
}

class PathFinder {
 public:
  PathFinder(const Graph& graph, Routing routing) : graph_(graph), routing_(routing) {}

  Path find(NodeId from, NodeId to) const {
    if (from == to) return {.type = PathType::loc, .steps = {{from}}, .bottleneck = {}};
    Path best = byGpuLinks(from, to);
    if (best.type == PathType::nvl) return best;  // nothing is nearer
    best = local(from, to);
    if (routing_.throughGpus && best.type > PathType::nvb)
      best = nearer(best, throughGpu(from, to));
    if (routing_.pxn && best.type > PathType::pxn) best = nearer(best, throughPeer(from, to));
    if (best.type == PathType::dis) best = byNetwork(from, to);
    return best;
  }

 private:
  static Path nearer(Path a, Path b) { return b.type < a.type ? std::move(b) : std::move(a); }

  bool isA(NodeId id, NodeKind kind) const { return graph_.node(id).kind == kind; }

  std::optional<Strand> strand(NodeId a, NodeId b) const {
    const Link* there = gpuLink(a, b);
    const Link* back = there == nullptr ? nullptr : gpuLink(b, a);
    if (back == nullptr) return std::nullopt;
    return narrower(Strand{there->count, there->bandwidth, there->kind},
                    Strand{back->count, back->bandwidth, back->kind});
  }

  /// xGMI where there is any, or else NVLink, which comes just before.
  const Link* gpuLink(NodeId from, NodeId to) const {
    const std::vector<int>& all = graph_.linksByTarget(from);
    const auto at = [&](int position) -> const Link& {
      return graph_.links()[static_cast<std::size_t>(position)];
    };
    const auto after =
        std::upper_bound(all.begin(), all.end(), std::pair(to, LinkKind::xgmi),
                         [&](const auto& wanted, int position) {
                           return wanted < std::pair(at(position).to, at(position).kind);
                         });
    if (after == all.begin()) return nullptr;
    const Link& link = at(*(after - 1));
    return link.to == to && isGpuLink(link.kind) ? &link : nullptr;
  }

  /// Directly, or by NVSwitches.
  Path byGpuLinks(NodeId from, NodeId to) const {
    if (const auto direct = strand(from, to)) return straight(from, {}, to, *direct);
    if (isA(from, NodeKind::gpu) && isA(to, NodeKind::gpu)) return bySwitches(from, to);
    return {};
  }

  static Path straight(NodeId from, std::vector<std::vector<NodeId>> between, NodeId to,
                       const Strand& strand) {
    Path path{.type = PathType::nvl, .steps = {{from}}, .bottleneck = strand.bandwidth};
    for (std::vector<NodeId>& step : between) path.steps.push_back(std::move(step));
    path.steps.push_back({to});
    path.links = strand.count;
    path.first = strand.kind;
    return path;
  }

  /// Every switch that both reach carries what its thinner side can. Where they reach none
  /// together, each has the switches of its own board, and trunks join the boards, as in a DGX-2.
  Path bySwitches(NodeId from, NodeId to) const {
    Strand common, mine, theirs;
    std::vector<NodeId> shared, first, second;
    const std::vector<ToSwitch> ups = toSwitches(from);
    const std::vector<ToSwitch> downs = toSwitches(to);
    for (const auto& [chip, up] : ups) add(mine, up), first.push_back(chip);
    for (const auto& [chip, down] : downs) add(theirs, down), second.push_back(chip);
    for (auto up = ups.begin(), down = downs.begin(); up != ups.end() && down != downs.end();) {
      if (up->chip == down->chip)
        add(common, narrower(up->strand, down->strand)), shared.push_back(up->chip);
      const bool next = up->chip <= down->chip;
      if (down->chip <= up->chip) ++down;
      if (next) ++up;
    }
    if (!shared.empty()) return straight(from, {shared}, to, common);
    const bool oneMachine = graph_.node(from).host == graph_.node(to).host;
    if (first.empty() || second.empty() || !oneMachine) return {};
    return straight(from, {first, second}, to, narrower(mine, theirs));
  }

  struct ToSwitch {
    NodeId chip;
    Strand strand;
  };

  /// By switch. A graph has the links of GPUs and NVSwitches in both directions alike.
  std::vector<ToSwitch> toSwitches(NodeId gpu) const {
    std::vector<ToSwitch> all;
    for (const int position : graph_.linksByTarget(gpu)) {
      const Link& link = graph_.links()[static_cast<std::size_t>(position)];
      if (!isGpuLink(link.kind) || !isA(link.to, NodeKind::nvSwitch)) continue;
      if (!all.empty() && all.back().chip == link.to) all.pop_back();  // as strand() prefers
      all.push_back({link.to, {link.count, link.bandwidth, link.kind}});
    }
    return all;
  }

  static void add(Strand& sum, const Strand& part) {
    sum.count += part.count;
    sum.bandwidth += part.bandwidth;
    sum.kind = part.kind;
  }

  /// By the widest way over one other GPU that is linked to both.
  Path throughGpu(NodeId from, NodeId to) const {
    if (!isA(from, NodeKind::gpu) || !isA(to, NodeKind::gpu)) return {};
    NodeId by = kNone;  // of equals the first
    Strand widest;
    for (const int position : graph_.linksByTarget(from)) {
      const Link& link = graph_.links()[static_cast<std::size_t>(position)];
      if (!isGpuLink(link.kind) || !isA(link.to, NodeKind::gpu) || link.to == to) continue;
      const bool narrow = link.bandwidth.known() && link.bandwidth <= widest.bandwidth;
      if (by != kNone && narrow) continue;
      const auto down = strand(link.to, to);
      const auto up = down ? strand(from, link.to) : std::nullopt;
      if (!up) continue;
      const Strand both = narrower(*up, *down);
      if (by != kNone && both.bandwidth <= widest.bandwidth) continue;
      by = link.to;
      widest = both;
    }
    if (by == kNone) return {};
    Path path = straight(from, {{by}}, to, widest);
    path.type = PathType::nvb;
    return path;
  }

  /// To a NIC by NVLink to a GPU near it: below its switch, or on its Grace (NCCL_PXN_C2C). As NCCL
  /// does, on one machine, also where NVLinks reach others.
  Path throughPeer(NodeId from, NodeId to) const {
    if (isA(from, NodeKind::nic) && isA(to, NodeKind::gpu)) return reversed(throughPeer(to, from));
    Path best;
    PathType nearest = PathType::dis;
    if (!isA(from, NodeKind::gpu) || !isA(to, NodeKind::nic)) return best;
    for (const NodeId peer : graph_.ofKind(NodeKind::gpu)) {
      if (peer == from || graph_.node(peer).host != graph_.node(from).host) continue;
      const Path last = local(peer, to);
      if (last.type > PathType::p2c || last.type >= nearest) continue;
      const Path hop = byGpuLinks(from, peer);
      if (hop.type != PathType::nvl) continue;
      best = joined(hop, last, PathType::pxn);
      nearest = last.type;
    }
    return best;
  }

  static Path reversed(Path path) {
    std::reverse(path.steps.begin(), path.steps.end());
    return path;
  }

  // Inside one machine, by PCIe, chip-to-chip links and the CPUs.

  /// Up the tree: the node itself, its switches, its CPU.
  std::vector<NodeId> upwards(NodeId id) const {
    std::vector<NodeId> chain{id};
    while (!isA(chain.back(), NodeKind::cpu)) {
      const NodeId above = graph_.node(chain.back()).parent;
      if (above == kNone) break;
      chain.push_back(above);
    }
    return chain;
  }

  Path local(NodeId from, NodeId to) const {
    const Path tree = byTree(from, to);
    if (tree.type <= PathType::pxb) return tree;
    return nearer(byCpus(from, to), tree);
  }

  /// By the lowest switch that is above both, or by two that are one chip.
  Path byTree(NodeId from, NodeId to) const {
    if (sameCard(from, to)) {
      Path path{.type = PathType::pix, .steps = {{from}, {to}}, .bottleneck = {}};
      return path;
    }
    const std::vector<NodeId> up = upwards(from);
    const std::vector<NodeId> down = upwards(to);
    for (auto meet = up.begin(); meet != up.end(); ++meet) {
      if (isA(*meet, NodeKind::cpu)) break;
      const auto other = std::find(down.begin(), down.end(), *meet);
      if (other == down.end()) continue;
      std::vector<NodeId> way(up.begin(), meet + 1);
      way.insert(way.end(), std::make_reverse_iterator(other), down.rend());
      return along(way);
    }
    return byPeerSwitches(up, down);
  }

  Path byPeerSwitches(const std::vector<NodeId>& up, const std::vector<NodeId>& down) const {
    for (auto mine = up.begin(); mine != up.end(); ++mine) {
      if (!isA(*mine, NodeKind::pciSwitch)) continue;
      const auto theirs = nearestPeer(*mine, down);
      if (theirs == down.end()) continue;
      std::vector<NodeId> way(up.begin(), mine + 1);
      way.insert(way.end(), std::make_reverse_iterator(theirs + 1), down.rend());
      return along(way);
    }
    return {};
  }

  /// The first of `down` that is one chip with this switch, or the end. Few are with any, and
  /// chains may be long.
  std::vector<NodeId>::const_iterator nearestPeer(NodeId mine,
                                                  const std::vector<NodeId>& down) const {
    auto nearest = down.end();
    for (const int position : graph_.linksFrom(mine)) {
      const Link& link = graph_.links()[static_cast<std::size_t>(position)];
      if (link.kind != LinkKind::pcie || !isA(link.to, NodeKind::pciSwitch)) continue;
      nearest = std::min(nearest, std::find(down.begin(), down.end(), link.to));
    }
    return nearest;
  }

  /// Ports of one card; functions of one PCI device.
  bool sameCard(NodeId from, NodeId to) const {
    const Node& a = graph_.node(from);
    const Node& b = graph_.node(to);
    return a.kind == NodeKind::nic && b.kind == NodeKind::nic && a.pci != kNone && b.pci != kNone &&
           a.host == b.host && a.bus.sameDevice(b.bus);
  }

  Path along(const std::vector<NodeId>& way) const {
    Path path{.steps = {{way.front()}}, .bottleneck = {}};
    int switches = isA(way.front(), NodeKind::pciSwitch) ? 1 : 0;
    for (std::size_t i = 1; i < way.size(); ++i) {
      switches += isA(way[i], NodeKind::pciSwitch) ? 1 : 0;
      path.steps.push_back({way[i]});
      if (const Link* link = graph_.link(way[i - 1], way[i], LinkKind::pcie))
        path.bottleneck = narrower(path.bottleneck, link->bandwidth);
    }
    path.type = switches > 1 ? PathType::pxb : PathType::pix;
    return path;
  }

  /// To its CPU: by chip-to-chip link or NVLink where it has one, or by PCIe. A CPU is there
  /// already.
  Path toCpu(NodeId id) const {
    const NodeId cpu = graph_.node(id).cpu;
    if (cpu == id) return {.type = PathType::loc, .steps = {{id}}, .bottleneck = {}};
    if (cpu == kNone) return {};
    if (const auto links = strand(id, cpu)) return straight(id, {}, cpu, *links);
    if (const Link* link = graph_.link(id, cpu, LinkKind::chipToChip))
      return {.type = PathType::c2c,
              .steps = {{id}, {cpu}},
              .bottleneck = link->bandwidth,
              .first = LinkKind::chipToChip};
    const std::vector<NodeId> way = upwards(id);
    if (way.back() != cpu) return {};
    Path path = along(way);
    path.type = PathType::phb;
    return path;
  }

  Path byCpus(NodeId from, NodeId to) const {
    const Path up = toCpu(from);
    const Path down = reversed(toCpu(to));
    if (up.type == PathType::dis || down.type == PathType::dis) return {};
    const NodeId a = up.steps.back().front();
    const NodeId b = down.steps.front().front();
    if (a == b) return joined(up, down, atOneCpu(up.type, down.type));
    const Link* link = graph_.link(a, b, LinkKind::interCpu);
    if (link == nullptr) return {};
    const Path across{.type = PathType::sys, .steps = {{a}, {b}}, .bottleneck = link->bandwidth};
    return joined(joined(up, across, PathType::sys), down, PathType::sys);
  }

  /// NCCL's mergePathType (src/graph/paths.cc): PCIe and chip-to-chip make P2C, or else the farther
  /// of the two counts. So does NVLink to the CPU, as POWER9 has it.
  static PathType atOneCpu(PathType a, PathType b) {
    const auto [nearer, farther] = std::minmax(a, b);
    const bool mixed = farther == PathType::phb && nearer == PathType::c2c;
    return mixed ? PathType::p2c : farther;
  }

  // Between machines.

  Path byNetwork(NodeId from, NodeId to) const {
    if (graph_.ofKind(NodeKind::network).empty() || graph_.node(from).host == graph_.node(to).host)
      return {};
    const Path out = toNetwork(from);
    const Path in = reversed(toNetwork(to));
    if (out.steps.empty() || in.steps.empty()) return {};
    return joined(out, in, PathType::net);
  }

  /// By the nearest NIC, and of those the fastest.
  Path toNetwork(NodeId from) const {
    Path best;
    PathType nearest = PathType::dis;
    const NodeId network = graph_.ofKind(NodeKind::network).front();
    for (const NodeId nic : graph_.ofKind(NodeKind::nic)) {
      if (graph_.node(nic).host != graph_.node(from).host) continue;
      const Link* link = graph_.link(nic, network, LinkKind::network);
      if (link == nullptr) continue;
      const Path near = nic == from
                            ? Path{.type = PathType::loc, .steps = {{from}}, .bottleneck = {}}
                            : local(from, nic);
      const Path last{.steps = {{nic}, {network}}, .bottleneck = link->bandwidth};
      Path path = near.steps.empty() ? Path{} : joined(near, last, PathType::net);
      const bool better =
          near.type < nearest || (near.type == nearest && path.bottleneck > best.bottleneck);
      if (path.steps.empty() || !better) continue;
      best = std::move(path);
      nearest = near.type;
    }
    return best;
  }

  const Graph& graph_;
  const Routing routing_;
};

}  // namespace

Path findPath(const Graph& graph, NodeId from, NodeId to, Routing routing) {
  return PathFinder(graph, routing).find(from, to);
}

}  // namespace lockstep::topology
