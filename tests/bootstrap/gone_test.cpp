// A rank whose process is gone shows on every other, without any traffic.
#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/mapping.hpp"
#include "bootstrap/worlds.hpp"

namespace lockstep::test {
namespace {

using testing::HasSubstr;

/// Waits until `who` shows as gone. Nobody else may.
std::string watchFor(Peers& peers, int who) {
  const auto until = soon();
  while (!until.passed()) {
    const RankSet gone = peers.gone();
    if (gone == rankBit(who)) return {};
    if (gone != 0) return describe(gone) + " gone";
    sleepFor(1ms);
  }
  return "not seen";
}

/// Ranks 0 and 1 watch rank 2 do `last`, which ends it, once all have met; then `afterwards`.
void expectSeen(
    const std::function<void()>& last, const std::function<void()>& afterwards = [] {}) {
  const std::string id = openMeetingPoint("");
  const Fd shared = createSharedMemory("seen", kPage);
  const auto map = Mapping::ofFile(shared, kPage, Mapping::Access::readWrite);
  auto* const seen = reinterpret_cast<std::atomic<int>*>(map.data());
  const auto body = [&](int rank) -> std::string {
    auto peers = joinProcesses(id, rank, 3, soon());
    if (peers->gone() != 0) return "gone at once";
    if (auto wrong = gatherOnce(*peers, 0); !wrong.empty()) return wrong;
    if (rank == 2) {
      last();
      return "still here";
    }
    auto wrong = watchFor(*peers, 2);
    // A death reaches one before the other: whoever left at once could be seen going first.
    ++*seen;
    for (const auto until = soon(); *seen < 2 && !until.passed();) sleepFor(1ms);
    return wrong;
  };
  std::vector<Child> children;
  Gate gate;
  for (int rank = 0; rank < 3; ++rank) children.emplace_back(body, rank, gate);
  gate.open();
  EXPECT_EQ(children[0].outcome(), "");
  EXPECT_EQ(children[1].outcome(), "");
  afterwards();
  EXPECT_EQ(children[2].outcome(), "died");
}

TEST(Gone, ShowsAKilledRank) {
  expectSeen([] { ::kill(::getpid(), SIGKILL); });
}

TEST(Gone, ShowsARankThatExits) {
  expectSeen([] { ::_exit(3); });
}

// Its sockets live on in a child of its own: only the pidfd tells.
TEST(Gone, ShowsARankWhoseSocketsAreStillOpenElsewhere) {
  const Fd shared = createSharedMemory("heir", kPage);
  const auto map = Mapping::ofFile(shared, kPage, Mapping::Access::readWrite);
  auto* const heir = reinterpret_cast<std::atomic<pid_t>*>(map.data());
  expectSeen(
      [&] {
        const pid_t child = ::fork();
        if (child == 0) {
          sleepFor(30s);
          ::_exit(0);
        }
        *heir = child;
        ::kill(::getpid(), SIGKILL);
      },
      [&] {
        if (*heir > 0) ::kill(*heir, SIGKILL);
      });
}

TEST(Gone, ShowsARankThatLeft) {
  const std::string id = openMeetingPoint("");
  std::vector<std::unique_ptr<Peers>> ends(2);
  runThreads(2, [&](int rank) {
    ends[std::size_t(rank)] = joinProcesses(id, rank, 2, soon());
    return std::string();
  });
  EXPECT_EQ(ends[0]->pidOf(1), ::getpid());
  EXPECT_EQ(ends[0]->gone(), 0u);
  ends[1].reset();
  EXPECT_EQ(ends[0]->gone(), 0b10u);
}

TEST(Gone, DoesNotMeanADescriptorThatWaitsToBeTaken) {
  const std::string id = openMeetingPoint("");
  std::vector<std::unique_ptr<Peers>> ends(2);
  runThreads(2, [&](int rank) {
    ends[std::size_t(rank)] = joinProcesses(id, rank, 2, soon());
    return std::string();
  });
  std::thread sender([&] { EXPECT_NO_THROW(ends[1]->exchangeFds(Fd(), soon())); });
  sleepFor(50ms);
  EXPECT_EQ(ends[0]->gone(), 0u);
  EXPECT_NO_THROW(ends[0]->exchangeFds(Fd(), soon()));
  sender.join();
}

// Everyone who waits hears of it at once, and hears whom to blame.
TEST(Gone, EndsAnAllGather) {
  const std::string id = openMeetingPoint("");
  const auto outcomes = runProcesses(4, [&](int rank) -> std::string {
    const auto peers = joinProcesses(id, rank, 4, soon());
    if (rank == 2) {
      sleepFor(50ms);
      ::kill(::getpid(), SIGKILL);
    }
    for (int attempt = 0; attempt < 2; ++attempt) {
      try {
        peers->allGather({}, soon());
        return "no error";
      } catch (const Error& e) {
        if (attempt == 1 && e.code() == ErrorCode::bootstrap) return {};
        if (e.code() != ErrorCode::peerDied || e.rank() != 2) return e.what();
      }
    }
    return "second error differs";
  });
  for (const int rank : {0, 1, 3}) EXPECT_EQ(outcomes[std::size_t(rank)], "");
}

TEST(Gone, EndsAnExchangeOfDescriptors) {
  const std::string id = openMeetingPoint("");
  const auto outcomes = runProcesses(2, [&](int rank) -> std::string {
    const auto peers = joinProcesses(id, rank, 2, soon());
    if (rank == 1) ::kill(::getpid(), SIGKILL);
    peers->exchangeFds(Fd(), soon());
    return "no error";
  });
  EXPECT_THAT(outcomes[0], HasSubstr("threw: rank 1 is gone"));
}

}  // namespace
}  // namespace lockstep::test
