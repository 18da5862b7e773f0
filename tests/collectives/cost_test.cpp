// The cost model: it can cost everything there is, and its order makes sense.
#include "collectives/cost/cost.hpp"

#include <gtest/gtest.h>

#include "collectives/registry.hpp"

namespace lockstep::schedule {
namespace {

constexpr std::size_t KiB = 1024, MiB = 1024 * KiB;

Schedule delivered(const Algorithm& algorithm, int world, bool multicast = false) {
  Schedule schedule = generate(algorithm, {.worldSize = world, .multicast = multicast});
  return multicast ? schedule : deliverUnicast(std::move(schedule));
}

/// As the secure pass does without group keys, for schedules without forwards: every message.
Schedule sealed(Schedule schedule) {
  for (Program& program : schedule.programs)
    for (Lane& lane : program.lanes)
      for (Op& op : lane)
        for (auto* operands : {&op.dst, &op.src})
          for (Operand& o : *operands)
            if (o.kind == Operand::Kind::channel) o.seal = {o.channel.writer, o.channel.reader, 0};
  return schedule;
}

Schedule allReduce(std::string_view name, int world, Edges edges = Edges::channels) {
  return delivered(*findAlgorithm(Collective::allReduce, name, edges), world);
}

double seconds(const Schedule& schedule, std::size_t bytes, const Lowering& how = {}) {
  return predict(schedule, bytes, how, {}).seconds;
}

TEST(Cost, EveryAlgorithmIsCostedAndNeverFallsAsBytesGrow) {
  for (const Algorithm* algorithm : algorithms())
    for (const int world : {1, 2, 3, 4, 7, 8, 64})
      for (const bool multicast : {false, true})
        for (const bool lines : {false, true}) {
          if (world == 64 && (multicast || lines)) continue;
          SCOPED_TRACE(std::string(name(algorithm->collective)) + " " +
                       std::string(algorithm->name) + ", world " + std::to_string(world));
          const Schedule schedule = delivered(*algorithm, world, multicast);
          const Lowering how{.lines = lines,
                             .tileBytes = lines ? 8 * KiB : 64 * KiB,
                             .depth = 4,
                             .slotBytes = lines ? 8 * KiB : 64 * KiB};
          double before = 0;
          for (std::size_t bytes = 0; bytes <= 64 * MiB; bytes = bytes * 3 / 2 + 8) {
            const double now = predict(schedule, bytes, how, {}).seconds;
            ASSERT_GE(now, before * (1 - 1e-12)) << bytes;
            before = now;
          }
          ASSERT_TRUE(world == 1 || before > 0);
        }
}

TEST(Cost, CountsWhatTheTextbookCounts) {
  // Two-shot, pairwise: each rank seals and opens 2 (P-1)/P S (DESIGN.md section 3).
  const Cost cost = predict(sealed(allReduce("two_shot", 4)), 4096, {}, {});
  EXPECT_DOUBLE_EQ(cost.sealed, 2 * 3 / 4.0 * 4096);
  EXPECT_DOUBLE_EQ(cost.opened, 2 * 3 / 4.0 * 4096);
  const Cost once = predict(sealed(allReduce("one_shot", 4)), 4096, {}, {});
  EXPECT_DOUBLE_EQ(once.sealed, 3 * 4096.0);
  EXPECT_DOUBLE_EQ(once.opened, 3 * 4096.0);
  EXPECT_DOUBLE_EQ(once.reduced, 4 * 4096.0);
  EXPECT_EQ(once.messages, 3);
}

TEST(Cost, OrdersPlansAsMachinesDo) {
  // Small: one exchange beats two, a flag in the line beats one beside the data.
  const Lowering ll{.lines = true, .tileBytes = 8 * KiB, .slotBytes = 8 * KiB};
  const Lowering simple{.tileBytes = 64 * KiB, .depth = 4, .slotBytes = 64 * KiB};
  EXPECT_LT(seconds(allReduce("one_shot", 2), 8, ll), seconds(allReduce("two_shot", 2), 8, ll));
  EXPECT_LT(seconds(allReduce("one_shot", 2), 8, ll), seconds(allReduce("one_shot", 2), 8, simple));
  // Large: fewer bytes per rank, read in place; and a ring of four is no longer than two-shot.
  for (const bool secure : {false, true}) {
    const auto as = [&](std::string_view name) {
      return secure ? sealed(allReduce(name, 4)) : allReduce(name, 4);
    };
    EXPECT_LT(seconds(as("two_shot"), 16 * MiB, simple), seconds(as("one_shot"), 16 * MiB, simple));
    EXPECT_LT(seconds(as("ring"), 16 * MiB, simple), seconds(as("tree"), 16 * MiB, simple));
  }
  EXPECT_LT(seconds(allReduce("two_shot", 2, Edges::exposure), 16 * MiB),
            seconds(allReduce("two_shot", 2), 16 * MiB, simple));
  // Sealing costs.
  EXPECT_LT(seconds(allReduce("two_shot", 2), MiB, simple),
            seconds(sealed(allReduce("two_shot", 2)), MiB, simple));
}

TEST(Cost, TilesInFlightHideLatency) {
  const Schedule ring = allReduce("ring", 4);
  Speeds speeds;
  speeds.cores = 4;
  const auto with = [&](std::size_t tile, int depth) {
    return predict(ring, MiB, {.tileBytes = tile, .depth = depth, .slotBytes = 64 * KiB}, speeds)
        .seconds;
  };
  EXPECT_LT(with(16 * KiB, 4), with(16 * KiB, 1));
  EXPECT_LE(with(16 * KiB, 8), with(16 * KiB, 4));
  EXPECT_LT(with(64 * KiB, 4), with(64, 4));  // tiny tiles are all latency
}

TEST(Cost, RanksBeyondTheCoresTakeTurns) {
  Speeds few, many;
  many.cores = 8;
  const Schedule schedule = allReduce("two_shot", 8);
  EXPECT_GT(predict(schedule, MiB, {}, few).seconds, predict(schedule, MiB, {}, many).seconds);
}

}  // namespace
}  // namespace lockstep::schedule
