#include <algorithm>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "base/mapping.hpp"
#include "bootstrap/worlds.hpp"

namespace lockstep::test {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr std::size_t kBytes = 3 * kPage;

Bytes contents(const Fd& fd) {
  checkSharedMemory(fd, kBytes);
  const auto map = Mapping::ofFile(fd, kBytes, Mapping::Access::read);
  return {map.data(), map.data() + kBytes};
}

/// Everyone shows everyone a file of its own.
std::string exchangeOnce(Peers& peers, int round) {
  const int world = peers.worldSize();
  const Fd mine = createSharedMemory("exchange", kBytes);
  const Bytes own = pattern(peers.rank(), round, kBytes);
  std::copy(own.begin(), own.end(),
            Mapping::ofFile(mine, kBytes, Mapping::Access::readWrite).data());
  const auto theirs = peers.exchangeFds(mine, soon());
  if (static_cast<int>(theirs.size()) != world) return "wrong number of descriptors";
  for (int r = 0; r < world; ++r) {
    const Fd& fd = theirs[static_cast<std::size_t>(r)];
    if (r == peers.rank() ? static_cast<bool>(fd) : contents(fd) != pattern(r, round, kBytes))
      return "wrong file of rank " + std::to_string(r);
    if (r != peers.rank() && (::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) == 0)
      return "not close-on-exec";
  }
  return {};
}

/// Between all-gathers, at different paces.
std::string exchangeOften(Peers& peers) {
  for (int round = 0; round < 5; ++round) {
    if (peers.rank() == round) sleepFor(10ms);
    if (auto wrong = exchangeOnce(peers, round); !wrong.empty()) return wrong;
    if (round % 2 == 1) {
      if (auto wrong = gatherOnce(peers, round); !wrong.empty()) return wrong;
    }
  }
  return {};
}

TEST(ExchangeFds, OfProcesses) {
  for (const int world : {1, 2, 5, 16}) {
    SCOPED_TRACE(world);
    const std::string id = openMeetingPoint("");
    EXPECT_THAT(runProcesses(world,
                             [&](int rank) {
                               return exchangeOften(*joinProcesses(id, rank, world, soon()));
                             }),
                Each(""));
  }
}

TEST(ExchangeFds, OfThreads) {
  for (const int world : {1, 2, 5}) {
    SCOPED_TRACE(world);
    const auto ends = joinThreads(world);
    EXPECT_THAT(
        runThreads(world, [&](int rank) { return exchangeOften(*ends[std::size_t(rank)]); }),
        Each(""));
  }
}

// SO_PEERCRED and the abstract namespace need no privilege.
TEST(ExchangeFds, OfProcessesWithoutPrivilege) {
  if (::geteuid() != 0) GTEST_SKIP() << "every test here already runs without privilege";
  const std::string id = openMeetingPoint("");
  EXPECT_THAT(runProcesses(3,
                           [&](int rank) -> std::string {
                             if (::setgid(65534) != 0 || ::setuid(65534) != 0) return "setuid";
                             return exchangeOften(*joinProcesses(id, rank, 3, soon()));
                           }),
              Each(""));
}

// 64 x 63 descriptors are more than a user may have in flight, which is RLIMIT_NOFILE of them.
TEST(ExchangeFds, OfAsManyRanksAsThereMayBeWithinTheLimits) {
  const std::string id = openMeetingPoint("");
  EXPECT_THAT(runProcesses(kMaxWorld,
                           [&](int rank) -> std::string {
                             // Two descriptors for a link, one for each file, and those inherited.
                             const rlimit few{400, 400};
                             if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return "setrlimit";
                             if (::geteuid() == 0 && ::setuid(65534) != 0) return "setuid";
                             return exchangeOnce(*joinProcesses(id, rank, kMaxWorld, soon()), 0);
                           }),
              Each(""));
}

TEST(ExchangeFds, IsRefusedBetweenUsers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become someone else";
  const std::string id = openMeetingPoint("");
  EXPECT_THAT(runProcesses(2,
                           [&](int rank) -> std::string {
                             if (rank == 1 && ::setuid(65534) != 0) return "setuid";
                             joinProcesses(id, rank, 2, soon());
                             return "no error";
                           }),
              Each(HasSubstr("run as different users (0 and 65534)")));
}

TEST(ExchangeFds, LetsARankHaveNone) {
  const std::string id = openMeetingPoint("");
  EXPECT_THAT(runThreads(2,
                         [&](int rank) -> std::string {
                           const auto peers = joinProcesses(id, rank, 2, soon());
                           const Fd mine = rank == 0 ? Fd() : createSharedMemory("one", kBytes);
                           const auto theirs = peers->exchangeFds(mine, soon());
                           const bool has = static_cast<bool>(theirs[std::size_t(1 - rank)]);
                           return has == (rank == 0) ? "" : "wrong";
                         }),
              Each(""));
}

TEST(ExchangeFds, NamesWhoDoesNotTakePart) {
  const std::string id = openMeetingPoint("");
  std::vector<std::unique_ptr<Peers>> ends(2);
  runThreads(2, [&](int rank) {
    ends[std::size_t(rank)] = joinProcesses(id, rank, 2, soon());
    return std::string();
  });
  try {
    ends[0]->exchangeFds(Fd(), Deadline::in(30ms));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::timeout);
    EXPECT_THAT(e.what(), HasSubstr("rank 1 has not taken part"));
  }
}

std::ptrdiff_t openFds() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

TEST(ExchangeFds, LeaksNoDescriptor) {
  const std::string id = openMeetingPoint("");
  EXPECT_THAT(runProcesses(3,
                           [&](int rank) -> std::string {
                             const auto before = openFds();
                             exchangeOften(*joinProcesses(id, rank, 3, soon()));
                             try {  // nor on failure
                               joinProcesses(id, rank, 60, Deadline::in(50ms));
                             } catch (const Error&) {
                             }
                             return openFds() == before ? "" : "descriptors stay open";
                           }),
              Each(""));
}

}  // namespace
}  // namespace lockstep::test
