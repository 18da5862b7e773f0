// How many thread blocks it takes to drive rings and trees.
#pragma once

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// NCCL's MAXCHANNELS (src/include/device.h).
inline constexpr int kMostChannels = 64;

/// A channel is a thread block that drives one ring or tree: several take turns with the data of
/// one, where it has more bandwidth than a thread block moves. A multiple of `count`, at most
/// kMostChannels where `count` is not larger itself. `each` is the bandwidth of one ring or tree.
int channelsFor(const Graph& graph, std::size_t count, Bandwidth each, bool withNics);

}  // namespace lockstep::topology
