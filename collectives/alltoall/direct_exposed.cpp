// Direct in place of copies: everyone reads its block of everyone's input where it lies. In place,
// the blocks wait in scratch until nobody reads the input any more.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirectExposed(const Shape& shape) {
  return describeExposed(Collective::allToAll, "direct", shape, 1,
                         shape.inPlace && shape.worldSize > 1 ? shape.worldSize : 0);
}

Program directExposed(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  Lane inside, after;
  for (int step = 1; step < world; ++step) {
    const int q = around(rank, step, world);
    const Operand there = shape.inPlace ? scratch(block(q)) : out(block(q));
    inside.push_back(move({there}, {remoteIn(q, block(rank))}));
    if (shape.inPlace) after.push_back(move({out(block(q))}, {there}));
  }
  if (!shape.inPlace) inside.push_back(move({out(block(rank))}, {in(block(rank))}));
  return exposed(std::move(inside), std::move(after));
}

}  // namespace

extern const Algorithm kAlltoallDirectExposed = {.name = "direct",
                                                 .collective = Collective::allToAll,
                                                 .edges = Edges::exposure,
                                                 .rankOrder = false,
                                                 .describe = describeDirectExposed,
                                                 .program = directExposed};

}  // namespace lockstep::schedule
