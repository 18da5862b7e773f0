// Recursive halving: at each of log2(P) steps a rank gives its partner the half of what is left
// that the partner's side keeps. Ranks beyond the largest power of two hand everything to a host,
// which reduces their block as well.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeHalving(const Shape& shape) {
  return describe(Collective::reduceScatter, "halving", shape, 1,
                  shape.worldSize == 1 ? 0 : shape.worldSize);
}

Program guestProgram(const Shape& shape, int rank, int host) {
  Lane lane;
  for (int q = 0; q < shape.worldSize; ++q)
    lane.push_back(move({via({rank, host}, block(q))}, {in(block(q))}));
  lane.push_back(move({out(kWhole)}, {via({host, rank}, block(rank))}));
  return oneLane(std::move(lane));
}

Program halving(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return alone();
  const int core = coreRanks(world);
  if (rank >= core) return guestProgram(shape, rank, rank - core);

  const int guest = rank + core;
  Lane lane;
  for (int q = 0; q < world; ++q) {
    std::vector<Operand> parts{in(block(q))};
    if (guest < world) parts.push_back(via({guest, rank}, block(q)));
    lane.push_back(move({scratch(block(q))}, parts));
  }
  for (int size = core / 2; size >= 1; size /= 2) {
    const int partner = rank ^ size;
    const int keep = rank & ~(size - 1), give = partner & ~(size - 1);
    for (const Range& r : withGuests(give, size, core, world))
      lane.push_back(move({via({rank, partner}, r)}, {scratch(r)}));
    for (const Range& r : withGuests(keep, size, core, world)) {
      const std::vector<Operand> parts{scratch(r), via({partner, rank}, r)};
      if (size > 1)
        lane.push_back(move({scratch(r)}, parts));
      else if (r == block(rank))
        lane.push_back(move({out(kWhole)}, parts, true));
      else
        lane.push_back(move({via({rank, guest}, r)}, parts, true));
    }
  }
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kReducescatterHalving = {.name = "halving",
                                                .collective = Collective::reduceScatter,
                                                .edges = Edges::channels,
                                                .rankOrder = false,
                                                .describe = describeHalving,
                                                .program = halving};

}  // namespace lockstep::schedule
