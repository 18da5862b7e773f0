// Joint, in place of copies: everyone reads all chunks but the last from the root's buffer, and the
// root, which has nothing else to do, writes the last to all. So every rank copies as much.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeJointExposed(const Shape& shape) {
  return describeExposed(Collective::broadcast, "joint", shape, shape.worldSize);
}

Program jointExposed(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  const Range pulled = firstChunks(world - 1), pushed = chunk(world - 1);
  if (rank != shape.root) return exposed({move({out(pulled)}, {remoteIn(shape.root, pulled)})});
  std::vector<Operand> everyone;
  for (int step = 1; step < world; ++step)
    everyone.push_back(remoteOut(around(rank, step, world), pushed));
  if (shape.inPlace) return exposed({move(everyone, {in(pushed)})});
  everyone.push_back(out(pushed));
  return exposed({move(everyone, {in(pushed)}), move({out(pulled)}, {in(pulled)})});
}

}  // namespace

extern const Algorithm kBroadcastJointExposed = {.name = "joint",
                                                 .collective = Collective::broadcast,
                                                 .edges = Edges::exposure,
                                                 .rankOrder = false,
                                                 .describe = describeJointExposed,
                                                 .program = jointExposed};

}  // namespace lockstep::schedule
