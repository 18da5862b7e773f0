#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bootstrap/worlds.hpp"

namespace lockstep::test {
namespace {

using testing::Each;

/// Every payload size that matters, then sizes that differ between ranks.
std::string gatherAllSizes(Peers& peers) {
  int round = 0;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{70000}})
    if (auto wrong = gatherOnce(peers, round++, [=](int) { return size; }); !wrong.empty())
      return wrong;
  return gatherOnce(peers, round, [](int r) { return static_cast<std::size_t>(r * r * 100); });
}

TEST(AllGather, OfProcesses) {
  for (const int world : {1, 2, 5, 16}) {
    SCOPED_TRACE(world);
    const std::string id = openMeetingPoint("");
    EXPECT_THAT(runProcesses(world,
                             [&](int rank) {
                               const auto peers = joinProcesses(id, rank, world, soon());
                               if (peers->rank() != rank || peers->worldSize() != world ||
                                   peers->sameProcess())
                                 return std::string("wrong identity");
                               return gatherAllSizes(*peers);
                             }),
                Each(""));
  }
}

TEST(AllGather, OfThreads) {
  for (const int world : {1, 2, 5, 16}) {
    SCOPED_TRACE(world);
    const auto ends = joinThreads(world);
    EXPECT_THAT(runThreads(world,
                           [&](int rank) {
                             Peers& peers = *ends[static_cast<std::size_t>(rank)];
                             if (peers.rank() != rank || !peers.sameProcess() ||
                                 peers.pidOf(rank) != ::getpid())
                               return std::string("wrong identity");
                             return gatherAllSizes(peers);
                           }),
                Each(""));
  }
}

TEST(AllGather, TakesAMebibyteAndNoMore) {
  constexpr int kWorld = 3;
  const auto body = [](Peers& peers) -> std::string {
    try {
      peers.allGather(Bytes(kMaxContribution + 1), soon());
      return "took too much";
    } catch (const Error& e) {
      if (e.code() != ErrorCode::invalidArgument) return e.what();
    }
    return gatherOnce(peers, 1, [](int r) { return kMaxContribution - std::size_t(r); });
  };
  const std::string id = openMeetingPoint("");
  EXPECT_THAT(runProcesses(
                  kWorld, [&](int rank) { return body(*joinProcesses(id, rank, kWorld, soon())); }),
              Each(""));
  const auto ends = joinThreads(kWorld);
  EXPECT_THAT(runThreads(kWorld, [&](int rank) { return body(*ends[std::size_t(rank)]); }),
              Each(""));
}

// A fast rank joins round n + 1 while others are still in round n, and worlds may change size.
TEST(AllGather, OfCommunicatorsOneAfterAnotherWithOneId) {
  const std::string id = openMeetingPoint("");
  EXPECT_THAT(runProcesses(4,
                           [&](int rank) {
                             std::vector<std::unique_ptr<Peers>> kept;
                             for (int round = 0; round < 4; ++round) {
                               if (rank == round) sleepFor(20ms);
                               auto peers = joinProcesses(id, rank, 4, soon());
                               if (auto wrong = gatherOnce(*peers, round); !wrong.empty())
                                 return wrong;
                               if (round % 2 == 0) kept.push_back(std::move(peers));
                             }
                             if (rank > 1) return std::string();
                             return gatherOnce(*joinProcesses(id, rank, 2, soon()), 9);
                           }),
              Each(""));
}

TEST(AllGather, OfCommunicatorsAtOnceWithOneId) {
  constexpr int kWorld = 3;
  const std::string id = openMeetingPoint("");
  // Player p is rank p % 3 of whichever of the two worlds it gets into.
  EXPECT_THAT(runThreads(2 * kWorld,
                         [&](int player) {
                           const auto peers = joinProcesses(id, player % kWorld, kWorld, soon());
                           return gatherAllSizes(*peers);
                         }),
              Each(""));
}

TEST(AllGather, OverIpv6) {
  std::string id;
  try {
    id = openMeetingPoint("::1");
  } catch (const Error& e) {
    GTEST_SKIP() << "no IPv6 here: " << e.what();
  }
  EXPECT_THAT(
      runThreads(2, [&](int rank) { return gatherOnce(*joinProcesses(id, rank, 2, soon()), 0); }),
      Each(""));
}

TEST(AllGather, SurvivesSignalsThatInterruptWaits) {
  struct sigaction quiet {};
  quiet.sa_handler = [](int) {};
  const std::string id = openMeetingPoint("");
  EXPECT_THAT(runProcesses(2,
                           [&](int rank) {
                             ::sigaction(SIGALRM, &quiet, nullptr);  // without SA_RESTART
                             ::ualarm(2000, 2000);
                             if (rank == 1) sleepFor(100ms);
                             const auto peers = joinProcesses(id, rank, 2, soon());
                             if (rank == 0) sleepFor(100ms);
                             return gatherAllSizes(*peers);
                           }),
              Each(""));
}

}  // namespace
}  // namespace lockstep::test
