// Ranks that know a name and nothing else find each other, and are told who does not come.
#include "bootstrap/rendezvous.hpp"

#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bootstrap/worlds.hpp"

namespace lockstep::test {
namespace {

using testing::Each;
using testing::HasSubstr;

std::string ownName() {
  static int names = 0;
  return "test " + std::to_string(::getpid()) + "#" + std::to_string(names++);
}

TEST(Rendezvous, GivesAllTheTextOfRankZero) {
  for (const int world : {1, 2, 8, 64}) {
    const std::string name = ownName();
    std::atomic<int> made{0};
    const auto said = runThreads(world, [&](int rank) {
      return meetAt(
          {name, rank, world}, [&] { return "text " + std::to_string(++made); }, soon());
    });
    EXPECT_THAT(said, Each("text 1"));
  }
}

TEST(Rendezvous, WorksInWhateverOrderRanksCome) {
  const std::string name = ownName();
  const auto said = runThreads(3, [&](int rank) {
    if (rank == 0) sleepFor(60ms);
    return meetAt(
        {name, rank, 3}, [] { return "here"; }, soon());
  });
  EXPECT_THAT(said, Each("here"));
}

TEST(Rendezvous, TellsAllWhoDidNotCome) {
  const std::string name = ownName();
  const auto said = runThreads(5, [&](int rank) -> std::string {
    if (rank == 2 || rank == 3) return "ranks 2 and 3 of 5 have not come";
    return meetAt(
        {name, rank, 5}, [] { return "here"; }, Deadline::in(rank == 0 ? 100ms : 5000ms));
  });
  EXPECT_THAT(said, Each(HasSubstr("ranks 2 and 3 of 5 have not come")));
}

TEST(Rendezvous, ForgetsARankThatWentAway) {
  const std::string name = ownName();
  const auto said = runProcesses(3, [&](int rank) -> std::string {
    if (rank == 1)
      std::thread([] {
        sleepFor(50ms);
        ::kill(::getpid(), SIGKILL);
      }).detach();
    if (rank == 2) sleepFor(200ms);  // or all have come
    return meetAt(
        {name, rank, 3}, [] { return "here"; }, Deadline::in(rank == 2 ? 5000ms : 1000ms));
  });
  for (const std::size_t r : {0U, 2U}) EXPECT_THAT(said[r], HasSubstr("rank 1 of 3 has not come"));
}

// Who comes by mistake, from another job, is told, and disturbs nobody.
TEST(Rendezvous, RefusesWhoDoesNotBelong) {
  const std::string name = ownName();
  std::atomic<int> refused{0};
  const auto said = runThreads(5, [&](int who) -> std::string {
    constexpr int kRank[] = {0, 1, 2, 1, 1}, kWorld[] = {3, 3, 3, 3, 4};
    if (who == 2)
      while (refused < 2) sleepFor(1ms);
    try {
      return meetAt(
          {name, kRank[who], kWorld[who]}, [] { return "here"; }, soon());
    } catch (const Error& error) {
      ++refused;
      return error.code() == ErrorCode::mismatch ? "mismatch" : error.what();
    }
  });
  EXPECT_EQ(said[0], "here");
  EXPECT_EQ(said[2], "here");
  EXPECT_EQ(said[4], "mismatch");
  EXPECT_NE(said[1], said[3]);
  EXPECT_TRUE(said[1] == "mismatch" || said[3] == "mismatch");
}

TEST(Rendezvous, HasOneRankZero) {
  const std::string name = ownName();
  std::atomic<bool> refused{false};
  const auto said = runThreads(3, [&](int who) -> std::string {
    if (who == 2)
      while (!refused) sleepFor(1ms);
    try {
      return meetAt(
          {name, who == 2 ? 1 : 0, 2}, [] { return "here"; }, soon());
    } catch (const Error& error) {
      refused = true;
      return error.code() == ErrorCode::bootstrap ? "refused" : error.what();
    }
  });
  EXPECT_EQ(said[2], "here");
  EXPECT_NE(said[0], said[1]);
  EXPECT_TRUE(said[0] == "refused" || said[1] == "refused");
}

}  // namespace
}  // namespace lockstep::test
