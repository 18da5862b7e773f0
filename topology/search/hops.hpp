// Ways from GPU to GPU and between GPUs and NICs, as what they take of the links that others cross
// too: all that a search needs to know of a graph.
#pragma once

#include <cstdint>
#include <limits>
#include <unordered_map>
#include <vector>

#include "topology/graph/graph.hpp"
#include "topology/graph/path.hpp"

namespace lockstep::topology {

/// One direction of a link, shared by all that cross it.
struct Segment {
  NodeId from = kNone;
  NodeId to = kNone;                                          ///< kNone: what is beyond a NIC
  double capacity = std::numeric_limits<double>::infinity();  ///< bytes/s; infinite: not known
  bool whole = true;  ///< whoever crosses it does so with all it has: a ring fits or does not
};

/// What a segment carries of everything that takes the hop: 1, or less where parts go side by side,
/// as over the switches of an NVSwitch machine.
struct Use {
  int segment = 0;
  double share = 1;
};

struct Hop {
  PathType type = PathType::dis;
  std::vector<Use> uses;
};

/// A NIC that rings may enter and leave by: it is up, and the nearest to some GPU.
struct Port {
  NodeId nic = kNone;
  int in = 0, out = 0;       ///< segments: from the network, and to it
  std::vector<int> entries;  ///< GPUs that it is the nearest to, themselves its nearest; positions
};

/// GPUs and NICs go by positions here: 0 to gpus() - 1, and in ports().
class Hops {
 public:
  Hops(const Graph& graph, bool withNics);

  int gpus() const { return static_cast<int>(gpus_.size()); }
  NodeId gpu(int position) const { return gpus_[static_cast<std::size_t>(position)]; }
  const std::vector<Segment>& segments() const { return segments_; }
  const std::vector<Port>& ports() const { return ports_; }

  /// As findPath goes.
  const Hop& between(int from, int to) const { return between_[index(from, to)]; }
  /// By NVLink and a GPU near the NIC (PXN) where that is nearer. dis: not its nearest NIC.
  const Hop& leaving(int gpu, int port) const { return leaving_[index(port, gpu)]; }
  /// dis: not one of the port's entries.
  const Hop& entering(int port, int gpu) const { return entering_[index(port, gpu)]; }

  /// Bytes/s of one that has the hop for itself; infinite where nothing on it is known.
  double bottleneck(const Hop& hop) const;

 private:
  std::size_t index(int row, int gpu) const {
    return static_cast<std::size_t>(row) * gpus_.size() + static_cast<std::size_t>(gpu);
  }
  static std::uint64_t key(NodeId from, NodeId to) {
    return static_cast<std::uint64_t>(from) << 32 | static_cast<std::uint32_t>(to);
  }
  int linkBetween(NodeId from, NodeId to) const {
    const auto known = linkOf_.find(key(from, to));
    return known == linkOf_.end() ? kNone : known->second;
  }
  void addSegments(const Graph& graph);
  void shareLinksOfCards(const Graph& graph);
  void addPorts(const Graph& graph);
  void addPort(const Graph& graph, NodeId nic);
  int networkSegment(const Graph& graph, NodeId nic, bool out);
  Hop hopOf(const Graph& graph, const Path& path);
  std::vector<double> sharesOf(const Graph& graph, const Path& path, std::size_t step) const;
  void addUses(const Graph& graph, const Path& path, std::size_t step, Hop& hop);

  std::vector<NodeId> gpus_;
  std::vector<Segment> segments_;  // first those of the graph's links, by their positions
  std::vector<int> carrier_;       // by link: the segment that carries it
  std::unordered_map<std::uint64_t, int> linkOf_;  // by both ends: the link that paths take
  std::vector<Port> ports_;
  std::vector<Hop> between_, leaving_, entering_;
};

/// What rings or trees that all move the same put on the segments together.
class Loads {
 public:
  explicit Loads(const Hops& hops) : hops_(hops), load_(hops.segments().size()) {}
  void add(const Hop& hop);
  void add(int segment, double share) { load_[static_cast<std::size_t>(segment)] += share; }
  /// What each can have, all at once. Not known where no segment that they cross is.
  Bandwidth each() const;

 private:
  const Hops& hops_;
  std::vector<double> load_;  // by segment, in rings or trees
};

}  // namespace lockstep::topology
