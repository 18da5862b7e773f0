// What a meeting point says, or whoever carries it, is no fact: ranks believe of it what it can
// know, blame no rank that there is not, and show nothing that a terminal would obey.
#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bootstrap/meeting_connection.hpp"
#include "bootstrap/strangers.hpp"

namespace lockstep::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kEvil = "\x1b]0;look here\x07 rank 1 \xff";

/// Answers what rank 0 of 2 says: its hello first. Nothing: the line is left as it is.
using Script = std::function<std::optional<Bytes>(const Frame& said)>;

/// What becomes of `rank`, which is given the id of a meeting point that goes by `script`.
std::optional<Error> meetLiar(const Script& script,
                              const std::function<void(const MeetingId&)>& rank) {
  const Fd listener = listenTcp("127.0.0.1");
  std::thread liar([&] {
    if (!waitFor(listener, POLLIN, soon())) return;
    const Fd visitor(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    while (const auto said = hearFrame(visitor))
      if (const auto answer = script(*said)) sendAll(visitor, *answer, soon());
  });
  std::optional<Error> error;
  try {
    rank({SocketAddress::of(listener), randomToken()});
  } catch (const Error& e) {
    error = e;
  }
  liar.join();
  return error;
}

void joinAndGather(const MeetingId& id) {
  MeetingConnection connection(id, 0, 2, nullptr, soon());
  connection.allGather(
      {}, [] { return RankSet{0}; }, soon());
}

Bytes errorFrame(const Failure& failure) {
  return encodeFrame(FrameType::error, encodeFailure(failure));
}

/// Says `lie` to a rank that joins, or to one that has.
Script lyingTo(FrameType victim, Bytes lie) {
  return [=](const Frame& said) -> std::optional<Bytes> {
    if (said.type == victim) return lie;
    return encodeFrame(FrameType::welcome);
  };
}

TEST(LyingMeeting, IsBelievedWhatItCanKnow) {
  const std::vector<ErrorCode> ofJoiners{ErrorCode::invalidArgument, ErrorCode::mismatch,
                                         ErrorCode::keyExchange, ErrorCode::system};
  for (const FrameType victim : {FrameType::hello, FrameType::gather})
    for (int c = 0; c <= static_cast<int>(ErrorCode::internal); ++c) {
      const auto code = static_cast<ErrorCode>(c);
      SCOPED_TRACE(name(code));
      const bool believed = victim == FrameType::hello ? std::ranges::count(ofJoiners, code) == 1
                                                       : code == ErrorCode::peerDied;
      const auto error =
          meetLiar(lyingTo(victim, errorFrame({code, 1, "so it says"})), joinAndGather);
      ASSERT_TRUE(error);
      EXPECT_EQ(error->code(), believed ? code : ErrorCode::bootstrap);
      EXPECT_EQ(error->rank(), believed ? 1 : -1);
      EXPECT_THAT(error->what(), HasSubstr("so it says"));
    }
}

TEST(LyingMeeting, BlamesNoRankThatThereIsNot) {
  const auto error = meetLiar(
      lyingTo(FrameType::gather, errorFrame({ErrorCode::peerDied, 2, "gone"})), joinAndGather);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->rank(), -1);
  for (const FrameType victim : {FrameType::hello, FrameType::gather}) {
    const auto late = meetLiar(
        lyingTo(victim, encodeFrame(FrameType::missing, encodeMissing({~rankBit(0), ~RankSet{0}}))),
        joinAndGather);
    ASSERT_TRUE(late);
    EXPECT_EQ(late->rank(), 1);
    EXPECT_THAT(late->what(), HasSubstr("rank 1 of 2 has not"));
  }
}

TEST(LyingMeeting, ShowsNothingThatATerminalObeys) {
  for (const FrameType victim : {FrameType::hello, FrameType::gather})
    for (const ErrorCode code : {ErrorCode::peerDied, ErrorCode::mismatch}) {
      const auto error = meetLiar(lyingTo(victim, errorFrame({code, -1, kEvil})), joinAndGather);
      ASSERT_TRUE(error);
      EXPECT_THAT(error->what(), AllOf(HasSubstr("look here"), Not(HasSubstr("\x1b")),
                                       Not(HasSubstr("\x07")), Not(HasSubstr("\xff"))));
    }
}

TEST(LyingMeeting, NamesHostsThatATerminalDoesNotObey) {
  constexpr std::size_t kBootId = 40;  // and then the host's name
  const Script script = [](const Frame& said) -> std::optional<Bytes> {
    if (said.type == FrameType::hello) return encodeFrame(FrameType::welcome);
    Bytes other = said.payload;
    other.front() ^= std::byte{1};
    std::memcpy(other.data() + kBootId, kEvil, std::strlen(kEvil) + 1);
    return encodeFrame(FrameType::result, encodeResult(std::vector{said.payload, other}));
  };
  const auto error =
      meetLiar(script, [](const MeetingId& id) { joinProcesses(id.text(), 0, 2, soon()); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unsupported);
  EXPECT_THAT(error->what(), AllOf(HasSubstr("look here"), Not(HasSubstr("\x1b"))));
}

}  // namespace
}  // namespace lockstep::test
