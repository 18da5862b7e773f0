// What a lane does when things go wrong: every kernel ends, and soon; the first to notice says what
// it waited for; nothing is passed on that was not received.
#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cuda/generated_calls.hpp"

namespace lockstep::testing {
namespace {

using device::Fault;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kRanks = 3;
/// Of ranks that wait in vain in any case.
constexpr auto kPatience = 40ms;
/// What says that a wait has no end.
constexpr auto kBound = 20s;

HostWorld smallWorld() {
  return HostWorld({.world = kRanks,
                    .lanes = 2,
                    .slotBytes = 4096,
                    .llBytes = 1024,
                    .heapBytes = std::size_t{1} << 20});
}

struct Compiled {
  explicit Compiled(std::vector<GeneratedCase> some)
      : cases(std::move(some)), module(compileCases(cases, {.flags = "-O0"})) {}
  std::vector<GeneratedCase> cases;
  HostModule module;
};

/// What tests of one kind of wait need.
std::vector<GeneratedCase> fewCases(Mode mode) {
  std::vector<GeneratedCase> cases = casesApart(kRanks, mode);
  std::erase_if(cases, [](const GeneratedCase& c) {
    const std::string_view algorithm = c.request.algorithm->name;
    const Collective collective = c.request.algorithm->collective;
    return collective != Collective::allReduce && collective != Collective::barrier &&
           !(collective == Collective::allToAll && algorithm == "direct");
  });
  return cases;
}
const Compiled& few() {
  static const Compiled compiled(fewCases(Mode::p2p));
  return compiled;
}

const GeneratedCase& caseOf(const std::vector<GeneratedCase>& cases, std::string_view name) {
  const auto at = std::ranges::find_if(
      cases, [&](const GeneratedCase& c) { return c.kernel.name.find(name) != std::string::npos; });
  if (at == cases.end()) throw std::logic_error(fmt::format("no kernel {}", name));
  return *at;
}

Fault faultOf(const HostWorld& world, int rank) {
  return static_cast<Fault>(world.report(rank).fault);
}

/// Ranks that were there all stopped, and one at least says why.
void expectAllStopped(const HostWorld& world, std::uint64_t present, const std::string& what) {
  int told = 0;
  for (int rank = 0; rank < kRanks; ++rank) {
    if ((present >> rank & 1) == 0) continue;
    EXPECT_NE(world.verdict(rank).stopped, 0U) << what << ", rank " << rank;
    told += faultOf(world, rank) != Fault::none ? 1 : 0;
  }
  EXPECT_GT(told, 0) << what;
}

void oneRankIsMissing(const std::vector<GeneratedCase>& cases, const HostModule& module,
                      bool areSealed) {
  for (const GeneratedCase& c : cases) {
    HostWorld world = smallWorld();
    if (areSealed) world.prepareKeys(module);
    // More messages than channels hold, so that writers miss their reader, too.
    GeneratedCall call(c, world, c.kernel.exposes ? 3000 : 12000, 0, 0, 1);
    call.shape.patience = kPatience;
    call.shape.fingerprint = 0x1234567890abcdef;
    if (c.kernel.exposes) call.shape.tileElements = 1536;
    call.present = 0b011;
    const auto began = Clock::now();
    call.run(module);
    ASSERT_LT(Clock::now() - began, kBound) << call.what(2);
    bool stopped = false;
    for (int rank = 0; rank < 2; ++rank) {
      stopped = stopped || world.verdict(rank).stopped != 0;
      const device::Report& report = world.report(rank);
      if (report.fault == 0) continue;
      EXPECT_EQ(faultOf(world, rank), Fault::timeout) << call.what(rank);
      EXPECT_NE(report.rank, static_cast<unsigned>(rank)) << call.what(rank);
      EXPECT_LT(report.rank, 3U) << call.what(rank);
      EXPECT_LT(report.lane, 2U);
      EXPECT_EQ(report.call, 0U);
      EXPECT_EQ(report.fingerprint, 0x1234567890abcdefU);
    }
    EXPECT_TRUE(stopped) << call.what(0) << ": nobody missed rank 2";
    // All are told: the one that never came finds the word when it does.
    EXPECT_NE(world.control(2).abort, 0U) << call.what(2);
    call.present = 0b100;
    const auto late = Clock::now();
    call.run(module);
    EXPECT_LT(Clock::now() - late, kBound);
    EXPECT_NE(world.verdict(2).stopped, 0U) << call.what(2);
    EXPECT_EQ(faultOf(world, 2), Fault::none) << call.what(2);
  }
}

TEST(LaneFaults, ARankThatNeverComesIsMissedInEveryAlgorithm) {
  const Compiled all(casesApart(kRanks, Mode::p2p));
  oneRankIsMissing(all.cases, all.module, false);
}

TEST(LaneFaults, ARankThatNeverComesIsMissedInEverySealedAlgorithm) {
  const Compiled all(casesApart(kRanks, Mode::cc));
  oneRankIsMissing(all.cases, all.module, true);
}

TEST(LaneFaults, TheReportNamesWhatDidNotCome) {
  HostWorld world = smallWorld();
  const GeneratedCase& c = caseOf(few().cases, "allreduce_one_shot_");
  // A call that all make, and one that rank 1 does not.
  for (const std::uint64_t present : {0b111U, 0b101U}) {
    GeneratedCall call(c, world, 16, 0, 0, 1);
    // Long enough for a busy machine to start the others.
    call.shape.patience = std::chrono::milliseconds(present == 0b111 ? 20000 : 1500);
    call.shape.blocks = 1;
    call.shape.fingerprint = 7;
    call.present = present;
    call.run(few().module);
  }
  int named = 0;
  for (const int rank : {0, 2}) {
    EXPECT_NE(world.verdict(rank).stopped, 0U);
    const device::Report& report = world.report(rank);
    if (report.fault == 0) continue;
    ++named;
    EXPECT_EQ(faultOf(world, rank), Fault::timeout);
    EXPECT_EQ(report.rank, 1U);
    EXPECT_EQ(report.lane, 0U);
    EXPECT_EQ(report.call, 1U);
    EXPECT_EQ(report.step, 1U);
    EXPECT_EQ(report.fingerprint, 7U);
  }
  EXPECT_GT(named, 0);
  EXPECT_EQ(world.control(0).calls, 2U);
  EXPECT_EQ(world.control(1).calls, 1U);
}

/// All ranks run, rank 1 with another fingerprint.
void differ(std::string_view name, const std::vector<GeneratedCase>& cases,
            const HostModule& module, bool areSealed, std::uint64_t other) {
  HostWorld world = smallWorld();
  if (areSealed) world.prepareKeys(module);
  const GeneratedCase& c = caseOf(cases, name);
  GeneratedCall call(c, world, 600, 0, 0, 1);
  call.shape.fingerprint = 0x00f0000000000005;
  std::vector<device::Launch> launches;
  for (int rank = 0; rank < kRanks; ++rank) {
    launches.push_back(world.launchOf(rank, call.shape, call.operands(rank)));
    if (rank == 1) launches.back().calls[0].fingerprint = other;
    if (rank == 1) launches.back().calls[0].digest[3] = 1;
  }
  const auto began = Clock::now();
  world.run(module, std::vector(kRanks, module.entry(c.kernel.name)), launches,
            std::vector(kRanks, call.shape.blocks));
  EXPECT_LT(Clock::now() - began, kBound);
  expectAllStopped(world, 0b111, c.kernel.name);
  int mismatches = 0;
  for (int rank = 0; rank < kRanks; ++rank) {
    const device::Report& report = world.report(rank);
    if (report.fault == 0) continue;
    ++mismatches;
    EXPECT_EQ(faultOf(world, rank), Fault::mismatch) << c.kernel.name << ", rank " << rank;
    EXPECT_TRUE(rank == 1 || report.rank == 1) << report.rank;
    EXPECT_NE(report.theirs, report.fingerprint);
  }
  EXPECT_GT(mismatches, 0);
}

TEST(LaneFaults, CallsThatDifferAreNoticedBesideTheFlag) {
  differ("allreduce_one_shot_", few().cases, few().module, false, 0x00f0000000000006);
  differ("alltoall_direct", few().cases, few().module, false, 6);
}

TEST(LaneFaults, CallsThatDifferAreNoticedInALine) {
  const auto isLl = [](const GeneratedCase& c) {
    return c.request.protocol == cuda::Protocol::ll && c.request.algorithm->name == "one_shot" &&
           c.request.algorithm->collective == Collective::allReduce;
  };
  const auto at = std::ranges::find_if(few().cases, isLl);
  ASSERT_NE(at, few().cases.end());
  // A line has the lowest 20 bits of it.
  differ(at->kernel.name, few().cases, few().module, false, 0x00f0000000000006);
}

TEST(LaneFaults, CallsThatDifferAreNoticedWhereMemoryIsExposed) {
  const auto at =
      std::ranges::find_if(few().cases, [](const GeneratedCase& c) { return c.kernel.exposes; });
  ASSERT_NE(at, few().cases.end());
  differ(at->kernel.name, few().cases, few().module, false, 99);
}

TEST(LaneFaults, CallsThatDifferAreToldFromAnAttackByThePlainFingerprint) {
  const Compiled sealed(fewCases(Mode::cc));
  differ("allreduce_one_shot_", sealed.cases, sealed.module, true, 0x00f0000000000006);
}

/// What a rank exposes lies in its heap, or is not touched.
TEST(LaneFaults, AnOffsetOutsideTheHeapIsNotFollowed) {
  const auto at =
      std::ranges::find_if(few().cases, [](const GeneratedCase& c) { return c.kernel.exposes; });
  ASSERT_NE(at, few().cases.end());
  const device::Offsets offsets{smallWorld().geometry()};
  const std::uint64_t heap = offsets.heap(), bytes = offsets.bytes(), below = 0;
  const std::vector<std::uint64_t> wrong{0,         heap - 1,   bytes - 1, bytes,
                                         bytes + 1, below - 64, below - 1, heap << 20};
  for (const std::uint64_t offset : wrong) {
    HostWorld world = smallWorld();
    GeneratedCall call(*at, world, 600, 0, 0, 1);
    std::vector<device::Launch> launches;
    for (int rank = 0; rank < kRanks; ++rank)
      launches.push_back(world.launchOf(rank, call.shape, call.operands(rank)));
    launches[1].calls[0].inOffset = offset;
    launches[1].calls[0].outOffset = offset;
    world.run(few().module, std::vector(kRanks, few().module.entry(at->kernel.name)), launches,
              std::vector(kRanks, call.shape.blocks));
    expectAllStopped(world, 0b111, fmt::format("offset {}", offset));
    for (const int rank : {0, 2}) {
      if (faultOf(world, rank) == Fault::none) continue;
      EXPECT_EQ(faultOf(world, rank), Fault::outside) << offset;
      EXPECT_EQ(world.report(rank).rank, 1U);
      EXPECT_EQ(world.report(rank).theirs, offset);
    }
  }
}

TEST(LaneFaults, TheAbortWordEndsEveryWaitAndLeavesATrace) {
  for (const std::string_view name :
       {"allreduce_ring_", "allreduce_one_shot_", "barrier_", "exposed"}) {
    HostWorld world = smallWorld();
    const GeneratedCase& c = caseOf(few().cases, name);
    GeneratedCall call(c, world, 3000, 0, 0, 1);
    if (c.kernel.exposes) call.shape.tileElements = 1536;
    call.present = 0b011;
    call.shape.patience = std::chrono::milliseconds(60000);
    std::thread host([&] {
      while (__atomic_load_n(&world.control(0).calls, __ATOMIC_ACQUIRE) == 0) {
      }
      // As a host does, that aborts and whose word is wiped at once by whoever wants it so.
      for (int rank = 0; rank < kRanks; ++rank)
        __atomic_store_n(&world.control(rank).abort, 9, __ATOMIC_RELAXED);
    });
    const auto began = Clock::now();
    call.run(few().module);
    host.join();
    EXPECT_LT(Clock::now() - began, kBound) << name;
    for (int rank = 0; rank < 2; ++rank) {
      EXPECT_NE(world.verdict(rank).stopped, 0U) << name;
      EXPECT_EQ(faultOf(world, rank), Fault::none) << name;
    }
  }
}

/// A rank that failed signals nothing in the calls that follow, whatever the abort words say.
TEST(LaneFaults, AfterAFailureNothingIsSignalled) {
  const Compiled all(casesApart(kRanks, Mode::p2p));
  for (const GeneratedCase& c : all.cases) {
    HostWorld world = smallWorld();
    world.control(0).abort = 1;
    const std::vector<std::byte> before(world.segment(1).begin(), world.segment(1).end());
    GeneratedCall call(c, world, 600, 0, 0, 1);
    const std::vector<std::byte> heap(world.segment(1).begin(), world.segment(1).end());
    call.present = 0b001;
    call.run(all.module);
    EXPECT_NE(world.verdict(0).stopped, 0U) << call.what(0);
    EXPECT_TRUE(std::ranges::equal(heap, world.segment(1))) << call.what(0);
  }
}

}  // namespace
}  // namespace lockstep::testing
