// Where chunks lie, delivery without multicast, and the table of algorithms.
#include "collectives/schedule.hpp"

#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "collectives/registry.hpp"
#include <lockstep/error.hpp>

namespace lockstep::schedule {
namespace {

Schedule emptySchedule(int worldSize) {
  Schedule schedule;
  schedule.shape = {.worldSize = worldSize, .inPlace = false, .multicast = true};
  schedule.programs.resize(static_cast<std::size_t>(worldSize));
  return schedule;
}

constexpr std::size_t kHuge = std::numeric_limits<std::size_t>::max();

TEST(ElementsOf, ChunksTileTheTile) {
  for (const std::size_t bytes : {1u, 2u, 4u, 8u})
    for (const std::uint32_t chunks : {1u, 2u, 3u, 7u, 64u})
      for (const std::size_t elements : {0u, 1u, 2u, 7u, 63u, 64u, 65u, 1000u, 4096u, 100003u}) {
        SCOPED_TRACE(testing::Message() << elements << " x " << bytes << " B in " << chunks);
        std::size_t end = 0;
        for (std::uint32_t c = 0; c < chunks; ++c) {
          const Span span = elementsOf({c, 1}, chunks, elements, bytes);
          EXPECT_EQ(span.begin, end);
          EXPECT_LE(span.begin, span.end);
          EXPECT_TRUE(span.end == elements || span.end * bytes % 64 == 0);
          end = span.end;
        }
        EXPECT_EQ(end, elements);
      }
}

TEST(ElementsOf, ChunksAreEqualUpToTheLastOnes) {
  // 100 floats in 4: 25 each, rounded up to 32, so that the last has 4.
  EXPECT_EQ(elementsOf({0, 1}, 4, 100, 4).size(), 32u);
  EXPECT_EQ(elementsOf({2, 1}, 4, 100, 4).size(), 32u);
  EXPECT_EQ(elementsOf({3, 1}, 4, 100, 4).size(), 4u);
  // 17 floats in 4: 5 each, rounded up to 16.
  EXPECT_EQ(elementsOf({0, 1}, 4, 17, 4).size(), 16u);
  EXPECT_EQ(elementsOf({1, 1}, 4, 17, 4).size(), 1u);
  EXPECT_EQ(elementsOf({2, 2}, 4, 17, 4).size(), 0u);
}

TEST(ElementsOf, ARangeIsItsChunksTogether) {
  for (std::uint32_t first = 0; first < 8; ++first)
    for (std::uint32_t chunks = 1; first + chunks <= 8; ++chunks) {
      const Span range = elementsOf({first, chunks}, 8, 777, 2);
      EXPECT_EQ(range.begin, elementsOf({first, 1}, 8, 777, 2).begin);
      EXPECT_EQ(range.end, elementsOf({first + chunks - 1, 1}, 8, 777, 2).end);
    }
}

TEST(ElementsOf, DoesNotOverflow) {
  for (const std::uint32_t chunks : {1u, 3u, 64u, std::numeric_limits<std::uint32_t>::max()}) {
    EXPECT_EQ(elementsOf({0, chunks}, chunks, kHuge, 1).begin, 0u);
    EXPECT_EQ(elementsOf({0, chunks}, chunks, kHuge, 1).end, kHuge);
    EXPECT_EQ(elementsOf({chunks - 1, 1}, chunks, kHuge, 1).end, kHuge);
    EXPECT_LE(elementsOf({chunks - 1, 1}, chunks, kHuge, 1).begin, kHuge);
  }
}

TEST(DeliverUnicast, SendsToEachReaderStartingAfterTheWriter) {
  Schedule schedule = emptySchedule(4);
  schedule.programs[2].lanes = {{move({out({0, 1}), via({2, kEveryone}, {1, 1})}, {in({0, 1})})}};
  schedule.programs[0].lanes = {{move({out({1, 1})}, {in({1, 1}), via({2, kEveryone}, {1, 1})})}};
  schedule.programs[3].lanes = {
      {forward({via({3, kEveryone}, {1, 1})}, via({2, kEveryone}, {1, 1}))}};

  const Schedule delivered = deliverUnicast(schedule);
  EXPECT_FALSE(delivered.shape.multicast);
  EXPECT_EQ(toString(delivered.programs[2].lanes[0][0]),
            "send out[0], 2>3[1], 2>0[1], 2>1[1] <- in[0]");
  EXPECT_EQ(toString(delivered.programs[0].lanes[0][0]), "recvReduce out[1] <- in[1] + 2>0[1]");
  EXPECT_EQ(toString(delivered.programs[3].lanes[0][0]),
            "forward 3>0[1], 3>1[1], 3>2[1] <- 2>3[1]");
}

TEST(DeliverUnicast, LeavesPairsAlone) {
  const Algorithm* ring = findAlgorithm(Collective::allReduce, "ring", Edges::channels);
  ASSERT_NE(ring, nullptr);
  const Schedule schedule = generate(*ring, {.worldSize = 5});
  EXPECT_EQ(toString(deliverUnicast(schedule)), toString(schedule));
}

TEST(DeliverUnicast, RefusesWhatIsSealed) {
  Schedule schedule = emptySchedule(2);
  Operand sealed = via({0, kEveryone}, {0, 1});
  sealed.seal = {.sender = 0, .receiver = kEveryone, .index = 0};
  schedule.programs[0].lanes = {{move({sealed}, {in({0, 1})})}};
  EXPECT_THROW(deliverUnicast(schedule), Error);
}

TEST(Registry, FindsEveryAlgorithmByWhatItSaysItIs) {
  for (const Algorithm* algorithm : algorithms()) {
    EXPECT_EQ(findAlgorithm(algorithm->collective, algorithm->name, algorithm->edges), algorithm);
    const Schedule schedule = generate(*algorithm, {.worldSize = 3});
    EXPECT_EQ(schedule.name, algorithm->name);
    EXPECT_EQ(schedule.collective, algorithm->collective);
    EXPECT_EQ(schedule.exposes, algorithm->edges == Edges::exposure);
    EXPECT_EQ(schedule.programs.size(), 3u);
  }
}

TEST(Registry, HasTheAlgorithmsOfEveryCollective) {
  using Names = std::set<std::string_view>;
  std::map<Collective, Names> byChannels, byExposure;
  for (const Algorithm* algorithm : algorithms())
    (algorithm->edges == Edges::channels ? byChannels : byExposure)[algorithm->collective].insert(
        algorithm->name);
  EXPECT_EQ(
      byChannels,
      (std::map<Collective, Names>{
          {Collective::allReduce, {"one_shot", "two_shot", "ring", "halving_doubling", "tree"}},
          {Collective::barrier, {"direct", "dissemination"}},
          {Collective::allGather, {"direct", "ring", "bruck", "recursive_doubling"}},
          {Collective::reduceScatter, {"direct", "ring", "halving"}},
          {Collective::allToAll, {"direct", "pairwise", "bruck"}},
          {Collective::broadcast, {"direct", "binomial", "ring"}},
          {Collective::reduce, {"direct", "binomial"}},
          {Collective::gather, {"direct"}},
          {Collective::scatter, {"direct"}},
      }));
  EXPECT_EQ(byExposure, (std::map<Collective, Names>{
                            {Collective::allReduce, {"one_shot", "two_shot"}},
                            {Collective::allGather, {"direct"}},
                            {Collective::reduceScatter, {"direct"}},
                            {Collective::allToAll, {"direct"}},
                            {Collective::broadcast, {"direct", "joint"}},
                            {Collective::reduce, {"direct"}},
                            {Collective::gather, {"direct"}},
                            {Collective::scatter, {"direct"}},
                        }));
}

TEST(Registry, DoesNotFindWhatThereIsNot) {
  EXPECT_EQ(findAlgorithm(Collective::allReduce, "bogo", Edges::channels), nullptr);
  EXPECT_EQ(findAlgorithm(Collective::allReduce, "ring", Edges::exposure), nullptr);
  EXPECT_EQ(findAlgorithm(Collective::barrier, "ring", Edges::channels), nullptr);
}

void expectRefused(const Shape& shape) {
  SCOPED_TRACE(testing::Message() << "world size " << shape.worldSize << ", root " << shape.root);
  try {
    generate(*algorithms().front(), shape);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
  }
}

TEST(Registry, ChecksTheWorldSizeAndTheRoot) {
  for (const int worldSize : {-1, 0, kMaxWorld + 1}) expectRefused({.worldSize = worldSize});
  for (const int root : {-1, 3, kMaxWorld}) expectRefused({.worldSize = 3, .root = root});
  EXPECT_EQ(generate(*algorithms().front(), {.worldSize = kMaxWorld, .root = kMaxWorld - 1})
                .programs.size(),
            std::size_t{kMaxWorld});
}

// ---- blocks ----

Schedule ofCollective(Collective collective, bool inPlace, int root = 0) {
  Schedule schedule = emptySchedule(3);
  schedule.collective = collective;
  schedule.chunks = 2;
  schedule.shape.inPlace = inPlace;
  schedule.shape.root = root;
  return schedule;
}

TEST(BlocksAndCells, AreAsManyAsTheContractSays) {
  const auto blocks = [](Collective collective, int rank) {
    const Schedule s = ofCollective(collective, false, 1);
    return std::pair(blocksOf(s, BufferName::in, rank), blocksOf(s, BufferName::out, rank));
  };
  using Pair = std::pair<std::uint32_t, std::uint32_t>;  // in, out
  for (const int rank : {0, 1, 2}) {
    const bool root = rank == 1;
    EXPECT_EQ(blocks(Collective::allReduce, rank), (Pair{1, 1}));
    EXPECT_EQ(blocks(Collective::barrier, rank), (Pair{0, 0}));
    EXPECT_EQ(blocks(Collective::allGather, rank), (Pair{1, 3}));
    EXPECT_EQ(blocks(Collective::reduceScatter, rank), (Pair{3, 1}));
    EXPECT_EQ(blocks(Collective::allToAll, rank), (Pair{3, 3}));
    EXPECT_EQ(blocks(Collective::broadcast, rank), (root ? Pair{1, 1} : Pair{0, 1}));
    EXPECT_EQ(blocks(Collective::reduce, rank), (root ? Pair{1, 1} : Pair{1, 0}));
    EXPECT_EQ(blocks(Collective::gather, rank), (root ? Pair{1, 3} : Pair{1, 0}));
    EXPECT_EQ(blocks(Collective::scatter, rank), (root ? Pair{3, 1} : Pair{0, 1}));
  }
}

TEST(BlocksAndCells, InPlaceTheSmallerBufferIsTheRanksOwnBlockOfTheLarger) {
  const Schedule gather = ofCollective(Collective::allGather, true);
  EXPECT_EQ(cellOf(gather, 2, BufferName::in, 1), (Cell{BufferName::out, 5}));
  EXPECT_EQ(cellOf(gather, 2, BufferName::out, 1), (Cell{BufferName::out, 1}));
  const Schedule scatter = ofCollective(Collective::reduceScatter, true);
  EXPECT_EQ(cellOf(scatter, 1, BufferName::out, 0), (Cell{BufferName::in, 2}));
  EXPECT_EQ(cellOf(scatter, 1, BufferName::in, 0), (Cell{BufferName::in, 0}));
  const Schedule all = ofCollective(Collective::allToAll, true);
  EXPECT_EQ(cellOf(all, 1, BufferName::in, 3), cellOf(all, 1, BufferName::out, 3));
  EXPECT_EQ(cellOf(all, 1, BufferName::scratch, 3), (Cell{BufferName::scratch, 3}));
}

TEST(BlocksAndCells, ARankWithOneBufferHasNothingToShare) {
  const Schedule broadcast = ofCollective(Collective::broadcast, true, 1);
  EXPECT_EQ(cellOf(broadcast, 1, BufferName::in, 0), cellOf(broadcast, 1, BufferName::out, 0));
  EXPECT_EQ(cellOf(broadcast, 0, BufferName::out, 0), (Cell{BufferName::out, 0}));
  const Schedule gather = ofCollective(Collective::allGather, false);
  EXPECT_EQ(cellOf(gather, 2, BufferName::in, 1), (Cell{BufferName::in, 1})) << "not in place";
}

}  // namespace
}  // namespace lockstep::schedule
