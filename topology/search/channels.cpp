#include "topology/search/channels.hpp"

#include <algorithm>
#include <cmath>

namespace lockstep::topology {
namespace {

struct ByCapability {
  int sm;  // and later, up to the next
  double gigabytes;
};

/// What NCCL lets one channel carry at most, GB/s: the bandwidth of its rings over the channels
/// that its logs report. V100: 120 / 12; A100: 240 / 24 (issue 578); H100: 370.8 / 24, rounded up
/// (issue 1367: 12 rings, doubled); B200: 721.8 / 32, rounded up.
constexpr ByCapability kCarries[] = {{0, 10.0}, {90, 16.0}, {100, 23.0}};

/// NCCL takes every ring twice (ncclTopoPostset in src/graph/connect.cc), so that one thread block
/// loads while the other waits; and rings that come from NICs no more than that: 16 channels for 8
/// NICs.
constexpr int kCopies = 2;

double carried(const Graph& graph) {
  int sm = 0;
  for (const Gpu& gpu : graph.inventory().gpus) sm = sm == 0 ? gpu.sm : std::min(sm, gpu.sm);
  // RCCL writes compute units there, and says the chip elsewhere. No figure for those is known.
  if (graph.inventory().version == 2) sm = 0;
  double gigabytes = 0;
  for (const ByCapability& known : kCarries)
    if (sm >= known.sm) gigabytes = known.gigabytes;
  return gigabytes;
}

}  // namespace

int channelsFor(const Graph& graph, std::size_t count, Bandwidth each, bool withNics) {
  if (count == 0) return 0;
  const int rings = static_cast<int>(count);
  const double needed = std::ceil(each.gigabytesPerSecond() / carried(graph));
  const double copies = withNics ? kCopies : std::max<double>(kCopies, needed);
  const int most = std::max(1, kMostChannels / rings);
  return rings * static_cast<int>(std::min<double>(copies, most));
}

}  // namespace lockstep::topology
