// What crosses in sealed modes: ciphertext and tags, of counters that no key sees twice.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cuda/changed_prelude.hpp"
#include "cuda/generated_calls.hpp"

namespace lockstep::testing {
namespace {

constexpr int kRanks = 3;
constexpr device::Geometry kGeometry{.world = kRanks,
                                     .lanes = 2,
                                     .slotBytes = 512,
                                     .llBytes = 512,
                                     .heapBytes = std::size_t{1} << 16};

struct Compiled {
  explicit Compiled(Mode mode, const HostBuild& build = {.flags = "-O0"})
      : cases(casesApart(kRanks, mode)), module(compileCases(cases, build)) {}
  std::vector<GeneratedCase> cases;
  HostModule module;
};
const Compiled& compiled(Mode mode) {
  static const Compiled clear(Mode::p2p), pairs(Mode::cc), group(Mode::ccMulticast);
  return mode == Mode::p2p ? clear : mode == Mode::cc ? pairs : group;
}

/// All that ranks share but the heap, where these tests have their buffers.
std::span<const std::byte> channels(const HostWorld& world, int rank) {
  const device::Offsets offsets{kGeometry};
  return world.segment(rank).first(offsets.slots() +
                                   offsets.perLane(offsets.slotStride() * device::kSlots));
}

bool isPayloadOrTag(std::size_t at) {
  const device::Offsets offsets{kGeometry};
  if (at < offsets.slots()) return false;
  return (at - offsets.slots()) % offsets.slotStride() < kGeometry.slotBytes + device::kTagBytes;
}

TEST(LaneSecrecy, OnlyCiphertextAndTagsDependOnTheInputs) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    const Compiled& made = compiled(mode);
    HostWorld one(kGeometry), other(kGeometry);
    one.prepareKeys(made.module);
    other.prepareKeys(made.module);
    for (const GeneratedCase& c : made.cases) {
      GeneratedCall first(c, one, 301, 0, 1, 7), second(c, other, 301, 0, 1, 8);
      first.run(made.module);
      second.run(made.module);
      first.check();
      second.check();
      std::size_t differ = 0;
      for (int rank = 0; rank < kRanks; ++rank) {
        const auto a = channels(one, rank), b = channels(other, rank);
        for (std::size_t at = 0; at < a.size(); ++at) {
          if (a[at] == b[at]) continue;
          ++differ;
          ASSERT_TRUE(isPayloadOrTag(at)) << first.what(rank) << ", offset " << at;
        }
      }
      const bool hasData = contractOf(c.request.algorithm->collective).hasData;
      EXPECT_TRUE(!hasData || differ > 100) << first.what(0);
    }
  }
}

constexpr std::string_view kPlanted = "planted!";

std::size_t plantedIn(std::span<const std::byte> memory) {
  const std::string_view text(reinterpret_cast<const char*>(memory.data()), memory.size());
  std::size_t hits = 0;
  for (std::size_t at = 0; (at = text.find(kPlanted, at)) != text.npos; ++at) ++hits;
  return hits;
}

/// Runs all algorithms with inputs that are nothing but the pattern.
std::size_t hitsOf(Mode mode) {
  const Compiled& made = compiled(mode);
  HostWorld world(kGeometry);
  if (isSealed(mode)) world.prepareKeys(made.module);
  std::size_t hits = 0;
  for (const GeneratedCase& c : made.cases) {
    GeneratedCall call(c, world, 304, 0, 1, 7);
    for (int rank = 0; rank < kRanks; ++rank) {
      std::byte* const heap = world.heap(rank);
      for (std::size_t at = 0; at < kGeometry.heapBytes / 2; ++at)
        heap[at] = static_cast<std::byte>(kPlanted[at % kPlanted.size()]);
    }
    call.run(made.module);
    for (int rank = 0; rank < kRanks; ++rank) {
      EXPECT_EQ(world.verdict(rank).stopped, 0U) << call.what(rank);
      hits += plantedIn(channels(world, rank));
    }
  }
  return hits;
}

TEST(LaneSecrecy, APlantedPatternCrossesInTheClearAndNotSealed) {
  EXPECT_GT(hitsOf(Mode::p2p), 1000U);
  EXPECT_EQ(hitsOf(Mode::cc), 0U);
  EXPECT_EQ(hitsOf(Mode::ccMulticast), 0U);
}

/// Every seal: by whom, in which lane, under which of its keys, with which counter.
class Ledger {
 public:
  using Entry = std::tuple<unsigned, unsigned, unsigned, std::uint64_t>;
  void write(unsigned rank, unsigned lane, unsigned key, std::uint64_t counter) {
    const std::lock_guard lock(mutex_);
    ++seals_;
    unique_.insert({rank, lane, key, counter});
  }
  std::size_t seals() const { return seals_; }
  const std::set<Entry>& unique() const { return unique_; }

 private:
  std::mutex mutex_;
  std::size_t seals_ = 0;
  std::set<Entry> unique_;
};
Ledger* ledger = nullptr;

void record(unsigned rank, unsigned lane, unsigned key, unsigned long long counter) {
  ledger->write(rank, lane, key, counter);
}

TEST(LaneSecrecy, NoKeySeesACounterTwice) {
  constexpr std::string_view kHead = "// Functions, not text in every operation";
  constexpr std::string_view kKey = "SealingKey& key = keyAt(world, now.lane, now.keyNumber);";
  const std::string variable = fmt::format(
      "extern \"C\" {{ inline void (*recordSeal)(u32, u32, u32, u64) = nullptr; }}\n{}", kHead);
  const std::string recorded =
      fmt::format("{}\n  recordSeal(world.rank, now.lane, now.keyNumber, end.counter);", kKey);
  const ChangedPrelude recording("sealed.cuh", {{kHead, variable}, {kKey, recorded}});
  const HostBuild build{.flags = "-O0 -DLOCKSTEP_MESSAGES_PER_EPOCH=16", .root = recording.root()};
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    const Compiled made(mode, build);
    Ledger seals;
    ledger = &seals;
    *static_cast<decltype(&record)*>(made.module.symbol("recordSeal")) = record;
    HostWorld world(kGeometry);
    world.prepareKeys(made.module);
    std::uint64_t seed = 1;
    for (int round = 0; round < 2; ++round)
      for (const GeneratedCase& c : made.cases) {
        GeneratedCall call(c, world, seed % 3 == 0 ? 0 : 200 * seed % 900, 0,
                           static_cast<int>(seed % kRanks), seed);
        call.run(made.module);
        call.check();
        if (HasFatalFailure()) return;
        ++seed;
      }
    EXPECT_GT(seals.seals(), 400U);
    EXPECT_EQ(seals.seals(), seals.unique().size());
    // What a lane says it has used, it has; what comes next is new.
    for (const auto& [rank, lane, key, counter] : seals.unique())
      ASSERT_LT(counter, world.lane(static_cast<int>(rank), lane).nonces[key]);
  }
}

}  // namespace
}  // namespace lockstep::testing
