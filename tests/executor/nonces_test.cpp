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

/// What the first call of a new run is answered, on two ranks; empty if it begins. No nonce is
/// taken by a call that is refused.
std::string refusalOf(Collective collective, const char* algorithm, std::size_t tileBytes,
                      std::size_t count) {
  auto ends = joinThreads(2);
  std::array<std::string, 2> refusals;
  const auto play = [&](Peers& peers, std::string& refusal) {
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
      run.begin(plan, call, false);
      return;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
      refusal = error.what();
    }
    EXPECT_EQ(keys.at({0, 1}).reserve(1, 1), 0U) << "nonces were taken";
  };
  std::thread other([&] { play(*ends[1], refusals[1]); });
  play(*ends[0], refusals[0]);
  other.join();
  EXPECT_EQ(refusals[0], refusals[1]);
  return refusals[0];
}

/// Tiles of one byte, 2^63 of them, and two messages in each: 2^64 records, which is 0 in 64 bits.
TEST(Nonces, ACallOfMoreRecordsThanCanBeCountedIsRefused) {
  EXPECT_THAT(refusalOf(Collective::allReduce, "two_shot", 1, std::size_t{1} << 63),
              ::testing::HasSubstr("split the message into smaller calls"));
}

/// Records of two blocks of 512 bytes are 65 AES blocks and not 33: 2^34.5 are soon used up.
TEST(Nonces, AllBlocksOfAMessageAreCounted) {
  constexpr std::size_t kTile = 512, kMostAesBlocks = 24'296'004'000;  // 2^34.5
  EXPECT_NE(refusalOf(Collective::allGather, "bruck", 2 * kTile, kMostAesBlocks / 40 * kTile), "");
}

}  // namespace
}  // namespace lockstep::host
