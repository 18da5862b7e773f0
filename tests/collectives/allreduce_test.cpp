// Every all-reduce algorithm, by values and by the textbook's counts, for every world size.
#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <type_traits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectives/registry.hpp"
#include "collectives/verify/verify.hpp"
#include "support/interpreter.hpp"

namespace lockstep::schedule {
namespace {

using test::interpret;
using test::Interpreted;
using test::InterpretOptions;

/// A schedule as an executor gets it.
Schedule delivered(const Algorithm& algorithm, const Shape& shape) {
  Schedule schedule = generate(algorithm, shape);
  return shape.multicast ? schedule : deliverUnicast(std::move(schedule));
}

/// Every algorithm in every shape of one world size.
template <class Body>
void forEachSchedule(int worldSize, Body body) {
  for (const Algorithm* algorithm : algorithms()) {
    if (algorithm->collective != Collective::allReduce) continue;
    for (const bool inPlace : {false, true})
      for (const bool multicast : {false, true}) {
        const Schedule schedule = delivered(*algorithm, {worldSize, inPlace, multicast});
        SCOPED_TRACE(toString(schedule, worldSize));  // the line that names it; no rank's program
        body(*algorithm, schedule);
      }
  }
}

template <class T>
std::vector<std::vector<T>> inputsOf(int worldSize, std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<T>> inputs(static_cast<std::size_t>(worldSize));
  for (auto& input : inputs) {
    input.resize(count);
    // Doubles of very different sizes, so that another order of additions gives other bits.
    for (T& element : input) {
      const auto drawn = static_cast<std::int32_t>(random());
      if constexpr (std::is_floating_point_v<T>)
        element = std::ldexp(static_cast<T>(drawn), static_cast<int>(random() % 64));
      else
        element = drawn;
    }
  }
  return inputs;
}

template <class T>
std::vector<T> averageInRankOrder(const std::vector<std::vector<T>>& inputs) {
  std::vector<T> result = inputs[0];
  for (std::size_t rank = 1; rank < inputs.size(); ++rank)
    for (std::size_t i = 0; i < result.size(); ++i) result[i] += inputs[rank][i];
  for (T& element : result) element /= static_cast<T>(inputs.size());
  return result;
}

template <class T>
void expectOnAllRanks(const Interpreted<T>& result, const std::vector<T>& expected) {
  EXPECT_EQ(result.deadlock, "");
  EXPECT_EQ(result.undelivered, 0u);
  for (std::size_t rank = 0; rank < result.out.size(); ++rank)
    ASSERT_EQ(result.out[rank], expected) << "rank " << rank;
}

// An average divides where an operation says it finishes, so it is right only if every element is
// finished once, after its last addition. Integers make all orders equal.
TEST(AllReduce, GivesTheAverageOnEveryWorld) {
  for (int world = 1; world <= kMaxWorld; ++world) {
    const auto p = static_cast<std::size_t>(world);
    std::vector<std::size_t> counts{0, p - 1, p + 1, 1009};
    if (world <= 16) counts.insert(counts.end(), {1, 2, 3, 7, p, 64, 1000});
    std::vector<std::vector<std::vector<std::int64_t>>> cases;
    for (const std::size_t count : counts) cases.push_back(inputsOf<std::int64_t>(world, count, 1));
    forEachSchedule(world, [&](const Algorithm&, const Schedule& schedule) {
      for (const auto& inputs : cases) {
        SCOPED_TRACE(inputs[0].size());
        expectOnAllRanks(interpret(schedule, inputs, {.divisor = world}),
                         averageInRankOrder(inputs));
      }
    });
    if (HasFatalFailure()) return;
  }
}

TEST(AllReduce, DoesTileAfterTileInAnyOrderOfRanks) {
  for (const int world : {2, 3, 4, 5, 8, 13})
    for (std::uint32_t seed = 1; seed <= 4; ++seed) {
      const auto inputs = inputsOf<std::int64_t>(world, 1009, seed);
      const auto expected = averageInRankOrder(inputs);
      forEachSchedule(world, [&](const Algorithm&, const Schedule& schedule) {
        for (const std::size_t tiles : {2, 5, 7})
          expectOnAllRanks(interpret(schedule, inputs,
                                     {.tiles = tiles, .slots = 2, .divisor = world, .seed = seed}),
                           expected);
      });
    }
}

TEST(AllReduce, SaysTruthfullyThatItAddsInRankOrder) {
  for (const int world : {1, 2, 3, 4, 7, 8, 16}) {
    const auto inputs = inputsOf<double>(world, 300, 7);
    const auto expected = averageInRankOrder(inputs);
    forEachSchedule(world, [&](const Algorithm& algorithm, const Schedule& schedule) {
      const auto result = interpret(schedule, inputs, {.tiles = 2, .divisor = world});
      if (algorithm.rankOrder) {
        expectOnAllRanks(result, expected);
      } else if (world > 3) {  // below, another order may well give the same bits
        EXPECT_NE(result.out[0], expected);
      }
      for (const auto& out : result.out) EXPECT_EQ(out, result.out[0]) << "ranks disagree";
    });
  }
}

TEST(AllReduce, NeedsNoMoreThanTheLeastSlots) {
  for (const int world : {2, 3, 4, 5, 8, 13, 64}) {
    const auto inputs = inputsOf<std::int64_t>(world, 100, 3);
    forEachSchedule(world, [&](const Algorithm&, const Schedule& schedule) {
      EXPECT_EQ(interpret(schedule, inputs, {.tiles = 5, .slots = kMinSlots}).deadlock, "");
    });
  }
}

// Why there is a least: with one slot all ranks would have to pass on what they have before they
// can take more.
TEST(AllReduce, ARingOfSingleSlotsIsStuck) {
  const Algorithm* ring = findAlgorithm(Collective::allReduce, "ring", Edges::channels);
  ASSERT_NE(ring, nullptr);
  const auto result =
      interpret(generate(*ring, {.worldSize = 3}), inputsOf<double>(3, 100, 3), {.slots = 1});
  EXPECT_THAT(result.deadlock, testing::HasSubstr("rank 2, tile 0: recvReduceSend"));
}

/// What a rank sends of a message of `elements`, cut evenly.
struct Sent {
  std::size_t messages, elements;
};

/// Formulas of collectives/allreduce/README.md.
Sent textbook(const Algorithm& algorithm, const Shape& shape, std::size_t rank,
              std::size_t elements) {
  const auto p = static_cast<std::size_t>(shape.worldSize);
  const std::size_t core = std::bit_floor(p);
  const auto steps = static_cast<std::size_t>(std::countr_zero(core));
  const std::size_t share = elements / p;
  if (algorithm.edges == Edges::exposure || p == 1) return {0, 0};
  if (algorithm.name == "one_shot")
    return shape.multicast ? Sent{1, elements} : Sent{p - 1, (p - 1) * elements};
  if (algorithm.name == "two_shot")
    return shape.multicast ? Sent{p, elements} : Sent{2 * (p - 1), 2 * (p - 1) * share};
  if (algorithm.name == "ring") return {2 * (p - 1), 2 * (p - 1) * share};
  if (algorithm.name == "tree") {
    const std::size_t up = rank == 0 ? 0 : 1;
    const std::size_t down = (2 * rank + 1 < p ? 1u : 0u) + (2 * rank + 2 < p ? 1u : 0u);
    return {up + down, (up + down) * elements};
  }
  if (algorithm.name == "halving_doubling") {
    if (rank >= core) return {1, elements};
    const std::size_t guests = rank + core < p ? 1 : 0;
    return {2 * steps + guests, 2 * (core - 1) * (elements / core) + guests * elements};
  }
  ADD_FAILURE() << algorithm.name << ": give its formulas here and in the README";
  return {};
}

TEST(AllReduce, SendsWhatTheTextbookSays) {
  for (const int world : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 23, 32, 40, 64}) {
    const auto p = static_cast<std::size_t>(world);
    const std::size_t elements = std::lcm(p, std::bit_floor(p)) * 8;  // chunks of whole cache lines
    const std::vector<std::vector<std::int64_t>> inputs(p, std::vector<std::int64_t>(elements, 1));
    forEachSchedule(world, [&](const Algorithm& algorithm, const Schedule& schedule) {
      const auto result = interpret(schedule, inputs);
      for (std::size_t rank = 0; rank < p; ++rank) {
        const Sent expected = textbook(algorithm, schedule.shape, rank, elements);
        EXPECT_EQ(result.sent[rank].messages, expected.messages) << "rank " << rank;
        EXPECT_EQ(result.sent[rank].elements, expected.elements) << "rank " << rank;
      }
    });
  }
}

}  // namespace
}  // namespace lockstep::schedule
