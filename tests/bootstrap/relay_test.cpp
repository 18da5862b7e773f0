// The meeting point under a flood of strangers: who has said its hello stays, who has had no time
// to say it gets the time, and of the others the oldest go.
#include "bootstrap/relay.hpp"

#include <deque>
#include <memory>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>

#include "bootstrap/strangers.hpp"

namespace lockstep::test {
namespace {

/// A relay with limits of its own, and its thread.
class Served {
 public:
  explicit Served(Relay::Limits limits, std::span<const std::byte> psk = {},
                  Fd listener = listenTcp("127.0.0.1"))
      : id{SocketAddress::of(listener), randomToken(), !psk.empty()},
        relay_(std::move(listener), id.token, keyOf(psk, id.token), limits),
        thread_([this] { relay_.run(); }) {}
  ~Served() {
    relay_.stop();
    thread_.join();
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  const MeetingId id;

 private:
  static std::optional<JoinKey> keyOf(std::span<const std::byte> psk, const Token& token) {
    if (psk.empty()) return std::nullopt;
    return std::optional<JoinKey>(std::in_place, psk, token);
  }

  Relay relay_;
  std::thread thread_;
};

constexpr auto kHour = std::chrono::hours(1);

TEST(RelayUnderFlood, ARankThatHasNotYetSpokenKeepsItsPlace) {
  const Served served({.strangers = 4, .grace = kHour});
  const Fd rank = connectTcp(served.id.address, soon());
  std::deque<Fd> flood;
  for (int i = 0; i < 50; ++i) flood.push_back(connectTcp(served.id.address, soon()));
  sleepFor(50ms);  // so that a relay without grace would have dropped it
  ASSERT_TRUE(sayHello(rank, served.id, 0, 1));
  EXPECT_EQ(hear(rank), FrameType::welcome);
}

TEST(RelayUnderFlood, RanksThatWaitForOthersStay) {
  const Served served({.strangers = 4, .grace = Clock::duration(0)});
  const Fd first = connectTcp(served.id.address, soon());
  ASSERT_TRUE(sayHello(first, served.id, 0, 2));
  std::deque<Fd> flood;
  for (int i = 0; i < 300; ++i) flood.push_back(connectTcp(served.id.address, soon()));
  EXPECT_TRUE(isClosed(flood.front()));
  // A rank may be among those who are dropped, since there is no grace: it comes again.
  bool in = false;
  for (int attempt = 0; !in && attempt < 100; ++attempt) {
    const Fd second = connectTcp(served.id.address, soon());
    in = sayHello(second, served.id, 1, 2) && hear(second) == FrameType::welcome;
  }
  EXPECT_EQ(hear(first), FrameType::welcome);
}

TEST(RelayUnderFlood, TheOldestStrangersGoFirst) {
  const Served served({.strangers = 3, .grace = Clock::duration(0)});
  std::deque<Fd> strangers;
  for (int i = 0; i < 5; ++i) strangers.push_back(connectTcp(served.id.address, soon()));
  EXPECT_TRUE(isClosed(strangers[0]));
  EXPECT_TRUE(isClosed(strangers[1]));
  for (int i = 2; i < 5; ++i)
    EXPECT_FALSE(waitFor(strangers[std::size_t(i)], POLLIN, Deadline::in(0s)));
}

// Who knows the text but not the key can have no more places than who knows nothing.
TEST(RelayUnderFlood, WhoFailsToProveTheKeyStaysAStranger) {
  const Bytes psk(32, std::byte{1});
  const Served served({.strangers = 3, .grace = Clock::duration(0)}, psk);
  std::deque<Fd> refused;
  for (int i = 0; i < 5; ++i) {
    Attempt attempt(served.id);
    ASSERT_TRUE(attempt.say({.hello = {served.id.token, 0, 1}}));
    EXPECT_EQ(hear(attempt.socket), FrameType::error);
    refused.push_back(std::move(attempt.socket));
  }
  EXPECT_TRUE(isClosed(refused[0]));
  EXPECT_TRUE(isClosed(refused[1]));
  EXPECT_FALSE(waitFor(refused[4], POLLIN, Deadline::in(0s)));
}

TEST(RelayUnderFlood, NewcomersComeInWhenTheGraceOfOthersIsOver) {
  const Served served({.strangers = 2, .grace = 20ms});
  std::deque<Fd> silent;
  for (int i = 0; i < 10; ++i) silent.push_back(connectTcp(served.id.address, soon()));
  const auto peers = joinProcesses(served.id.text(), 0, 1, soon());
  EXPECT_EQ(gatherOnce(*peers, 0), "");
}

}  // namespace
}  // namespace lockstep::test
