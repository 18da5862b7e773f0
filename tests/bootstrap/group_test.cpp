// Groups of ranks that have met: new peers that need neither the old ones nor a meeting point.
#include <algorithm>
#include <atomic>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/mapping.hpp"
#include "bootstrap/worlds.hpp"

namespace lockstep::test {
namespace {

using testing::HasSubstr;

using Play = std::function<std::string(std::unique_ptr<Peers>, int rank)>;

/// Plays as processes, as threads that came by sockets, and as threads that share a board.
void everywhere(int world, const Play& play) {
  const auto expectFine = [](const std::vector<std::string>& outcomes) {
    for (const std::string& outcome : outcomes) EXPECT_EQ(outcome, "");
  };
  const std::string id = openMeetingPoint("");
  const auto join = [&](int rank) { return play(joinProcesses(id, rank, world, soon()), rank); };
  expectFine(runProcesses(world, join));
  expectFine(runThreads(world, join));
  auto ends = joinThreads(world);
  expectFine(
      runThreads(world, [&](int rank) { return play(std::move(ends[size_t(rank)]), rank); }));
}

/// What Peers promise, tried once.
std::string tryOut(Peers& peers) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{40000}, kMaxContribution})
    if (auto wrong = gatherOnce(peers, 1, [&](int r) { return r == 0 ? size : size / 2; });
        !wrong.empty())
      return wrong;
  const Fd mine = createSharedMemory("group", kPage * std::size_t(peers.rank() + 1));
  const auto fds = peers.exchangeFds(mine, soon());
  for (int r = 0; r < peers.worldSize(); ++r)
    if (r != peers.rank()) checkSharedMemory(fds[size_t(r)], kPage * std::size_t(r + 1));
  if (peers.gone() != 0) return describe(peers.gone()) + " gone";
  return gatherOnce(peers, 2);
}

std::vector<int> everyOther(int rank, int world) {
  std::vector<int> members;
  for (int r = rank % 2; r < world; r += 2) members.push_back(r);
  return members;
}

TEST(Group, WorksWithoutTheOldPeers) {
  for (const int world : {1, 2, 5})
    everywhere(world, [world](std::unique_ptr<Peers> peers, int rank) -> std::string {
      auto members = everyOther(rank, world);
      std::ranges::reverse(members);
      auto group = peers->group(members, soon());
      if (auto wrong = gatherOnce(*peers, 0); !wrong.empty()) return wrong;
      peers.reset();
      if (group->worldSize() != static_cast<int>(members.size())) return "wrong size";
      if (members[size_t(group->rank())] != rank) return "wrong rank";
      return tryOut(*group);
    });
}

TEST(Group, MayBeEmptyAndHaveGroups) {
  everywhere(4, [](std::unique_ptr<Peers> peers, int rank) -> std::string {
    const std::vector<int> three{0, 1, 3};
    auto group = peers->group(rank == 2 ? std::vector<int>{} : three, soon());
    if ((group == nullptr) != (rank == 2)) return "in the wrong group";
    if (group == nullptr) return gatherOnce(*peers, 0);
    const int mine = group->rank();
    auto single = group->group(std::vector{mine}, soon());
    auto pair = group->group(mine == 1 ? std::vector<int>{} : std::vector{2, 0}, soon());
    if (single->worldSize() != 1) return "not alone";
    if (auto wrong = tryOut(*single); !wrong.empty()) return wrong;
    if (pair != nullptr)
      if (auto wrong = tryOut(*pair); !wrong.empty()) return wrong;
    if (auto wrong = tryOut(*group); !wrong.empty()) return wrong;
    return gatherOnce(*peers, 0);
  });
}

TEST(Group, NamesTheSameLateRankOnAll) {
  everywhere(3, [](std::unique_ptr<Peers> peers, int rank) -> std::string {
    auto group = peers->group(std::vector{0, 1, 2}, soon());
    try {
      if (rank == 1) {  // waits for the others to give up
        peers->allGather({}, soon());
        return {};
      }
      group->allGather({}, Deadline::in(rank == 0 ? 100ms : 10000ms));
    } catch (const Error& error) {
      if (rank == 1 || error.code() != ErrorCode::timeout || error.rank() != 1) return error.what();
      peers->allGather({}, soon());
      return {};
    }
    return "no error";
  });
}

TEST(Group, ShowsARankThatLeft) {
  everywhere(3, [](std::unique_ptr<Peers> peers, int rank) -> std::string {
    auto group = peers->group(std::vector{0, 1, 2}, soon());
    if (rank == 2) group.reset();
    if (auto wrong = gatherOnce(*peers, 0); !wrong.empty()) return wrong;
    if (rank == 2) return gatherOnce(*peers, 1);
    if (group->gone() != rankBit(2)) return "not seen";
    std::string said = "no error";
    try {
      group->allGather({}, soon());
    } catch (const Error& error) {
      said = error.code() == ErrorCode::peerDied && error.rank() == 2 ? "" : error.what();
    }
    // Until both have looked: who leaves is gone too.
    if (auto wrong = gatherOnce(*peers, 1); !wrong.empty()) return wrong;
    return said;
  });
}

// ---- what is left of a world ----

struct Shrunk {
  std::unique_ptr<Peers> peers;
  std::vector<int> members;
};

Shrunk shrink(Peers& peers, Deadline deadline = soon()) {
  Shrunk result;
  peers.shrink(
      [&](std::unique_ptr<Peers> group, std::span<const int> members) {
        result = {std::move(group), {members.begin(), members.end()}};
      },
      deadline);
  return result;
}

TEST(Shrink, KeepsEveryoneWhoLives) {
  for (const int world : {1, 2, 5})
    everywhere(world, [world](std::unique_ptr<Peers> peers, int rank) -> std::string {
      Shrunk once = shrink(*peers);
      Shrunk twice = shrink(*peers);
      if (auto wrong = tryOut(*peers); !wrong.empty()) return wrong;
      peers.reset();
      if (once.peers->rank() != rank || once.peers->worldSize() != world) return "wrong place";
      if (auto wrong = tryOut(*once.peers); !wrong.empty()) return wrong;
      return tryOut(*twice.peers);
    });
}

TEST(Shrink, LeavesOutWhoLeft) {
  everywhere(4, [](std::unique_ptr<Peers> peers, int rank) -> std::string {
    if (rank == 0 || rank == 2) return {};
    Shrunk shrunk = shrink(*peers);
    if (shrunk.members != std::vector{1, 3}) return "wrong members";
    return tryOut(*shrunk.peers);
  });
}

TEST(Shrink, NamesWhoDoesNotAnswer) {
  everywhere(3, [](std::unique_ptr<Peers> peers, int rank) -> std::string {
    if (rank == 1) {
      sleepFor(400ms);
      return {};
    }
    try {
      shrink(*peers, Deadline::in(200ms));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::timeout || error.rank() != 1) return error.what();
      sleepFor(300ms);  // both are here until then
      return {};
    }
    return "no error";
  });
}

// One rank gives up at once; it tries again, and all go by the later call.
TEST(Shrink, GoesByTheLatestCall) {
  everywhere(3, [](std::unique_ptr<Peers> peers, int rank) -> std::string {
    if (rank == 0) try {
        shrink(*peers, Deadline::in(0ms));
        return "no error";
      } catch (const Error& error) {
        if (error.code() != ErrorCode::timeout) return error.what();
      }
    if (auto wrong = gatherOnce(*peers, 0); !wrong.empty()) return wrong;
    Shrunk shrunk;
    for (int tries = 0; shrunk.peers == nullptr; ++tries) try {
        shrunk = shrink(*peers);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::timeout || tries > 0) return error.what();
      }
    return tryOut(*shrunk.peers);
  });
}

TEST(Shrink, EndsOnAllWhenOneCannotGoOn) {
  everywhere(3, [](std::unique_ptr<Peers> peers, int rank) -> std::string {
    try {
      peers->shrink(
          [&](std::unique_ptr<Peers> group, std::span<const int>) {
            if (rank == 1) throw Error(ErrorCode::system, "no memory, say");
            gatherOnce(*group, 0);
          },
          soon());
    } catch (const Error& error) {
      if (rank == 1) return error.code() == ErrorCode::system ? "" : error.what();
      // Threads see no more than that the group breaks, at one rank after the other.
      return error.rank() == 1 || error.code() == ErrorCode::peerDied ? "" : error.what();
    }
    return "no error";
  });
}

/// Kills some ranks at a random moment of shrinking. Those that are left end up in one group.
TEST(Shrink, LeavesOutWhoDiesMeanwhile) {
  constexpr int kWorld = 5;
  struct Results {
    std::array<std::atomic<std::uint64_t>, kWorld> members;
  };
  for (int round = 0; round < 30; ++round) {
    SCOPED_TRACE(round);
    const std::string id = openMeetingPoint("");
    const Fd shared = createSharedMemory("results", kPage);
    const auto map = Mapping::ofFile(shared, kPage, Mapping::Access::readWrite);
    auto& results = *new (map.data()) Results();
    const int doomed = 1 + round % 3;
    const auto body = [&](int rank) -> std::string {
      auto peers = joinProcesses(id, rank, kWorld, soon());
      if (auto wrong = gatherOnce(*peers, 0); !wrong.empty()) return wrong;
      if (rank < doomed)
        std::thread([=] {
          std::this_thread::sleep_for(std::chrono::microseconds(50 * round * (rank + 1) % 1500));
          ::kill(::getpid(), SIGKILL);
        }).detach();
      Shrunk result;
      peers->shrink(
          [&](std::unique_ptr<Peers> group, std::span<const int> members) {
            result = {};
            for (int i = 0; i < 4; ++i) group->allGather(pattern(rank, i, 100), soon());
            group->exchangeFds(shared, soon());
            result = {std::move(group), {members.begin(), members.end()}};
          },
          soon());
      if (rank < doomed) sleepFor(10s);
      RankSet members = 0;
      for (const int r : result.members) members |= rankBit(r);
      results.members[size_t(rank)] = members;
      return {};
    };
    const auto outcomes = runProcesses(kWorld, body);
    for (int r = doomed; r < kWorld; ++r) {
      EXPECT_EQ(outcomes[size_t(r)], "");
      EXPECT_EQ(results.members[size_t(r)], results.members[kWorld - 1]);
      EXPECT_EQ(results.members[size_t(r)] >> doomed, allRanks(kWorld) >> doomed);
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace lockstep::test
