// Premultiplied sums by the calls that users write, alone and in groups. (Values, placements and
// ways are swept with all other reductions.)
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "support/world.hpp"
#include <lockstep/lockstep.hpp>

namespace lockstep::testing {
namespace {

constexpr int kWorld = 3;
constexpr std::size_t kCount = 5001;

/// Rank r multiplies by r + 2, and gives element i of block b as i + b.
PremultipliedSum sumOf(int rank) {
  return {rank + 2.0};
}
constexpr float kFactors = 2 + 3 + 4;

std::vector<float> inputOf(int blocks) {
  std::vector<float> in;
  for (int b = 0; b < blocks; ++b)
    for (std::size_t i = 0; i < kCount; ++i)
      in.push_back(static_cast<float>(i) + static_cast<float>(b));
  return in;
}

void requireTimes(float factor, const float* block, int number, const char* what) {
  for (std::size_t i = 0; i < kCount; ++i)
    require(block[i] == factor * (static_cast<float>(i) + static_cast<float>(number)), what);
}

void callAll(Communicator& comm, int rank) {
  const std::vector<float> in = inputOf(kWorld);
  std::vector<float> out(kCount, -1.0F);
  comm.allReduce(in.data(), out.data(), kCount, DataType::f32, sumOf(rank));
  requireTimes(kFactors, out.data(), 0, "all-reduce is wrong");
  comm.reduceScatter(in.data(), out.data(), kCount, DataType::f32, sumOf(rank));
  requireTimes(kFactors, out.data(), rank, "reduce-scatter is wrong");
  for (int root = 0; root < kWorld; ++root) {
    float* const mine = rank == root ? out.data() : nullptr;
    comm.reduce(in.data(), mine, kCount, DataType::f32, sumOf(rank), root);
    if (rank == root) requireTimes(kFactors, mine, 0, "reduce is wrong");
  }
  require(in == inputOf(kWorld), "in was changed");
  comm.allReduce(in.data(), out.data(), kCount, DataType::f32, Reduction::preMulSum);
  requireTimes(kWorld, out.data(), 0, "without a factor it is not 1");
}

TEST(Premultiplied, SumsOfEveryCollectiveThatReduces) {
  for (std::size_t m = 0; m < kModes; ++m)
    for (const Kind kind : {Kind::threads, Kind::processes}) {
      const auto outcomes = runRanks(kind, kWorld, optionsOf(static_cast<Mode>(m)), callAll);
      EXPECT_EQ(failures(outcomes), "") << name(kind) << ", " << name(static_cast<Mode>(m));
    }
}

/// Products are of what is there when the turn of their collective comes, and those of one that is
/// under way are not overwritten by the next.
TEST(Premultiplied, InAGroupEachInItsTurn) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    const auto outcomes =
        runRanks(Kind::processes, kWorld, optionsOf(mode), [](Communicator& comm, int rank) {
          const std::vector<float> in = inputOf(kWorld), one = inputOf(1);
          std::vector<float> twice = one, first(kCount), second(kCount);
          Group group;
          const auto add = [&](Collective collective, const void* from, void* to, double factor) {
            group.run(comm, collective, from, to, kCount, DataType::f32, Reduction::preMulSum, 0,
                      factor);
          };
          add(Collective::allReduce, twice.data(), twice.data(), 2);
          add(Collective::allReduce, twice.data(), twice.data(), 0.5);
          add(Collective::reduceScatter, in.data(), first.data(), rank + 1);
          add(Collective::reduceScatter, in.data(), second.data(), -1);
          group.start().wait();
          requireTimes(2 * kWorld * 0.5F * kWorld, twice.data(), 0,
                       "the second is not of the first");
          requireTimes(1 + 2 + 3, first.data(), rank, "the first reduce-scatter is wrong");
          requireTimes(-kWorld, second.data(), rank, "the second reduce-scatter is wrong");
        });
    EXPECT_EQ(failures(outcomes), "") << name(mode);
  }
}

TEST(Premultiplied, AGroupRefusesBadFactorsWhenTheyAreAdded) {
  const auto outcomes =
      runRanks(Kind::threads, 1, optionsOf(Mode::p2p), [](Communicator& comm, int) {
        std::int32_t value = 3;
        Group group;
        try {
          group.run(comm, Collective::allReduce, &value, &value, 1, DataType::i32,
                    Reduction::preMulSum, 0, 0.5);
        } catch (const Error& error) {
          require(error.code() == ErrorCode::invalidArgument && value == 3, error.what());
          return;
        }
        throw std::runtime_error("took half an integer");
      });
  EXPECT_EQ(failures(outcomes), "");
}

}  // namespace
}  // namespace lockstep::testing
