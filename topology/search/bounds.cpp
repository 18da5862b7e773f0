#include "topology/search/bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include <fmt/format.h>

namespace lockstep::topology {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::infinity();
constexpr double kSlack = 1e-9;

struct Part {
  std::string name;
  std::vector<bool> has;  // by node
  NodeId gpu = kNone;
};

/// With everything inside, what is left to cross is the NICs; and before them, their links.
void addAllButNetwork(const Graph& graph, std::vector<Part>& parts) {
  parts.push_back({"the NICs", std::vector<bool>(graph.nodes().size(), true), kNone});
  parts.push_back({"the NICs' links", parts.back().has, kNone});
  for (const NodeId nic : graph.ofKind(NodeKind::nic))
    parts.back().has[static_cast<std::size_t>(nic)] = false;
}

/// A device is part of what it hangs below.
Part below(const Graph& graph, std::string name, const std::vector<NodeId>& tops) {
  Part part{std::move(name), std::vector<bool>(graph.nodes().size()), kNone};
  for (const NodeId top : tops) part.has[static_cast<std::size_t>(top)] = true;
  // Parents have smaller numbers than what hangs below them.
  for (std::size_t id = 0; id < graph.nodes().size(); ++id) {
    const NodeId parent = graph.nodes()[id].parent;
    if (parent != kNone && part.has[static_cast<std::size_t>(parent)]) part.has[id] = true;
  }
  return part;
}

/// Of machines that nobody builds not all switches are looked at: the bound stays one, and may be
/// looser.
constexpr std::size_t kMostTrees = 1024;

void addTrees(const Graph& graph, std::vector<Part>& parts) {
  for (const NodeKind kind : {NodeKind::gpu, NodeKind::pciSwitch, NodeKind::cpu})
    for (const NodeId id : graph.ofKind(kind)) {
      if (kind == NodeKind::pciSwitch && parts.size() >= kMostTrees) break;
      parts.push_back(below(graph, graph.node(id).name, {id}));
      if (kind == NodeKind::gpu) parts.back().gpu = id;
    }
}

void addPackagesAndHosts(const Graph& graph, std::vector<Part>& parts) {
  std::map<std::pair<int, int>, std::vector<NodeId>> packages;
  std::map<int, std::vector<NodeId>> hosts;
  for (const NodeId id : graph.ofKind(NodeKind::cpu)) {
    const Node& node = graph.node(id);
    const int package = graph.inventory().cpus[static_cast<std::size_t>(node.row)].package;
    if (package != kNone) packages[{node.host, package}].push_back(id);
    hosts[node.host].push_back(id);
  }
  for (const auto& [place, cpus] : packages)
    parts.push_back(below(graph, fmt::format("package {}", place.second), cpus));
  for (const auto& [host, cpus] : hosts)
    parts.push_back(below(graph, fmt::format("host {}", host), cpus));
}

/// GPUs that NVLink or xGMI joins, in one hop or several.
void addIslands(const Graph& graph, const Hops& hops, std::vector<Part>& parts) {
  std::vector<bool> seen(static_cast<std::size_t>(hops.gpus()));
  for (int first = 0; first < hops.gpus(); ++first) {
    if (seen[static_cast<std::size_t>(first)]) continue;
    Part part{"the GPUs linked to " + graph.node(hops.gpu(first)).name,
              std::vector<bool>(graph.nodes().size()), kNone};
    std::vector<int> reached{first};
    seen[static_cast<std::size_t>(first)] = true;
    for (std::size_t i = 0; i < reached.size(); ++i) {
      part.has[static_cast<std::size_t>(hops.gpu(reached[i]))] = true;
      for (int next = 0; next < hops.gpus(); ++next) {
        if (seen[static_cast<std::size_t>(next)]) continue;
        if (hops.between(reached[i], next).type > PathType::nvb) continue;
        seen[static_cast<std::size_t>(next)] = true;
        reached.push_back(next);
      }
    }
    if (reached.size() > 1) parts.push_back(std::move(part));
  }
}

/// Which segments hops cross a border by, and what those can carry.
class Border {
 public:
  Border(const Hops& hops, const Part& part)
      : hops_(hops), part_(part), seen_(hops.segments().size()) {}

  void cross(const Hop& hop) {
    for (const Use& use : hop.uses) {
      if (seen_[static_cast<std::size_t>(use.segment)]) continue;
      seen_[static_cast<std::size_t>(use.segment)] = true;
      const Segment& segment = hops_.segments()[static_cast<std::size_t>(use.segment)];
      if (within(segment.from) && !within(segment.to)) outs_.push_back(use.segment);
      if (!within(segment.from) && within(segment.to)) ins_.push_back(use.segment);
    }
  }

  Cut cut() && {
    return {.part = part_.name,
            .gpu = part_.gpu,
            .in = sum(ins_),
            .out = sum(outs_),
            .ins = std::move(ins_),
            .outs = std::move(outs_)};
  }

 private:
  bool within(NodeId id) const { return id != kNone && part_.has[static_cast<std::size_t>(id)]; }

  /// Trunks and what else has no segment could carry anything.
  double sum(const std::vector<int>& segments) const {
    double sum = segments.empty() ? kUnlimited : 0;
    for (const int each : segments)
      sum += hops_.segments()[static_cast<std::size_t>(each)].capacity;
    return sum;
  }

  const Hops& hops_;
  const Part& part_;
  std::vector<bool> seen_;  // by segment
  std::vector<int> ins_, outs_;
};

bool has(const Part& part, const Hops& hops, int gpu) {
  return part.has[static_cast<std::size_t>(hops.gpu(gpu))];
}

/// GPUs inside that rings enter from GPUs outside, or from the network.
bool separates(const Part& part, const Hops& hops) {
  int inside = 0;
  for (int gpu = 0; gpu < hops.gpus(); ++gpu) inside += has(part, hops, gpu) ? 1 : 0;
  return inside > 0 && (inside < hops.gpus() || !hops.ports().empty());
}

Cut cutAround(const Part& part, const Hops& hops) {
  Border border(hops, part);
  for (int a = 0; a < hops.gpus(); ++a) {
    if (!has(part, hops, a)) continue;
    for (int b = 0; b < hops.gpus(); ++b) {
      if (has(part, hops, b)) continue;
      border.cross(hops.between(a, b));
      border.cross(hops.between(b, a));
    }
  }
  for (int port = 0; port < static_cast<int>(hops.ports().size()); ++port)
    for (int gpu = 0; gpu < hops.gpus(); ++gpu) {
      if (!has(part, hops, gpu)) continue;
      border.cross(hops.entering(port, gpu));
      border.cross(hops.leaving(gpu, port));
    }
  return std::move(border).cut();
}

Bandwidth bandwidthOf(double value) {
  return value < kUnlimited ? Bandwidth::bytesPerSecond(value) : Bandwidth{};
}

int fitting(const std::vector<int>& segments, const Hops& hops, double bandwidth) {
  double whole = 0, shared = 0;
  for (const int each : segments) {
    const Segment& segment = hops.segments()[static_cast<std::size_t>(each)];
    const double rings = segment.capacity / bandwidth * (1 + kSlack);
    if (segment.whole)
      whole += std::floor(rings);
    else
      shared += rings;
  }
  const double all = segments.empty() ? kUnlimited : whole + std::floor(shared);
  return static_cast<int>(std::min(all, 1e9));
}

}  // namespace

std::vector<Cut> cutsOf(const Graph& graph, const Hops& hops) {
  std::vector<Part> parts;
  addAllButNetwork(graph, parts);
  addTrees(graph, parts);
  addPackagesAndHosts(graph, parts);
  addIslands(graph, hops, parts);
  std::vector<Cut> cuts;
  for (const Part& part : parts)
    if (separates(part, hops)) cuts.push_back(cutAround(part, hops));
  return cuts;
}

Bound boundOfRings(const std::vector<Cut>& cuts) {
  double least = kUnlimited;
  Bound bound;
  for (const Cut& cut : cuts) {
    const double both = std::min(cut.in, cut.out);
    if (both >= least) continue;
    least = both;
    bound.by = cut.part;
  }
  bound.bandwidth = bandwidthOf(least);
  return bound;
}

Bound boundOfTrees(const std::vector<Cut>& cuts, int gpus) {
  Bound bound = boundOfRings(cuts);
  double sum = 0;
  for (const Cut& cut : cuts)
    if (cut.gpu != kNone) sum += std::min(cut.in, cut.out);
  if (gpus < 2) return bound;
  const Bandwidth together = bandwidthOf(sum / (2.0 * (gpus - 1)));
  if (together.known() && narrower(together, bound.bandwidth) == together)
    bound = {together, "all GPUs together"};
  return bound;
}

int mostRings(const std::vector<Cut>& cuts, const Hops& hops, double bandwidth) {
  int most = std::numeric_limits<int>::max();
  for (const Cut& cut : cuts)
    most = std::min({most, fitting(cut.ins, hops, bandwidth), fitting(cut.outs, hops, bandwidth)});
  return most;
}

}  // namespace lockstep::topology
