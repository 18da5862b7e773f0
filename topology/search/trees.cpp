#include "topology/search/trees.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <set>

#include "topology/search/bounds.hpp"
#include "topology/search/channels.hpp"
#include "topology/search/hops.hpp"

namespace lockstep::topology {
namespace {

/// By positions among the GPUs and ports of Hops.
struct Shape {
  std::vector<int> gpus;
  std::vector<int> parent;  // positions in gpus
  int port = kNone;
};

/// A ring's order, and the port it comes in by.
struct Round {
  std::vector<int> gpus;
  int port = kNone;
};

std::vector<Round> roundsOf(const Hops& hops, const Rings& rings) {
  std::map<NodeId, int> gpus, ports;
  for (int i = 0; i < hops.gpus(); ++i) gpus[hops.gpu(i)] = i;
  for (std::size_t i = 0; i < hops.ports().size(); ++i)
    ports[hops.ports()[i].nic] = static_cast<int>(i);
  std::vector<Round> rounds;
  for (const Ring& ring : rings.rings) {
    Round round;
    for (const NodeId id : ring.gpus) round.gpus.push_back(gpus.at(id));
    if (ring.nicIn != kNone) round.port = ports.at(ring.nicIn);
    rounds.push_back(std::move(round));
  }
  return rounds;
}

// Chains.

/// Begins after the first of the worst hops.
void cutAtWorst(const Hops& hops, std::vector<int>& round) {
  std::size_t begin = 0;
  PathType worst = PathType::loc;
  for (std::size_t i = 0; i < round.size(); ++i) {
    const std::size_t next = (i + 1) % round.size();
    const PathType type = hops.between(round[i], round[next]).type;
    if (type <= worst) continue;
    worst = type;
    begin = next;
  }
  std::rotate(round.begin(), round.begin() + static_cast<std::ptrdiff_t>(begin), round.end());
}

/// Both ways round look the same: the first GPU first, and then the smaller of its neighbours.
std::vector<int> regardlessOfDirection(std::vector<int> round) {
  std::rotate(round.begin(), std::min_element(round.begin(), round.end()), round.end());
  if (round.size() > 2 && round.back() < round[1]) std::reverse(round.begin() + 1, round.end());
  return round;
}

std::vector<Shape> chains(const Hops& hops, const std::vector<Round>& rounds) {
  std::vector<Shape> chains;
  std::set<std::vector<int>> seen;
  for (const Round& round : rounds) {
    const bool again = !seen.insert(regardlessOfDirection(round.gpus)).second;
    if (again && round.port == kNone) continue;
    Shape chain{round.gpus, {}, round.port};
    if (round.port == kNone) cutAtWorst(hops, chain.gpus);
    const int count = static_cast<int>(chain.gpus.size());
    const int root = round.port == kNone ? count / 2 : 0;
    for (int i = 0; i < count; ++i)
      chain.parent.push_back(i == root ? kNone : i + (i < root ? 1 : -1));
    chains.push_back(std::move(chain));
  }
  return chains;
}

// Binary trees.

/// In-order numbering from 1: odd numbers are leaves, and the highest power of two is the root.
unsigned inOrderParent(unsigned number, unsigned count) {
  unsigned lowest = number & (~number + 1);
  do {
    number = (number & ~lowest) | (lowest << 1);
    lowest <<= 1;
  } while (number > count);
  return number;
}

/// GPUs in this order, `shift` places on.
Shape binaryTree(const std::vector<int>& order, std::size_t shift, int port) {
  Shape tree{order, std::vector<int>(order.size(), kNone), port};
  std::rotate(tree.gpus.begin(), tree.gpus.begin() + static_cast<std::ptrdiff_t>(shift),
              tree.gpus.end());
  const auto count = static_cast<unsigned>(order.size());
  for (unsigned number = 1; number <= count; ++number)
    if (number != std::bit_floor(count))
      tree.parent[number - 1] = static_cast<int>(inOrderParent(number, count)) - 1;
  return tree;
}

/// The second mirrors the first where their number is even, and is one place on where it is odd:
/// either way its inner GPUs are the first one's leaves.
std::vector<Shape> twoTrees(std::vector<int> order) {
  std::vector<Shape> trees{binaryTree(order, 0, kNone)};
  const bool even = order.size() % 2 == 0;
  if (even) std::reverse(order.begin(), order.end());
  trees.push_back(binaryTree(order, even ? 0 : 1, kNone));
  return trees;
}

/// By GPU: in how many trees it has children.
class Inside {
 public:
  explicit Inside(std::size_t gpus) : times_(gpus) {}

  void add(const Shape& tree) {
    for (const int gpu : of(tree)) ++times_[static_cast<std::size_t>(gpu)];
  }
  /// How often the inner GPUs of this tree are already.
  int before(const Shape& tree) const {
    int sum = 0;
    for (const int gpu : of(tree)) sum += times_[static_cast<std::size_t>(gpu)];
    return sum;
  }

 private:
  static std::set<int> of(const Shape& tree) {
    std::set<int> inside;
    for (const int parent : tree.parent)
      if (parent != kNone) inside.insert(tree.gpus[static_cast<std::size_t>(parent)]);
    return inside;
  }
  std::vector<int> times_;
};

/// One for each ring, with its first GPU as the root. As it comes, or with the others one place on,
/// so that leaves and inner ones change places: whichever are inside less often so far.
std::vector<Shape> treesFromNics(const std::vector<Round>& rounds) {
  std::vector<Shape> trees;
  const std::size_t count = rounds.front().gpus.size();
  const std::size_t shift = (count + 1 - std::bit_floor(count)) % count;
  Inside inside(count);
  for (const Round& round : rounds) {
    std::vector<int> moved = round.gpus;
    if (count > 2) std::rotate(moved.begin() + 1, moved.begin() + 2, moved.end());
    Shape tree = binaryTree(round.gpus, shift, round.port);
    Shape other = binaryTree(moved, shift, round.port);
    if (inside.before(other) < inside.before(tree)) tree = std::move(other);
    inside.add(tree);
    trees.push_back(std::move(tree));
  }
  return trees;
}

std::vector<Shape> binaryTrees(const std::vector<Round>& rounds) {
  return rounds.front().port == kNone ? twoTrees(rounds.front().gpus) : treesFromNics(rounds);
}

// Either.

int rootOf(const Shape& shape) {
  return shape.gpus[static_cast<std::size_t>(
      std::find(shape.parent.begin(), shape.parent.end(), kNone) - shape.parent.begin())];
}

/// Every hop of the shape, both ways.
template <class Visit>
void forEachHop(const Hops& hops, const Shape& shape, Visit&& visit) {
  for (std::size_t i = 0; i < shape.gpus.size(); ++i) {
    if (shape.parent[i] == kNone) continue;
    const int above = shape.gpus[static_cast<std::size_t>(shape.parent[i])];
    visit(hops.between(shape.gpus[i], above));
    visit(hops.between(above, shape.gpus[i]));
  }
  if (shape.port == kNone) return;
  visit(hops.entering(shape.port, rootOf(shape)));
  visit(hops.leaving(rootOf(shape), shape.port));
}

int depthOf(const Shape& shape) {
  int depth = 0;
  for (int each : shape.parent) {
    int hops = 0;
    for (; each != kNone; each = shape.parent[static_cast<std::size_t>(each)]) ++hops;
    depth = std::max(depth, hops);
  }
  return depth;
}

struct Candidate {
  std::vector<Shape> shapes;
  Bandwidth each;
  int depth = 0;
  bool possible = true;

  Bandwidth total() const { return each * static_cast<double>(shapes.size()); }
};

Candidate measured(const Hops& hops, std::vector<Shape> shapes) {
  Candidate candidate{.shapes = std::move(shapes), .each = {}};
  Loads loads(hops);
  for (const Shape& shape : candidate.shapes) {
    candidate.depth = std::max(candidate.depth, depthOf(shape));
    forEachHop(hops, shape, [&](const Hop& hop) {
      loads.add(hop);
      candidate.possible = candidate.possible && hop.type != PathType::dis;
    });
  }
  candidate.each = loads.each();
  return candidate;
}

/// What a deeper tree must have more than a shallower one, as they are for what must be quick.
constexpr double kWorthDepth = 1 / 0.9;
/// Sums that differ by less are equal.
constexpr double kSlack = 1e-9;

bool better(const Candidate& a, const Candidate& b) {
  if (a.possible != b.possible) return a.possible;
  const double needed = a.depth < b.depth   ? 1 / kWorthDepth - kSlack
                        : a.depth > b.depth ? kWorthDepth + kSlack
                                            : 1 + kSlack;
  return a.total() > b.total() * needed;
}

Tree treeOf(const Hops& hops, const Shape& shape, Bandwidth bandwidth) {
  Tree tree{.gpus = {}, .parent = shape.parent, .depth = depthOf(shape), .bandwidth = bandwidth};
  for (const int gpu : shape.gpus) tree.gpus.push_back(hops.gpu(gpu));
  if (shape.port != kNone) tree.nic = hops.ports()[static_cast<std::size_t>(shape.port)].nic;
  forEachHop(hops, shape, [&](const Hop& hop) { tree.worst = std::max(tree.worst, hop.type); });
  return tree;
}

}  // namespace

double Trees::efficiency() const {
  return bound.known() ? total.bytesPerSecond() / bound.bytesPerSecond() : 0;
}

Trees findTrees(const Graph& graph, const Rings& rings) {
  Trees found;
  found.reason = rings.reason;
  if (rings.rings.empty()) return found;
  const bool withNics = rings.rings.front().nicIn != kNone;
  const Hops hops(graph, withNics);
  const std::vector<Round> rounds = roundsOf(hops, rings);
  Candidate best = measured(hops, chains(hops, rounds));
  Candidate binary = measured(hops, binaryTrees(rounds));
  if (better(binary, best)) best = std::move(binary);
  for (const Shape& shape : best.shapes) found.trees.push_back(treeOf(hops, shape, best.each));
  found.total = best.total();
  const Bound bound = boundOfTrees(cutsOf(graph, hops), hops.gpus());
  found.bound = bound.bandwidth;
  found.narrow = bound.by;
  found.channels = channelsFor(graph, found.trees.size(), best.each, withNics);
  return found;
}

}  // namespace lockstep::topology
