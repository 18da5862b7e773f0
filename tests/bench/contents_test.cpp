#include "bench/contents.hpp"

#include <cstring>
#include <set>

#include <gtest/gtest.h>

#include "bench/layout.hpp"
#include "bench/number.hpp"

namespace lockstep::bench {
namespace {

constexpr DataType kType = DataType::i32;
constexpr Reduction kReduction = Reduction::sum;
using Elements = std::vector<std::int32_t>;

/// A world whose collectives are done by hand, from nothing but their description.
struct World {
  Operation op;
  int ranks, root;
  std::size_t count;

  Task task() const { return {op, kType, kReduction, root, count, 0}; }
  Contents contents(int rank) const { return {task(), ranks, rank}; }
  Layout layout(int rank) const { return layoutOf(op, ranks, rank, root); }
  Elements in(int rank) const {
    Elements elements(layout(rank).inBlocks * count);
    contents(rank).fill(elements.data(), elements.size());
    return elements;
  }
  /// Block `block` of what `rank` gives.
  Elements given(int rank, std::size_t block) const {
    const Elements all = in(rank);
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(block * count);
    return {first, first + static_cast<std::ptrdiff_t>(count)};
  }
  Elements summed(std::size_t block) const {
    std::vector<std::uint32_t> sum(count);
    for (int rank = 0; rank < ranks; ++rank) {
      const Elements part = given(rank, block);
      for (std::size_t i = 0; i < count; ++i) sum[i] += static_cast<std::uint32_t>(part[i]);
    }
    return {sum.begin(), sum.end()};
  }
  Elements out(int rank) const {
    const auto own = static_cast<std::size_t>(rank);
    switch (op) {
      case Operation::allReduce:
        return summed(0);
      case Operation::reduceScatter:
        return summed(own);
      case Operation::reduce:
        return rank == root ? summed(0) : Elements();
      case Operation::broadcast:
        return given(root, 0);
      case Operation::scatter:
        return given(root, own);
      case Operation::sendRecv:
        return given((rank + ranks - 1) % ranks, 0);
      case Operation::allGather:
      case Operation::allToAll:
      case Operation::allToAllV:
      case Operation::gather:
        break;
      case Operation::barrier:
        return {};
    }
    Elements all;
    if (op == Operation::gather && rank != root) return all;
    for (int q = 0; q < ranks; ++q) {
      const Elements part =
          given(q, op == Operation::allToAll || op == Operation::allToAllV ? own : 0);
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }
};

template <class Body>
void forEveryWorld(Body body) {
  for (std::size_t c = 0; c < kOperations; ++c)
    for (const int ranks : {1, 2, 5}) {
      const World world{static_cast<Operation>(c), ranks, ranks - 1, 1000};
      SCOPED_TRACE(testing::Message() << name(world.op) << " P=" << ranks);
      if (contractOf(world.op).hasData) body(world);
    }
}

TEST(Contents, WhatEachCollectivePromisesIsRight) {
  forEveryWorld([](const World& world) {
    for (int rank = 0; rank < world.ranks; ++rank) {
      const Elements out = world.out(rank);
      EXPECT_EQ(out.size(), world.layout(rank).outBlocks * world.count);
      EXPECT_EQ(world.contents(rank).check(out.data(), world.count).wrong, 0u);
    }
  });
}

TEST(Contents, AWrongElementIsFoundWhereverItIs) {
  forEveryWorld([](const World& world) {
    for (int rank = 0; rank < world.ranks; ++rank) {
      Elements out = world.out(rank);
      for (std::size_t at = world.count / 2; at < out.size(); at += world.count) {
        out[at] ^= 1;
        const CheckResult found = world.contents(rank).check(out.data(), world.count);
        EXPECT_EQ(found.wrong, 1u);
        ASSERT_TRUE(found.first);
        EXPECT_EQ(found.first->index, at);
        out[at] ^= 1;
      }
    }
  });
}

/// A block of another rank, or for another rank, must not pass for the right one.
TEST(Contents, EveryBlockIsToldFromEveryOther) {
  for (const Operation op : {Operation::allGather, Operation::allToAll, Operation::scatter})
    for (std::size_t count = 1; count <= std::size_t{1} << 26; count *= 2) {
      constexpr int kRanks = 8;
      const Contents contents({op, DataType::u8, kReduction, 0, count, 0}, kRanks, 0);
      const Contract& contract = contractOf(op);
      std::set<std::size_t> starts;
      std::size_t blocks = 0;
      for (int source = 0; source < (contract.inAtRoot ? 1 : kRanks); ++source)
        for (int target = 0; target < (contract.inPerRank ? kRanks : 1); ++target, ++blocks)
          starts.insert(contents.startOf(source, target, count) % kPatternPeriod);
      EXPECT_EQ(starts.size(), blocks) << name(op) << ' ' << count;
    }
}

TEST(Layout, InPlaceTheSmallerBufferIsTheOwnBlockOfTheLarger) {
  const Layout gathering = layoutOf(Operation::allGather, 4, 2, 0);
  EXPECT_EQ(gathering.inAt, 2u);
  EXPECT_EQ(gathering.outAt, 0u);
  const Layout scattering = layoutOf(Operation::reduceScatter, 4, 2, 0);
  EXPECT_EQ(scattering.inAt, 0u);
  EXPECT_EQ(scattering.outAt, 2u);
  const Layout both = layoutOf(Operation::allToAll, 4, 2, 0);
  EXPECT_EQ(both.inAt + both.outAt, 0u);
  EXPECT_EQ(both.blocks(), 4u);
  const Layout giving = layoutOf(Operation::gather, 4, 2, 0);  // all it has is an input
  EXPECT_EQ(giving.inAt, 0u);
  EXPECT_EQ(giving.outBlocks, 0u);
}

}  // namespace
}  // namespace lockstep::bench
