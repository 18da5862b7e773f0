// Bruck: at step k, the k blocks a rank has go k ranks back, so ceil(log2(P)) steps do for any P.
// Each rank keeps them in the order it gets them and sorts at the end. (Bruck et al., "Efficient
// algorithms for all-to-all communications in multiport message-passing systems", 1997.)
#include <algorithm>

#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeBruck(const Shape& shape) {
  return describe(Collective::allGather, "bruck", shape, 1, shape.worldSize);
}

Program bruck(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  // scratch[d]: the block of the rank d further on.
  Lane lane{move({scratch(block(0))}, {in(kWhole)})};
  for (int have = 1; have < world; have *= 2) {
    const int more = std::min(have, world - have);
    const int to = around(rank, -have, world), from = around(rank, have, world);
    lane.push_back(move({via({rank, to}, blocks(0, more))}, {scratch(blocks(0, more))}));
    lane.push_back(move({scratch(blocks(have, more))}, {via({from, rank}, blocks(0, more))}));
  }
  for (int d = 0; d < world; ++d)
    if (d != 0 || !shape.inPlace)
      lane.push_back(move({out(block(around(rank, d, world)))}, {scratch(block(d))}));
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kAllgatherBruck = {.name = "bruck",
                                          .collective = Collective::allGather,
                                          .edges = Edges::channels,
                                          .rankOrder = false,
                                          .describe = describeBruck,
                                          .program = bruck};

}  // namespace lockstep::schedule
