// Nonces of a call are reserved before anything moves; a call too large to count is refused.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "executor/sealed_world.hpp"
#include <lockstep/error.hpp>

namespace lockstep::host {
namespace {

struct Answer {
  std::string refusal;     ///< empty if it begins
  std::uint64_t turn = 0;  ///< the first tile under the next key
  std::size_t tileElements = 0;
};

/// What the first call of a new run is answered. No nonce is taken by a call that is refused.
Answer answerOf(SealedRank& rank, const PlanRequest& request, std::size_t count) {
  const Plan& plan = rank.plan(request);
  Answer answer;
  answer.tileElements = plan.tileElements;
  try {
    rank.begin(plan, {.collective = request.algorithm->collective, .count = count});
    answer.turn = rank.keys.at({0, 1}).turnsAt();
    return answer;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    answer.refusal = error.what();
  }
  EXPECT_EQ(rank.keys.at({0, 1}).reserve(1, 1), 0U) << "nonces were taken";
  return answer;
}

/// On two ranks alike.
Answer answerTo(Collective collective, const char* algorithm, std::size_t tileBytes,
                std::size_t count) {
  const SealedWorld world(2);
  PlanRequest request;
  request.algorithm = schedule::findAlgorithm(collective, algorithm, schedule::Edges::channels);
  request.type = DataType::u8;
  request.mode = Mode::cc;
  request.tileBytes = tileBytes;
  const Answer answer = answerOf(world.rank(0), request, count);
  const Answer other = answerOf(world.rank(1), request, count);
  EXPECT_EQ(answer.refusal, other.refusal);
  EXPECT_EQ(answer.turn, other.turn);
  return answer;
}

/// Tiles of one byte, 2^63 of them, and two messages in each: 2^64 records, which is 0 in 64 bits.
TEST(Nonces, ACallOfMoreRecordsThanCanBeCountedIsRefused) {
  EXPECT_THAT(answerTo(Collective::allReduce, "two_shot", 1, std::size_t{1} << 63).refusal,
              ::testing::HasSubstr("split the message into smaller calls"));
}

/// As many tiles as a record can be named in, and one more.
TEST(Nonces, ACallOfMoreTilesThanHaveNamesIsRefused) {
  constexpr std::size_t kMost = (std::size_t{1} << 32) - 1;
  EXPECT_EQ(answerTo(Collective::allReduce, "two_shot", 1, kMost).refusal, "");
  EXPECT_THAT(answerTo(Collective::allReduce, "two_shot", 1, kMost + 1).refusal,
              ::testing::HasSubstr("split the message into smaller calls"));
}

/// Records of two blocks of 512 bytes are 65 AES blocks and not 33: 2^34.5 are soon used up, and
/// the key is replaced within the call.
TEST(Nonces, AllBlocksOfAMessageAreCounted) {
  constexpr std::size_t kTile = 512, kMostAesBlocks = 24'296'003'999;  // 2^34.5
  const Answer answer =
      answerTo(Collective::allGather, "bruck", kTile, kMostAesBlocks / 40 * kTile);
  EXPECT_EQ(answer.refusal, "");
  EXPECT_EQ(answer.tileElements, kTile);
  EXPECT_EQ(answer.turn, kMostAesBlocks / 65);
}

}  // namespace
}  // namespace lockstep::host
