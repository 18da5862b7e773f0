// One address for all segments, or the reason why there is none, the same on all ranks.
#include "transport/cuda/multicast.hpp"

#include <array>
#include <cstdlib>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/cuda/memory.hpp"
#include "cuda/device_worlds.hpp"

namespace lockstep::cuda {
namespace {

using namespace std::chrono_literals;
using test::Environment;
using test::playDevices;
using test::Ranks;
using test::soon;
using testing::HasSubstr;

constexpr std::uint64_t kBytes = std::uint64_t{4} << 20;

Member memberOn(int gpu, int multicast = 1) {
  Member member;
  member.uuid.bytes[0] = static_cast<char>(gpu);
  member.ordinal = gpu;
  member.multicast = multicast;
  return member;
}

TEST(WhyNoMulticast, SaysWhatIsKnownBeforehand) {
  EXPECT_EQ(whyNoMulticast(std::vector{memberOn(0), memberOn(1)}, true), "");
  EXPECT_EQ(whyNoMulticast(std::vector{memberOn(0)}, true), "there is only one rank");
  EXPECT_EQ(whyNoMulticast(std::vector{memberOn(0), memberOn(1), memberOn(0)}, true),
            "ranks 0 and 2 share GPU 0");
  EXPECT_THAT(whyNoMulticast(std::vector{memberOn(0), memberOn(1, 0)}, true),
              HasSubstr("GPU 1 of rank 1 has no multicast"));
  EXPECT_THAT(whyNoMulticast(std::vector{memberOn(0), memberOn(1)}, false), HasSubstr("IPC"));
}

Environment with(Environment more) {
  more.emplace("LOCKSTEP_FAKE_MULTICAST", "1");
  return more;
}

using Fits = std::function<bool(const Multicast&)>;

/// Every rank asks for multicast over segments on GPUs of their own; "" if all say the same and
/// `fits` agrees, and the segments are as good as before.
std::string probe(Peers& peers, const Fits& fits, Clock::duration patience) {
  int count = 0;
  check(driver().deviceGetCount(&count), "count");
  const Segments segments(peers, PrimaryContext::retain(peers.rank() % count), kBytes, soon());
  const Multicast multicast(peers, segments, soon(), patience);
  for (const auto& theirs : peers.allGather(std::as_bytes(std::span(multicast.describe())), soon()))
    if (!std::ranges::equal(theirs, std::as_bytes(std::span(multicast.describe()))))
      return "not all alike: " + multicast.describe();
  const auto letter = test::pattern(peers.rank(), 1, 100);
  copyToDevice(segments.context(), segments.mine(), letter);
  peers.allGather({}, soon());
  for (int r = 0; r < peers.worldSize(); ++r) {
    std::vector<std::byte> theirs(100);
    copyToHost(segments.context(), theirs, segments.base(r));
    if (theirs != test::pattern(r, 1, 100)) return "the segments are spoiled";
  }
  peers.allGather({}, soon());
  return fits(multicast) ? "" : multicast.describe();
}

std::string probeAll(Ranks ranks, int world, const Environment& environment, const Fits& fits,
                     Clock::duration patience = 10s) {
  return playDevices(ranks, world, environment,
                     [&](Peers& peers) { return probe(peers, fits, patience); });
}

Fits works(int gpus) {
  return [gpus](const Multicast& m) {
    return m.base() != 0 &&
           m.describe() == fmt::format("multimem on a multicast object of {} GPUs", gpus);
  };
}

Fits emulated(std::string why) {
  return [why](const Multicast& m) {
    return m.base() == 0 &&
           m.describe().starts_with("emulated by a loop over peers, because " + why);
  };
}

constexpr std::array kKinds{Ranks::threads, Ranks::processes};
const char* nameOf(Ranks ranks) {
  return ranks == Ranks::threads ? "threads" : "processes";
}

TEST(Multicast, IsThereWhereBindingWorks) {
  for (const Ranks ranks : kKinds) {
    SCOPED_TRACE(nameOf(ranks));
    EXPECT_EQ(probeAll(ranks, 2, with({}), works(2)), "");
    EXPECT_EQ(probeAll(ranks, 3, with({{"LOCKSTEP_FAKE_GPUS", "3"}}), works(3)), "");
  }
}

const Environment kFabricAlone{{"LOCKSTEP_FAKE_NO_FD_EXPORT", "1"}, {"LOCKSTEP_FAKE_FABRIC", "1"}};

TEST(Multicast, GoesByFabricHandlesWhereSegmentsDo) {
  EXPECT_EQ(probeAll(Ranks::processes, 2, with(kFabricAlone), works(2)), "");
  // The second export, the second import: those of the object.
  for (const char* failure :
       {"cuMemExportToShareableHandle/0=800@2", "cuMemImportFromShareableHandle/1=800@2"}) {
    SCOPED_TRACE(failure);
    Environment environment = with(kFabricAlone);
    environment["LOCKSTEP_FAKE_FAIL"] = failure;
    EXPECT_EQ(probeAll(Ranks::processes, 2, environment, emulated("rank ")), "");
  }
}

TEST(Multicast, IsNotTriedWhereItCannotBe) {
  for (const Ranks ranks : kKinds) {
    SCOPED_TRACE(nameOf(ranks));
    EXPECT_EQ(probeAll(ranks, 2, {}, emulated("GPU 0 of rank 0 has no multicast")), "");
    EXPECT_EQ(probeAll(ranks, 1, with({}), emulated("there is only one rank")), "");
    EXPECT_EQ(probeAll(ranks, 3, with({}), emulated("ranks 0 and 2 share GPU 0")), "");
    EXPECT_EQ(probeAll(ranks, 2, with({{"LOCKSTEP_FAKE_MISSING", "cuMulticastCreate"}}),
                       emulated("GPU 0 of rank 0 has no multicast")),
              "");
  }
  EXPECT_EQ(probeAll(Ranks::processes, 2, with({{"LOCKSTEP_FAKE_NO_FD_EXPORT", "1"}}),
                     emulated("CUDA IPC memory")),
            "");
}

struct Call {
  const char* symbol;
  int nth;                   ///< that belongs to multicast
  std::array<int, 2> ranks;  ///< that make it; -1: none
};

// Where one rank fails, all do without. 401 is what some containers say (nccl issue 1788).
TEST(Multicast, WhateverFailsOnOneRankMakesItEmulatedOnAll) {
  constexpr std::array kCalls{Call{"cuMulticastCreate", 1, {0, -1}},
                              Call{"cuMulticastAddDevice", 1, {0, 1}},
                              Call{"cuMulticastBindMem", 1, {0, 1}}};
  for (const Ranks ranks : kKinds)
    for (const Call& call : kCalls)
      for (const int rank : call.ranks) {
        if (rank < 0) continue;
        const std::string failure = fmt::format("{}/{}=401@{}", call.symbol, rank, call.nth);
        SCOPED_TRACE(fmt::format("{}, {}", nameOf(ranks), failure));
        EXPECT_EQ(probeAll(ranks, 2, with({{"LOCKSTEP_FAKE_FAIL", failure}}),
                           emulated(fmt::format("rank {}: cannot ", rank))),
                  "");
      }
}

// The descriptors and mappings of the object, after those of the segments: the segments' own calls
// come first, and their number differs with what ranks are.
TEST(Multicast, WhateverFailsWhileItIsPassedOnAndMappedMakesItEmulatedOnAll) {
  const std::vector<std::string> failures{"cuMemExportToShareableHandle/0=304@2",
                                          "cuMemImportFromShareableHandle/1=304@2",
                                          "cuMemAddressReserve/0=2@3",
                                          "cuMemAddressReserve/1=2@3",
                                          "cuMemMap/0=2@3",
                                          "cuMemMap/1=2@3",
                                          "cuMemSetAccess/0=2@3",
                                          "cuMemSetAccess/1=2@3"};
  for (const std::string& failure : failures) {
    SCOPED_TRACE(failure);
    EXPECT_EQ(
        probeAll(Ranks::processes, 2, with({{"LOCKSTEP_FAKE_FAIL", failure}}), emulated("rank ")),
        "");
  }
}

TEST(Multicast, ABindThatNeverReturnsMakesItEmulatedOnAll) {
  // What the call holds stays, of course.
  const Environment lenient = with({{"LOCKSTEP_FAKE_STRICT", "0"}});
  const Fits fits = emulated("rank 1: binding its memory did not return within 0.2 s");
  EXPECT_EQ(playDevices(Ranks::processes, 2, lenient,
                        [&](Peers& peers) {
                          if (peers.rank() == 1) ::setenv("LOCKSTEP_FAKE_BIND_BLOCKS", "1", 1);
                          return probe(peers, fits, 200ms);
                        }),
            "");
  Environment blocked = lenient;
  blocked.emplace("LOCKSTEP_FAKE_BIND_BLOCKS", "1");
  EXPECT_EQ(probeAll(Ranks::threads, 2, blocked,
                     emulated("rank 0: binding its memory did not return within 0.2 s"), 200ms),
            "");
}

TEST(Multicast, IsAskedForWithinTheDeadlineHoweverPatient) {
  EXPECT_EQ(playDevices(Ranks::threads, 2,
                        with({{"LOCKSTEP_FAKE_STRICT", "0"}, {"LOCKSTEP_FAKE_BIND_BLOCKS", "1"}}),
                        [](Peers& peers) -> std::string {
                          const Segments segments(peers, PrimaryContext::retain(peers.rank()),
                                                  kBytes, soon());
                          const Multicast multicast(peers, segments, Deadline::in(2s), 1h);
                          return multicast.base() == 0 ? "" : "there is one";
                        }),
            "");
}

}  // namespace
}  // namespace lockstep::cuda
