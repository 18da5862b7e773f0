// Ranks that know a name and nothing else find each other, and are told who does not come.
#include "bootstrap/rendezvous.hpp"

#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bootstrap/socket.hpp"
#include "bootstrap/unix_socket.hpp"
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
      return error.code() == ErrorCode::mismatch ? "refused" : error.what();
    }
  });
  EXPECT_EQ(said[2], "here");
  EXPECT_NE(said[0], said[1]);
  EXPECT_TRUE(said[0] == "refused" || said[1] == "refused");
}

// ---- with a pre-shared key ----

const Bytes kPsk(32, std::byte{0x5a});
const Bytes kOther(32, std::byte{0x5b});

std::string codeOf(const Rendezvous& place) {
  try {
    return meetAt(
        place, [] { return "here"; }, soon());
  } catch (const Error& error) {
    return std::string(name(error.code()));
  }
}

TEST(KeyedRendezvous, WhoCannotProveTheKeyTakesNobodysPlace) {
  const std::string job = ownName();
  std::atomic<bool> refused{false};
  const auto said = runThreads(3, [&](int rank) -> std::string {
    if (rank == 1) {
      EXPECT_EQ(codeOf({job, 1, 3, kOther}), "key exchange");
      EXPECT_EQ(codeOf({job, 1, 3}), "key exchange");
      refused = true;
    }
    while (rank == 2 && !refused) sleepFor(1ms);
    return codeOf({job, rank, 3, kPsk});
  });
  EXPECT_THAT(said, Each("here"));
}

TEST(KeyedRendezvous, RankZeroWithoutAKeyIsNotBelieved) {
  const std::string job = ownName();
  std::atomic<bool> refused{false};
  const auto said = runThreads(3, [&](int who) -> std::string {
    while (who == 2 && !refused) sleepFor(1ms);
    if (who != 1) return codeOf({job, who / 2, 2});
    try {
      return meetAt({job, 1, 2, kPsk}, {}, soon());
    } catch (const Error& error) {
      refused = true;
      return error.what();
    }
  });
  EXPECT_THAT(said,
              testing::ElementsAre("here", HasSubstr("rank 0 has no pre-shared key"), "here"));
}

/// A process of this user that speaks as it likes.
struct Stranger {
  explicit Stranger(Fd fd) : socket(std::move(fd)) {}
  /// As whoever visits.
  static Stranger at(const Rendezvous& place) {
    const UnixAddress address(socketNameOf(place));
    for (const Deadline until = soon(); !until.passed(); sleepFor(1ms)) {
      Fd socket = openUnix();
      if (::connect(socket.get(), address.get(), address.size()) == 0)
        return Stranger(std::move(socket));
    }
    throw std::runtime_error("no host");
  }
  Bytes hear() const {
    Bytes message(4096);
    if (!waitFor(socket, POLLIN, soon())) throw std::runtime_error("nothing said");
    message.resize(receiveNow(socket, message).value_or(0));
    return message;
  }
  void say(const Bytes& message) const { sendAll(socket, message, soon()); }

  Fd socket;
};

TEST(KeyedRendezvous, ARecordedVisitIsOfNoUse) {
  const std::string job = ownName();
  const Rendezvous zero{job, 0, 3, kPsk}, one{job, 1, 3, kPsk}, two{job, 2, 3, kPsk};
  // What rank 0 says first, heard from a genuine one that nobody else comes to.
  std::jthread early([&] {
    EXPECT_THROW(meetAt(
                     zero, [] { return "here"; }, Deadline::in(1s)),
                 Error);
  });
  const Bytes invitation = Stranger::at(one).hear();
  early.join();
  // With that, rank 1 is brought to prove itself to somebody else, who says nothing more.
  Bytes recorded;
  {
    const UnixAddress address(socketNameOf(zero));
    const Fd listener = openUnix();
    ASSERT_EQ(::bind(listener.get(), address.get(), address.size()), 0);
    ASSERT_EQ(::listen(listener.get(), 8), 0);
    std::jthread rank([&] { EXPECT_THROW(meetAt(one, {}, Deadline::in(1ms)), Error); });
    ASSERT_TRUE(waitFor(listener, POLLIN, soon()));
    const Stranger visitor(Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)));
    visitor.say(invitation);
    recorded = visitor.hear();
    rank.join();
  }
  // Rank 0 is there: it takes the recording for nobody, or rank 1 would not get in any more.
  std::jthread host([&] { EXPECT_EQ(codeOf(zero), "here"); });
  const Stranger replay = Stranger::at(one);
  replay.hear();
  replay.say(recorded);
  replay.hear();  // that it was refused; who is counted hears nothing yet
  std::jthread rank([&] { EXPECT_EQ(codeOf(one), "here"); });
  EXPECT_EQ(codeOf(two), "here");
}

}  // namespace
}  // namespace lockstep::test
