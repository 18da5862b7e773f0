// Nonces of a call are reserved before anything moves; a call too large to count is refused.
#include <memory>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bootstrap/peers.hpp"
#include "cc_mode/aead/aead.hpp"
#include "executor/host/run.hpp"
#include <lockstep/error.hpp>

namespace lockstep::host {
namespace {

struct Answer {
  std::string refusal;     ///< empty if it begins
  std::uint64_t turn = 0;  ///< the first tile under the next key
  std::size_t tileElements = 0;
};

/// What the first call of a new run is answered, on two ranks. No nonce is taken by a call that is
/// refused.
Answer answerTo(Collective collective, const char* algorithm, std::size_t tileBytes,
                std::size_t count) {
  auto ends = joinThreads(2);
  std::array<Answer, 2> answers;
  const auto play = [&](Peers& peers, Answer& answer) {
    shm::Fabric fabric(peers, Deadline::in(std::chrono::seconds(20)));
    cc::KeyRing keys(cc::createAead());
    const std::array<std::byte, cc::kKeyBytes> key{std::byte{1}};
    keys.add({0, 1}, key);
    keys.add({1, 0}, key);
    PlanRequest request;
    request.algorithm = schedule::findAlgorithm(collective, algorithm, schedule::Edges::channels);
    request.type = DataType::u8;
    request.mode = Mode::cc;
    request.tileBytes = tileBytes;
    const Plan plan = lower(request, fabric, &keys);

    shm::Regions regions;
    Doorbell doorbell(fabric, false);
    host::Run run({.fabric = fabric,
                   .regions = regions,
                   .doorbell = doorbell,
                   .pids = {},
                   .pidfds = {},
                   .sameProcess = true,
                   .streamingBytes = 1 << 20,
                   .aead = &keys.aead()});
    Call call;
    call.count = count;
    try {
      answer.tileElements = plan.tileElements;
      run.begin(plan, call, false);
      answer.turn = keys.at({0, 1}).turnsAt();
      return;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
      answer.refusal = error.what();
    }
    EXPECT_EQ(keys.at({0, 1}).reserve(1, 1), 0U) << "nonces were taken";
  };
  std::thread other([&] { play(*ends[1], answers[1]); });
  play(*ends[0], answers[0]);
  other.join();
  EXPECT_EQ(answers[0].refusal, answers[1].refusal);
  EXPECT_EQ(answers[0].turn, answers[1].turn);
  return answers[0];
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
