#include "bench/tasks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::bench {
namespace {

using testing::ElementsAre;

RunConfig configOf(int ranks, std::size_t minBytes, std::size_t maxBytes) {
  RunConfig config;
  config.ranks = ranks;
  config.sizes = {minBytes, maxBytes, 0, 2};
  return config;
}

TEST(Tasks, SizesAreOfTheLargerBufferAndCountsOfABlock) {
  const RunConfig config = configOf(4, 64, 256);
  for (const Operation op : {Operation::allReduce, Operation::broadcast, Operation::reduce})
    EXPECT_THAT(countsFor(config, op, DataType::f32), ElementsAre(16, 32, 64)) << name(op);
  for (const Operation op : {Operation::allGather, Operation::reduceScatter, Operation::allToAll,
                             Operation::gather, Operation::scatter})
    EXPECT_THAT(countsFor(config, op, DataType::f32), ElementsAre(4, 8, 16)) << name(op);
}

/// 1 to 128 bytes, 7 ranks of 4 bytes: 28 bytes are the least, and what 1 to 32 come down to.
TEST(Tasks, EveryBlockHasAnElementAndEveryCountIsOne) {
  EXPECT_THAT(countsFor(configOf(7, 1, 128), Operation::allToAll, DataType::f32),
              ElementsAre(1, 2, 4));
  EXPECT_THAT(countsFor(configOf(7, 1, 27), Operation::allToAll, DataType::f32), ElementsAre());
  EXPECT_THAT(countsFor(configOf(7, 1, 16), Operation::allReduce, DataType::f32),
              ElementsAre(1, 2, 4));
}

TEST(Tasks, TypesAndReductionsAreOfThoseThatHaveThem) {
  RunConfig config = configOf(3, 96, 96);
  config.ops = {Operation::barrier, Operation::scatter, Operation::reduce};
  config.types = {DataType::f16, DataType::f64};
  config.reductions = {Reduction::min, Reduction::max, Reduction::avg};
  config.root = 2;
  const std::vector<Task> tasks = listTasks(config);
  ASSERT_EQ(tasks.size(), 1u + 2u + 2u * 3u);
  EXPECT_EQ(tasks[0].op, Operation::barrier);
  EXPECT_EQ(tasks[0].bytes, 0u);
  EXPECT_EQ(describe(tasks[0]), "barrier");
  EXPECT_EQ(tasks[1].count, 16u);
  EXPECT_EQ(describe(tasks[1]), "scatter f16 of 96 B");
  EXPECT_EQ(tasks[8].root, 2);
  EXPECT_EQ(tasks[8].count, 12u);
  EXPECT_EQ(describe(tasks[8]), "reduce f64 avg of 96 B");
}

TEST(Tasks, OnlyDataNeedsBuffers) {
  RunConfig config = configOf(2, 8, 4096);
  config.ops = {Operation::barrier};
  EXPECT_EQ(largestMessage(config), 0u);
  config.ops.push_back(Operation::gather);
  EXPECT_EQ(largestMessage(config), 4096u);
}

}  // namespace
}  // namespace lockstep::bench
