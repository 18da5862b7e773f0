// Registered memory: every rank finds every rank's, and nothing outside it.
#include "transport/shm/regions.hpp"

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "bootstrap/peers.hpp"
#include <lockstep/error.hpp>

namespace lockstep::shm {
namespace {

constexpr int kWorld = 3;

Deadline soon() {
  return Deadline::in(std::chrono::seconds(20));
}

void asRanks(const std::function<void(Peers&)>& play) {
  auto ends = joinThreads(kWorld);
  std::vector<std::thread> threads;
  for (auto& end : ends) threads.emplace_back([&play, &end] { play(*end); });
  for (std::thread& thread : threads) thread.join();
}

TEST(Regions, ARanksMemoryIsFoundByAllOthers) {
  asRanks([](Peers& peers) {
    Regions regions;
    const auto region = regions.add(peers, 1000, soon());
    auto* mine = region->mine();
    mine[100] = static_cast<std::byte>(peers.rank() + 1);
    const Location where = regions.locate(mine + 100, 900);
    EXPECT_NE(where.region, Location::kAddress);
    EXPECT_EQ(where.offset, 100U);
    peers.allGather({}, soon());
    for (int r = 0; r < kWorld; ++r) {
      const std::byte* theirs = regions.resolve(r, where, 900);
      ASSERT_NE(theirs, nullptr);
      EXPECT_EQ(*theirs, static_cast<std::byte>(r + 1));
    }
    peers.allGather({}, soon());
  });
}

TEST(Regions, WhatIsNotWhollyInsideIsOrdinary) {
  asRanks([](Peers& peers) {
    Regions regions;
    const auto region = regions.add(peers, 4096, soon());
    const std::byte* mine = region->mine();
    EXPECT_NE(regions.locate(mine, 4096).region, Location::kAddress);
    for (const auto& [data, bytes] : {std::pair{mine, std::size_t{4097}}, {mine + 1, 4096}}) {
      const Location where = regions.locate(data, bytes);
      EXPECT_EQ(where.region, Location::kAddress);
      EXPECT_EQ(where.offset, reinterpret_cast<std::uintptr_t>(data));
    }
  });
}

/// A location is a peer's word.
TEST(Regions, ALocationOutsideIsRefused) {
  asRanks([](Peers& peers) {
    Regions regions;
    const auto region = regions.add(peers, 4096, soon());
    EXPECT_NE(regions.resolve(1, {region->id, 0}, 4096), nullptr);
    for (const Location bad : {Location{region->id, 1}, Location{region->id, 4097},
                               Location{region->id, ~std::uint64_t{0}}, Location{99, 0}})
      EXPECT_EQ(regions.resolve(1, bad, 4096), nullptr);
    EXPECT_EQ(regions.resolve(1, {region->id, 0}, ~std::size_t{0}), nullptr);
  });
}

TEST(Regions, GoWhenEveryRankHasDroppedThem) {
  asRanks([](Peers& peers) {
    Regions regions;
    auto first = regions.add(peers, 4096, soon());
    const std::uint64_t id = first->id;
    if (peers.rank() != 0) first.reset();
    auto second = regions.add(peers, 4096, soon());
    EXPECT_NE(regions.resolve(1, {id, 0}, 1), nullptr);  // rank 0 has it still
    first.reset();
    auto third = regions.add(peers, 4096, soon());
    EXPECT_EQ(regions.resolve(1, {id, 0}, 1), nullptr);
    EXPECT_NE(regions.resolve(1, {second->id, 0}, 1), nullptr);
  });
}

TEST(Regions, DifferentSizesAreAMismatchOnEveryRank) {
  asRanks([](Peers& peers) {
    Regions regions;
    try {
      regions.add(peers, peers.rank() == 1 ? 100 : 200, soon());
      ADD_FAILURE() << "no error on rank " << peers.rank();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::mismatch);
      EXPECT_STREQ(error.what(),
                   "alloc: the ranks asked for different sizes, rank 1 for 100 bytes, "
                   "ranks 0 and 2 for 200 bytes; ask for the same");
    }
  });
}

}  // namespace
}  // namespace lockstep::shm
