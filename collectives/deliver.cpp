// Delivery without multicast: what is sent to everyone is sent to each.
#include <utility>

#include "base/fail.hpp"
#include "collectives/schedule.hpp"

namespace lockstep::schedule {
namespace {

bool toEveryone(const Operand& operand) {
  return operand.kind == Operand::Kind::channel && operand.channel.reader == kEveryone;
}

Operand towards(Operand operand, int reader) {
  // One ciphertext per nonce: copies of a sealed message would each be sealed anew under it.
  if (operand.seal)
    fail(ErrorCode::invalidArgument,
         "deliverUnicast: message {} is sealed already; deliver first, then secure",
         toString(operand));
  operand.channel.reader = reader;
  return operand;
}

/// The writer's end. Readers start after the writer, so that ranks do not all begin with rank 0.
std::vector<Operand> towardsEach(const std::vector<Operand>& dst, int worldSize) {
  std::vector<Operand> result;
  for (const Operand& operand : dst) {
    if (!toEveryone(operand)) {
      result.push_back(operand);
      continue;
    }
    for (int step = 1; step < worldSize; ++step)
      result.push_back(towards(operand, (operand.channel.writer + step) % worldSize));
  }
  return result;
}

}  // namespace

Schedule deliverUnicast(Schedule schedule) {
  schedule.shape.multicast = false;
  for (int rank = 0; rank < std::ssize(schedule.programs); ++rank)
    for (Lane& lane : schedule.programs[static_cast<std::size_t>(rank)].lanes)
      for (Op& op : lane) {
        op.dst = towardsEach(op.dst, schedule.shape.worldSize);
        for (Operand& src : op.src)
          if (toEveryone(src)) src = towards(src, rank);
      }
  return schedule;
}

}  // namespace lockstep::schedule
