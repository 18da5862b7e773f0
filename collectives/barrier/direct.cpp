// Direct: everyone tells everyone that it has come. One step; P-1 messages each.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirect(const Shape& shape) {
  return describe(Collective::barrier, "direct", shape, 0);
}

Program direct(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return oneLane({});
  const auto from = [](int writer) { return via({writer, kEveryone}, kNothing); };
  std::vector<Operand> all;
  for (int step = 1; step < world; ++step) all.push_back(from(around(rank, -step, world)));
  return oneLane({move({from(rank)}, {in(kNothing)}), move({out(kNothing)}, all)});
}

}  // namespace

extern const Algorithm kBarrierDirect = {.name = "direct",
                                         .collective = Collective::barrier,
                                         .edges = Edges::channels,
                                         .rankOrder = false,
                                         .describe = describeDirect,
                                         .program = direct};

}  // namespace lockstep::schedule
