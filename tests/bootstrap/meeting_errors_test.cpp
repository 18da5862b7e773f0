// Ranks that are missing, mistaken or malicious.
#include <array>
#include <deque>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bootstrap/meeting_id.hpp"
#include "bootstrap/socket.hpp"
#include "bootstrap/worlds.hpp"

namespace lockstep::test {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

TEST(Meeting, NamesTheRanksThatHaveNotCome) {
  const std::string id = openMeetingPoint("");
  const std::array<int, 3> come{0, 1, 3};
  // Rank 0 gives up first, and everyone hears the same.
  EXPECT_THAT(
      runThreads(3,
                 [&](int i) {
                   const int rank = come[std::size_t(i)];
                   return errorText([&] {
                     joinProcesses(id, rank, 6, rank == 0 ? Deadline::in(300ms) : soon());
                   });
                 }),
      Each(AllOf(HasSubstr("timeout: waited "), HasSubstr("ranks 2, 4 and 5 of 6 have not come"))));
  // The meeting point is as good as new.
  EXPECT_THAT(
      runThreads(2, [&](int rank) { return gatherOnce(*joinProcesses(id, rank, 2, soon()), 0); }),
      Each(""));
}

TEST(Meeting, NamesARankThatWasStartedTwice) {
  constexpr std::array kRanks{0, 2, 2};
  const auto limit = soon();
  std::vector<std::string> outcomes;
  do {  // one that comes when another has given up already is not told
    const std::string id = openMeetingPoint("");
    outcomes = runThreads(3, [&](int i) {
      return errorText([&] { joinProcesses(id, kRanks[std::size_t(i)], 3, Deadline::in(200ms)); });
    });
  } while (!limit.passed() && !testing::Matches(Each(HasSubstr("twice")))(outcomes));
  // Of the two, one waits for all others.
  EXPECT_THAT(outcomes, Each(AllOf(HasSubstr("timeout"), HasSubstr("of 3 ha"),
                                   HasSubstr("rank 2 has come more than once"))));
  EXPECT_THAT(outcomes[0], HasSubstr("rank 1 of 3 has not come"));
}

TEST(Meeting, NamesTheRankThatDoesNotGather) {
  const std::string id = openMeetingPoint("");
  const auto outcomes = runThreads(3, [&](int rank) {
    const auto peers = joinProcesses(id, rank, 3, soon());
    if (rank == 1) sleepFor(600ms);
    return errorText([&] { peers->allGather({}, Deadline::in(200ms)); });
  });
  for (const int rank : {0, 2})
    EXPECT_THAT(outcomes[std::size_t(rank)],
                AllOf(HasSubstr("timeout: waited"), HasSubstr("rank 1 of 3 has not taken part")));
  EXPECT_THAT(outcomes[1], HasSubstr("gave up waiting for this one"));
}

TEST(Meeting, ThreadsNameTheOneThatIsMissing) {
  auto ends = joinThreads(3);
  EXPECT_THAT(runThreads(2,
                         [&](int rank) {
                           return errorText([&] {
                             ends[std::size_t(rank)]->allGather(
                                 {}, rank == 0 ? Deadline::in(100ms) : Deadline());
                           });
                         }),
              Each(AllOf(HasSubstr("timeout"), HasSubstr("rank 2 of 3 has not taken part"))));
}

TEST(Meeting, ThreadsNameTheOneThatLeft) {
  auto ends = joinThreads(3);
  EXPECT_EQ(ends[0]->gone(), 0u);
  EXPECT_THAT(
      runThreads(3,
                 [&](int rank) -> std::string {
                   if (rank == 2) {
                     sleepFor(50ms);
                     ends[2].reset();
                     return "peer died: rank 2 has left";
                   }
                   return errorText([&] { ends[std::size_t(rank)]->allGather({}, soon()); });
                 }),
      Each(HasSubstr("peer died: rank 2 has left")));
  EXPECT_EQ(ends[0]->gone(), 0b100u);
}

TEST(Meeting, RefusesRanksThatCannotBe) {
  const std::string id = openMeetingPoint("");
  for (const auto& [rank, world] : {std::pair{0, 0}, {-1, 2}, {2, 2}, {0, 65}, {0, -1}})
    EXPECT_THAT(errorText([&, r = rank, w = world] { joinProcesses(id, r, w, soon()); }),
                HasSubstr("invalid argument"));
  for (const int world : {0, 65, -1})
    EXPECT_THAT(errorText([&, w = world] { joinThreads(w); }), HasSubstr("invalid argument"));
}

TEST(Meeting, TellsAJoinerThatItsWorldDiffers) {
  const std::string id = openMeetingPoint("");
  // Who comes first cannot be told from here: rank 0 tries until it is the one who waits, rank 1
  // until it is the one who is told.
  std::thread first([&] {
    std::string error;
    do {
      error = errorText([&] { EXPECT_EQ(gatherOnce(*joinProcesses(id, 0, 2, soon()), 0), ""); });
    } while (error.starts_with("mismatch"));
    EXPECT_EQ(error, "no error");
  });
  std::string error;
  do {
    error = errorText([&] { joinProcesses(id, 1, 3, Deadline::in(20ms)); });
  } while (error.starts_with("timeout"));
  EXPECT_THAT(error, AllOf(HasSubstr("mismatch: rank 1 was started with a world size of 3"),
                           HasSubstr("rank 0, which waits at the same meeting point, with 2")));
  EXPECT_EQ(gatherOnce(*joinProcesses(id, 1, 2, soon()), 0), "");
  first.join();
}

TEST(Meeting, DropsThoseWhoDoNotKnowTheToken) {
  MeetingId id = MeetingId::parse(openMeetingPoint(""));
  id.token[3] ^= std::byte{1};
  EXPECT_THAT(errorText([&] { joinProcesses(id.text(), 0, 1, soon()); }),
              HasSubstr("bootstrap: the meeting point closed the connection"));
}

TEST(Meeting, SaysThatNobodyAnswers) {
  const Fd taken = listenTcp("127.0.0.1");
  const MeetingId id{SocketAddress::of(taken), randomToken()};
  // Someone listens but never answers; then nobody listens.
  EXPECT_THAT(errorText([&] { joinProcesses(id.text(), 0, 1, Deadline::in(50ms)); }),
              HasSubstr("timeout: waited"));
  ::shutdown(taken.get(), SHUT_RDWR);
  EXPECT_THAT(errorText([&] { joinProcesses(id.text(), 0, 1, Deadline::in(50ms)); }),
              HasSubstr("timeout: no meeting point answers at 127.0.0.1"));
}

/// Bytes a stranger might send: noise, cut frames, frames with one bit wrong, the right frames of
/// the wrong token.
Bytes mischief(std::mt19937& random, const MeetingId& id) {
  Token wrong = id.token;
  wrong[random() % wrong.size()] ^= std::byte{1};
  Bytes bytes = encodeFrame(FrameType::hello, encodeHello({wrong, 0, 2}));
  if (random() % 4 == 0) bytes = encodeFrame(FrameType::gather, Bytes(random() % 100));
  if (random() % 4 == 0) {
    bytes.resize(random() % 200);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  }
  if (random() % 3 == 0) bytes.resize(random() % (bytes.size() + 1));
  if (!bytes.empty() && random() % 3 == 0)
    bytes[random() % bytes.size()] ^= static_cast<std::byte>(1u << random() % 8);
  return bytes;
}

TEST(Meeting, IsNotDisturbedByGarbage) {
  const MeetingId id = MeetingId::parse(openMeetingPoint(""));
  std::thread world([&] {
    EXPECT_THAT(runThreads(3,
                           [&](int rank) -> std::string {
                             const auto peers = joinProcesses(id.text(), rank, 3, soon());
                             for (int round = 0; round < 300; ++round)
                               if (auto wrong = gatherOnce(*peers, round); !wrong.empty())
                                 return wrong;
                             return {};
                           }),
                Each(""));
  });
  std::mt19937 random(20240607);
  std::deque<Fd> open;  // more than the relay keeps: it has to drop the oldest
  for (int i = 0; i < 2000; ++i) {
    open.push_back(connectTcp(id.address, soon()));
    sendAll(open.back(), mischief(random, id), soon());
    if (open.size() > 300) open.pop_front();
  }
  world.join();
  EXPECT_THAT(
      runThreads(
          2, [&](int rank) { return gatherOnce(*joinProcesses(id.text(), rank, 2, soon()), 0); }),
      Each(""));
}

}  // namespace
}  // namespace lockstep::test
