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

/// Tiles of one byte, 2^63 of them, and two messages in each: 2^64 records, which is 0 in 64 bits.
TEST(Nonces, ACallOfMoreRecordsThanCanBeCountedIsRefused) {
  auto ends = joinThreads(2);
  const auto play = [](Peers& peers) {
    shm::Fabric fabric(peers, Deadline::in(std::chrono::seconds(20)));
    cc::KeyRing keys(cc::createAead());
    const std::array<std::byte, cc::kKeyBytes> key{std::byte{1}};
    keys.add({0, 1}, key);
    keys.add({1, 0}, key);
    PlanRequest request;
    request.algorithm =
        schedule::findAlgorithm(Collective::allReduce, "two_shot", schedule::Edges::channels);
    request.type = DataType::u8;
    request.mode = Mode::cc;
    request.tileBytes = 1;
    const Plan plan = lower(request, fabric, &keys);
    ASSERT_THAT(plan.keys, ::testing::Each(::testing::Field(&KeyUse::perTile, 2)));

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
    call.count = std::size_t{1} << 63;
    try {
      run.begin(plan, call, false);
      ADD_FAILURE() << "begun";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("split the message into smaller calls"));
    }
    EXPECT_EQ(keys.at({0, 1}).reserve(1, 1), 0U) << "nonces were taken";
  };
  std::thread other([&] { play(*ends[1]); });
  play(*ends[0]);
  other.join();
}

}  // namespace
}  // namespace lockstep::host
