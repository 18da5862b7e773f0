#include "topology/search/hops.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

namespace lockstep::topology {
namespace {

double capacityOf(Bandwidth bandwidth) {
  return bandwidth.known() ? bandwidth.bytesPerSecond() : std::numeric_limits<double>::infinity();
}

/// Which link paths take where two nodes have several: findPath prefers them in this order.
std::size_t preference(LinkKind kind) {
  constexpr std::array kPreferred{LinkKind::nvlink,   LinkKind::xgmi, LinkKind::chipToChip,
                                  LinkKind::interCpu, LinkKind::pcie, LinkKind::network};
  return static_cast<std::size_t>(std::find(kPreferred.begin(), kPreferred.end(), kind) -
                                  kPreferred.begin());
}

/// Where two ends tell different counts, the fewer work: so do paths count.
Bandwidth agreed(const Graph& graph, const Link& link) {
  if (link.kind != LinkKind::nvlink && link.kind != LinkKind::xgmi) return link.bandwidth;
  const Link* twin = graph.link(link.to, link.from, link.kind);
  return twin == nullptr ? link.bandwidth : narrower(link.bandwidth, twin->bandwidth);
}

bool isUp(const Graph& graph, NodeId nic) {
  const Node& node = graph.node(nic);
  return node.bare || graph.inventory().nics[static_cast<std::size_t>(node.row)].up != false;
}

using NicPaths = std::vector<std::pair<NodeId, Path>>;

/// Those of the nearest type.
NicPaths nearestOf(NicPaths paths) {
  PathType nearest = PathType::dis;
  for (const auto& [nic, path] : paths) nearest = std::min(nearest, path.type);
  std::erase_if(paths, [&](const auto& each) {
    return each.second.type != nearest || each.second.steps.empty();
  });
  return paths;
}

NicPaths pathsTo(const Graph& graph, NodeId gpu, const std::vector<NodeId>& nics, Routing routing) {
  NicPaths paths;
  for (const NodeId nic : nics)
    if (isUp(graph, nic) && graph.node(nic).host == graph.node(gpu).host)
      paths.emplace_back(nic, findPath(graph, gpu, nic, routing));
  return paths;
}

/// Of each GPU the nearest NICs, with the paths there. By another GPU only to a NIC that is near
/// to one.
std::vector<NicPaths> nearestNics(const Graph& graph, const std::vector<NodeId>& gpus) {
  std::vector<NicPaths> nearest;
  std::set<NodeId> nearOne;
  for (const NodeId gpu : gpus) {
    nearest.push_back(nearestOf(pathsTo(graph, gpu, graph.ofKind(NodeKind::nic), {})));
    for (const auto& [nic, path] : nearest.back())
      if (path.type <= PathType::pxb) nearOne.insert(nic);
  }
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    if (!nearest[i].empty() && nearest[i].front().second.type <= PathType::pxb) continue;
    NicPaths more = pathsTo(graph, gpus[i], {nearOne.begin(), nearOne.end()}, {.pxn = true});
    more.insert(more.end(), nearest[i].begin(), nearest[i].end());
    nearest[i] = nearestOf(std::move(more));
  }
  return nearest;
}

}  // namespace

Hops::Hops(const Graph& graph, bool withNics) : gpus_(graph.ofKind(NodeKind::gpu)) {
  addSegments(graph);
  shareLinksOfCards(graph);
  between_.resize(gpus_.size() * gpus_.size());
  for (int from = 0; from < gpus(); ++from)
    for (int to = 0; to < gpus(); ++to)
      if (from != to) between_[index(from, to)] = hopOf(graph, findPath(graph, gpu(from), gpu(to)));
  if (withNics) addPorts(graph);
}

void Hops::addSegments(const Graph& graph) {
  for (const Link& link : graph.links()) {
    const int position = static_cast<int>(segments_.size());
    carrier_.push_back(position);
    segments_.push_back(
        {.from = link.from, .to = link.to, .capacity = capacityOf(agreed(graph, link))});
    const auto [known, fresh] = linkOf_.try_emplace(key(link.from, link.to), position);
    const LinkKind other = graph.links()[static_cast<std::size_t>(known->second)].kind;
    if (!fresh && preference(link.kind) < preference(other)) known->second = position;
  }
}

/// The ports of one card are nodes of their own in the graph, each with a link to what is above;
/// the card has one.
void Hops::shareLinksOfCards(const Graph& graph) {
  using Card = std::tuple<int, std::uint32_t, std::uint8_t, std::uint8_t, bool>;
  std::map<Card, int> first;
  for (std::size_t i = 0; i < graph.links().size(); ++i) {
    const Link& link = graph.links()[i];
    if (link.kind != LinkKind::pcie) continue;
    const bool up = graph.node(link.from).kind == NodeKind::nic;
    const Node& nic = graph.node(up ? link.from : link.to);
    if (nic.kind != NodeKind::nic || nic.pci == kNone) continue;
    const Card card{nic.host, nic.bus.domain, nic.bus.bus, nic.bus.device, up};
    carrier_[i] = first.try_emplace(card, static_cast<int>(i)).first->second;
  }
}

Hop Hops::hopOf(const Graph& graph, const Path& path) {
  Hop hop{.type = path.type, .uses = {}};
  for (std::size_t step = 0; step + 1 < path.steps.size(); ++step) addUses(graph, path, step, hop);
  return hop;
}

/// What each switch of a step that is taken side by side has of the traffic: by the links that lead
/// through it, where the graph has them.
std::vector<double> Hops::sharesOf(const Graph& graph, const Path& path, std::size_t step) const {
  std::vector<double> shares;
  for (const NodeId chip : path.steps[step]) {
    const int up = linkBetween(path.steps[step - 1].front(), chip);
    const int down = linkBetween(chip, path.steps[step + 1].front());
    const auto count = [&](int link) {
      return link == kNone ? std::numeric_limits<int>::max()
                           : graph.links()[static_cast<std::size_t>(link)].count;
    };
    shares.push_back(std::min(count(up), count(down)));
  }
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= sum;
  return shares;
}

/// From one step to the next. Of trunks between the switches of two boards no source says how wide
/// they are.
void Hops::addUses(const Graph& graph, const Path& path, std::size_t step, Hop& hop) {
  const std::vector<NodeId>& here = path.steps[step];
  const std::vector<NodeId>& there = path.steps[step + 1];
  if (here.size() > 1 && there.size() > 1) return;
  const bool spreads = there.size() > 1;
  const std::vector<NodeId>& side = spreads ? there : here;
  const std::vector<double> shares =
      side.size() > 1 ? sharesOf(graph, path, spreads ? step + 1 : step) : std::vector<double>{1.0};
  for (std::size_t i = 0; i < side.size(); ++i) {
    const int link =
        linkBetween(spreads ? here.front() : side[i], spreads ? side[i] : there.front());
    if (link == kNone) continue;
    const int segment = carrier_[static_cast<std::size_t>(link)];
    hop.uses.push_back({segment, shares[i]});
    if (side.size() > 1) segments_[static_cast<std::size_t>(segment)].whole = false;
  }
}

/// Only NICs that are the nearest of some GPU: a ring that fetches its data at the far end of the
/// machine takes from the others what it gains.
void Hops::addPorts(const Graph& graph) {
  const std::vector<NicPaths> nearest = nearestNics(graph, gpus_);
  std::vector<NodeId> nics;
  for (const NicPaths& paths : nearest)
    for (const auto& [nic, path] : paths) nics.push_back(nic);
  std::sort(nics.begin(), nics.end());
  nics.erase(std::unique(nics.begin(), nics.end()), nics.end());
  for (const NodeId nic : nics) addPort(graph, nic);
  leaving_.resize(ports_.size() * gpus_.size());
  entering_.resize(ports_.size() * gpus_.size());
  std::vector<PathType> closest(ports_.size(), PathType::dis);
  const auto each = [&](auto&& visit) {
    for (int gpu = 0; gpu < gpus(); ++gpu)
      for (const auto& [nic, path] : nearest[static_cast<std::size_t>(gpu)])
        visit(static_cast<int>(std::lower_bound(nics.begin(), nics.end(), nic) - nics.begin()), gpu,
              path);
  };
  each([&](int port, int gpu, const Path& path) {
    Hop& hop = leaving_[index(port, gpu)] = hopOf(graph, path);
    hop.uses.push_back({ports_[static_cast<std::size_t>(port)].out, 1});
    PathType& type = closest[static_cast<std::size_t>(port)];
    type = std::min(type, path.type);
  });
  each([&](int port, int gpu, const Path& path) {
    if (path.type != closest[static_cast<std::size_t>(port)]) return;
    Port& entry = ports_[static_cast<std::size_t>(port)];
    entry.entries.push_back(gpu);
    Hop& hop = entering_[index(port, gpu)] =
        hopOf(graph, findPath(graph, entry.nic, this->gpu(gpu), {.pxn = true}));
    hop.uses.push_back({entry.in, 1});
  });
}

void Hops::addPort(const Graph& graph, NodeId nic) {
  ports_.push_back({.nic = nic,
                    .in = networkSegment(graph, nic, false),
                    .out = networkSegment(graph, nic, true),
                    .entries = {}});
}

/// The graph's own link where it has a network, for hops between its machines cross that too.
int Hops::networkSegment(const Graph& graph, NodeId nic, bool out) {
  for (std::size_t i = 0; i < graph.links().size(); ++i) {
    const Link& link = graph.links()[i];
    if (link.kind == LinkKind::network && (out ? link.from : link.to) == nic) return carrier_[i];
  }
  const Node& node = graph.node(nic);
  const Bandwidth speed =
      node.bare ? Bandwidth{} : graph.inventory().nics[static_cast<std::size_t>(node.row)].speed;
  segments_.push_back(
      {.from = out ? nic : kNone, .to = out ? kNone : nic, .capacity = capacityOf(speed)});
  return static_cast<int>(segments_.size()) - 1;
}

double Hops::bottleneck(const Hop& hop) const {
  double narrowest = std::numeric_limits<double>::infinity();
  for (const Use& use : hop.uses)
    narrowest =
        std::min(narrowest, segments_[static_cast<std::size_t>(use.segment)].capacity / use.share);
  return narrowest;
}

void Loads::add(const Hop& hop) {
  for (const Use& use : hop.uses) add(use.segment, use.share);
}

Bandwidth Loads::each() const {
  double each = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < load_.size(); ++i)
    if (load_[i] > 0) each = std::min(each, hops_.segments()[i].capacity / load_[i]);
  return each == std::numeric_limits<double>::infinity() ? Bandwidth{}
                                                         : Bandwidth::bytesPerSecond(each);
}

}  // namespace lockstep::topology
