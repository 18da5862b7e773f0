// Programs of collectives/PROGRAMS.md that no algorithm makes yet: what the notation can carry is
// shown by running it.
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "collectives/schedule.hpp"
#include "support/interpreter.hpp"

namespace lockstep::schedule {
namespace {

constexpr std::size_t kChunk = 8;  ///< int64 elements: one cache line

Range chunk(int index) {
  return {static_cast<std::uint32_t>(index), 1};
}

Schedule ofWorld(int world) {
  Schedule schedule;
  schedule.shape.worldSize = world;
  schedule.chunks = static_cast<std::uint32_t>(world);
  return schedule;
}

/// Element i of the chunk that `from` sends to `to`.
std::int64_t element(int from, int to, std::size_t i) {
  return (from * 100 + to) * 100 + static_cast<std::int64_t>(i);
}

/// Chunk `to` of rank `from`'s input is for rank `to`.
std::vector<std::vector<std::int64_t>> addressed(int world) {
  std::vector<std::vector<std::int64_t>> inputs(static_cast<std::size_t>(world));
  for (int from = 0; from < world; ++from)
    for (int to = 0; to < world; ++to)
      for (std::size_t i = 0; i < kChunk; ++i)
        inputs[static_cast<std::size_t>(from)].push_back(element(from, to, i));
  return inputs;
}

// Grouped: every call is a lane of its own, so no order in which ranks write their sends and recvs
// down can block another. One thread (the interpreter's) drives all lanes of all ranks.
TEST(Programs, GroupedSendsAndRecvs) {
  constexpr int kWorld = 5;
  Schedule schedule = ofWorld(kWorld);
  for (int rank = 0; rank < kWorld; ++rank) {
    Program program;
    for (int peer = 0; peer < kWorld; ++peer) {
      if (peer == rank) continue;
      program.lanes.push_back({move({out(chunk(peer))}, {via({peer, rank}, chunk(rank))})});
      program.lanes.push_back({move({via({rank, peer}, chunk(peer))}, {in(chunk(peer))})});
    }
    schedule.programs.push_back(program);
  }
  const auto result = test::interpret(schedule, addressed(kWorld), {.slots = 1});
  EXPECT_EQ(result.deadlock, "");
  for (int to = 0; to < kWorld; ++to)
    for (int from = 0; from < kWorld; ++from) {
      if (from == to) continue;
      const auto& got = result.out[static_cast<std::size_t>(to)];
      EXPECT_EQ(got[static_cast<std::size_t>(from) * kChunk], element(from, to, 0));
    }
}

}  // namespace
}  // namespace lockstep::schedule
