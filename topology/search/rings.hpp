// Rings through all GPUs that use the links of a machine together, as channels of collectives do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "topology/graph/graph.hpp"
#include "topology/graph/path.hpp"
#include "topology/search/channels.hpp"

namespace lockstep::topology {

/// More is answered with a reason and no rings: all pairs of GPUs are looked at. So are absurd
/// numbers of NVSwitches and NICs.
inline constexpr int kMostSearchedGpus = 256;

struct SearchOptions {
  /// One of several machines: rings come in by a NIC and leave by one, in place of closing inside.
  bool withNics = false;
  int mostRings = kMostChannels / 2;  ///< each has two channels at least
  /// What the search may look at, in links of hops: about 0.1 s. When it is spent, the best rings
  /// so far are the answer, and Rings::complete is false.
  std::int64_t budget = 12'000'000;
};

struct Ring {
  std::vector<NodeId> gpus;        ///< every GPU of the graph once, in the order that data takes
  NodeId nicIn = kNone;            ///< withNics: data comes by this NIC to the first GPU
  NodeId nicOut = kNone;           ///< and leaves from the last GPU by this one
  Bandwidth bandwidth;             ///< one direction, with all rings running at once; or not known
  PathType worst = PathType::loc;  ///< of its hops
};

/// All rings have the same bandwidth, so that a collective can deal out its data evenly.
struct Rings {
  std::vector<Ring> rings;
  Bandwidth total;       ///< of all rings together; not known where no link on their way is
  Bandwidth bound;       ///< which no set of rings can exceed (see search/README.md); or not known
  std::string narrow;    ///< the part of the machine whose links make the bound: "NUMA 0"
  int channels = 0;      ///< thread blocks to drive them, a multiple of the rings (channels.hpp)
  bool complete = true;  ///< false: the budget is spent, and more of it might find more
  std::string reason;    ///< why there are no rings; empty where there are

  /// total / bound: 1 is proven to be the best there is. 0 where either is not known.
  double efficiency() const;
};

/// The same for the same graph and options, always. Hops go as findPath goes, so rings use an
/// NVLink for what it joins and PCIe for the rest. No rings, and a reason, where no ring can be.
Rings findRings(const Graph& graph, const SearchOptions& options = {});

/// One line of sums, and one for each ring: "ring 0: GPU0 GPU1 GPU2 GPU3  20.0 GB/s  NVL".
std::string print(const Graph& graph, const Rings& rings);

}  // namespace lockstep::topology
