// Meeting points that were opened with a pre-shared key: who knows the whole text but not the key
// takes nobody's place, and ranks notice when who answers does not know the key.
#include <atomic>
#include <deque>
#include <random>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bootstrap/strangers.hpp"
#include "bootstrap/unix_mesh.hpp"
#include "bootstrap/worlds.hpp"

namespace lockstep::test {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

const Bytes kPsk(32, std::byte{0x5a});
const Bytes kOther(32, std::byte{0x5b});

std::string meet(const std::string& id, int worldSize) {
  const auto outcomes = runThreads(worldSize, [&](int rank) {
    return gatherOnce(*joinProcesses(id, rank, worldSize, soon(), kPsk), 0);
  });
  for (const std::string& outcome : outcomes)
    if (!outcome.empty()) return outcome;
  return {};
}

TEST(KeyedMeeting, RanksThatKnowTheKeyMeet) {
  const std::string id = openMeetingPoint("", kPsk);
  for (const int world : {1, 2, 5}) EXPECT_EQ(meet(id, world), "");
  EXPECT_THAT(
      runProcesses(
          3, [&](int rank) { return gatherOnce(*joinProcesses(id, rank, 3, soon(), kPsk), 0); }),
      Each(""));
}

/// All that can be done with the text alone, as any rank of a world of two.
std::deque<Fd> tryEverything(const MeetingId& id) {
  std::deque<Fd> open;
  const JoinKey guess(kOther, id.token);
  // The token is no key either.
  const JoinKey ofToken(id.token, id.token);
  for (const std::uint32_t rank : {0U, 1U}) {
    const Hello hello{id.token, rank, 2};
    Attempt unkeyed(id);
    EXPECT_TRUE(sayHello(unkeyed.socket, id, rank, 2));
    EXPECT_TRUE(isClosed(unkeyed.socket));
    Attempt unproven(id), guessed(id), derived(id), silent(id);
    EXPECT_TRUE(unproven.say({.hello = hello}));
    EXPECT_TRUE(guessed.say(answerTo(guessed.challenge, guess, hello)));
    EXPECT_TRUE(derived.say(answerTo(derived.challenge, ofToken, hello)));
    for (Attempt* const one : {&unproven, &guessed, &derived}) {
      const auto answer = hearFrame(one->socket);
      EXPECT_TRUE(answer && answer->type == FrameType::error);
      if (!answer || answer->type != FrameType::error) continue;
      const Failure failure = decodeFailure(answer->payload);
      EXPECT_EQ(failure.code, ErrorCode::keyExchange);
      EXPECT_THAT(failure.text, HasSubstr("another pre-shared key"));
    }
    for (Attempt* const one : {&unproven, &guessed, &derived, &silent})
      open.push_back(std::move(one->socket));
  }
  return open;
}

TEST(KeyedMeeting, WhoKnowsTheTextAloneTakesNobodysPlace) {
  const std::string text = openMeetingPoint("", kPsk);
  const MeetingId id = MeetingId::parse(text);
  const auto before = tryEverything(id);  // they stay connected
  std::thread first([&] {
    EXPECT_EQ(
        errorText([&] { EXPECT_EQ(gatherOnce(*joinProcesses(text, 0, 2, soon(), kPsk), 0), ""); }),
        "no error");
  });
  const auto between = tryEverything(id);
  EXPECT_EQ(gatherOnce(*joinProcesses(text, 1, 2, soon(), kPsk), 0), "");
  first.join();
}

TEST(KeyedMeeting, ARecordedHelloIsOfNoUse) {
  const MeetingId id = MeetingId::parse(openMeetingPoint("", kPsk));
  const JoinKey key(kPsk, id.token);
  Attempt genuine(id);
  const KeyedHello recorded = answerTo(genuine.challenge, key, {id.token, 1, 2});
  ASSERT_TRUE(genuine.say(recorded));
  Attempt replayed(id);
  ASSERT_TRUE(replayed.say(recorded));
  EXPECT_EQ(hear(replayed.socket), FrameType::error);
  // The genuine one counts: as soon as it asks, it is told who is missing.
  ASSERT_TRUE(say(genuine.socket, FrameType::giveUp));
  const auto answer = hearFrame(genuine.socket);
  ASSERT_TRUE(answer && answer->type == FrameType::missing);
  EXPECT_EQ(decodeMissing(answer->payload).ranks, rankBit(0));
  // A challenge is good for one attempt.
  Attempt twice(id);
  ASSERT_TRUE(twice.say({.hello = {id.token, 1, 2}}));
  EXPECT_EQ(hear(twice.socket), FrameType::error);
  twice.say(answerTo(twice.challenge, key, {id.token, 1, 2}));
  EXPECT_TRUE(isClosed(twice.socket));
}

TEST(KeyedMeeting, AProofIsGoodForWhatWasProvenAlone) {
  const MeetingId id = MeetingId::parse(openMeetingPoint("", kPsk));
  const JoinKey key(kPsk, id.token);
  for (std::size_t byte = 0; byte < sizeof(KeyedHello); ++byte) {
    SCOPED_TRACE(byte);
    Attempt attempt(id);
    Bytes said = encodeKeyedHello(answerTo(attempt.challenge, key, {id.token, 1, 2}));
    said[byte] ^= static_cast<std::byte>(1U << byte % 8);
    ASSERT_TRUE(say(attempt.socket, FrameType::keyedHello, said));
    if (byte < sizeof(Token))
      EXPECT_TRUE(isClosed(attempt.socket)) << "not one of this meeting point at all";
    else
      EXPECT_EQ(hear(attempt.socket), FrameType::error);
  }
}

TEST(KeyedMeeting, ARankWithAnotherKeyIsToldAndDisturbsNobody) {
  const std::string id = openMeetingPoint("", kPsk);
  std::atomic<bool> told{false};
  std::thread first([&] {
    EXPECT_EQ(gatherOnce(*joinProcesses(id, 0, 2, soon(), kPsk), 0), "");
    EXPECT_TRUE(told);
  });
  EXPECT_THAT(errorText([&] { joinProcesses(id, 1, 2, soon(), kOther); }),
              AllOf(HasSubstr("key exchange: "), HasSubstr("another pre-shared key"),
                    HasSubstr("Options::psk")));
  told = true;
  EXPECT_EQ(gatherOnce(*joinProcesses(id, 1, 2, soon(), kPsk), 0), "");
  first.join();
}

TEST(KeyedMeeting, ARankWithoutAKeyDoesNotEvenConnect) {
  const Fd taken = listenTcp("127.0.0.1");
  const MeetingId id{SocketAddress::of(taken), randomToken(), true};
  EXPECT_THAT(errorText([&] { joinProcesses(id.text(), 0, 1, soon()); }),
              AllOf(HasSubstr("key exchange: "), HasSubstr("without the pre-shared key")));
  EXPECT_FALSE(waitFor(taken, POLLIN, Deadline::in(0s)));
}

TEST(KeyedMeeting, OfTwoRanksWithOneNumberTheSecondIsOfAnotherMeeting) {
  const MeetingId id = MeetingId::parse(openMeetingPoint("", kPsk));
  const JoinKey key(kPsk, id.token);
  const Attempt first(id), second(id), zero(id);
  for (const Attempt* const one : {&first, &second})
    ASSERT_TRUE(one->say(answerTo(one->challenge, key, {id.token, 1, 2})));
  ASSERT_TRUE(say(second.socket, FrameType::giveUp));
  const auto answer = hearFrame(second.socket);
  ASSERT_TRUE(answer && answer->type == FrameType::missing);
  EXPECT_EQ(decodeMissing(answer->payload).ranks, rankBit(0));
  ASSERT_TRUE(zero.say(answerTo(zero.challenge, key, {id.token, 0, 2})));
  EXPECT_EQ(hear(zero.socket), FrameType::welcome);
  EXPECT_EQ(hear(first.socket), FrameType::welcome);
}

// ---- meeting points that are none ----

/// Listens where a rank takes a keyed meeting point to be, and does with the first who comes as it
/// likes.
class Impostor {
 public:
  explicit Impostor(std::function<void(const Fd&)> play, const Token& token = randomToken())
      : listener_(listenTcp("127.0.0.1")),
        id_{SocketAddress::of(listener_), token, true},
        thread_([this, play = std::move(play)] {
          if (!waitFor(listener_, POLLIN, soon())) return;
          const Fd visitor(
              ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
          play(visitor);
          waitFor(visitor, POLLRDHUP, soon());  // it leaves by itself
        }) {}
  ~Impostor() { thread_.join(); }

  std::string whatARankSays(Deadline deadline = soon()) {
    return errorText([&] { joinProcesses(id_.text(), 0, 1, deadline, kPsk); });
  }

 private:
  Fd listener_;
  MeetingId id_;
  std::thread thread_;
};

/// Plays a meeting point until the rank has proven itself.
KeyedHello hearProof(const Fd& rank) {
  say(rank, FrameType::challenge, encodeChallenge(randomNonce()));
  const auto said = hearFrame(rank);
  if (!said || said->type != FrameType::keyedHello) throw std::runtime_error("no hello");
  return decodeKeyedHello(said->payload);
}

TEST(ImpostorMeeting, IsKnownByItsWelcome) {
  const std::vector<std::function<Bytes(const KeyedHello&)>> welcomes{
      [](const KeyedHello&) { return Bytes(); },
      [](const KeyedHello&) { return Bytes(sizeof(Hash)); },
      [](const KeyedHello&) { return Bytes(sizeof(Hash) - 1); },
      [](const KeyedHello& said) { return Bytes(said.proof.begin(), said.proof.end()); },
  };
  std::set<Nonce> nonces;  // of the ranks: if one came twice, so might what was recorded
  for (const auto& welcome : welcomes) {
    Impostor impostor([&](const Fd& rank) {
      const KeyedHello said = hearProof(rank);
      nonces.insert(said.nonce);
      EXPECT_TRUE(say(rank, FrameType::welcome, welcome(said)));
    });
    EXPECT_THAT(impostor.whatARankSays(),
                AllOf(HasSubstr("key exchange: "), HasSubstr("does not know the pre-shared key")));
  }
  EXPECT_EQ(nonces.size(), welcomes.size());
}

TEST(ImpostorMeeting, CannotUseTheAnswerOfAnotherAttempt) {
  const std::string text = openMeetingPoint("", kPsk);
  const MeetingId real = MeetingId::parse(text);
  const JoinKey key(kPsk, real.token);
  Attempt attempt(real);
  ASSERT_TRUE(attempt.say(answerTo(attempt.challenge, key, {real.token, 0, 1})));
  const auto recorded = hearFrame(attempt.socket);
  ASSERT_TRUE(recorded && recorded->type == FrameType::welcome);
  // All is the same again but for the rank's own nonce.
  Impostor impostor(
      [&](const Fd& rank) {
        say(rank, FrameType::challenge, encodeChallenge(attempt.challenge));
        EXPECT_EQ(hear(rank), FrameType::keyedHello);
        EXPECT_TRUE(say(rank, FrameType::welcome, recorded->payload));
      },
      real.token);
  EXPECT_THAT(impostor.whatARankSays(), HasSubstr("does not know the pre-shared key"));
}

TEST(ImpostorMeeting, AnswersOutOfTurn) {
  for (const FrameType type : {FrameType::welcome, FrameType::challenge}) {
    Impostor impostor([&](const Fd& rank) {
      if (type == FrameType::challenge) hearProof(rank);
      EXPECT_TRUE(say(rank, type, Bytes(32)));
    });
    EXPECT_THAT(impostor.whatARankSays(), HasSubstr("bootstrap: the meeting point answered out"));
  }
}

TEST(ImpostorMeeting, SaysNothingLongBeforeItsWelcome) {
  Impostor impostor([&](const Fd& rank) {
    const FrameHeader huge{kFrameMagic, FrameType::result, 1U << 26};
    sendAll(rank, std::as_bytes(std::span(&huge, 1)), soon());
  });
  EXPECT_THAT(impostor.whatARankSays(), HasSubstr("what answers at the meeting point is none"));
}

TEST(ImpostorMeeting, EndsInTheMiddle) {
  const Bytes frame = encodeFrame(FrameType::challenge, Bytes(sizeof(Nonce)));
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{5}, frame.size() - 1}) {
    Impostor impostor([&](const Fd& rank) {
      sendAll(rank, std::span(frame).first(bytes), soon());
      ::shutdown(rank.get(), SHUT_WR);
    });
    EXPECT_THAT(impostor.whatARankSays(), HasSubstr("bootstrap: the meeting point closed"));
  }
}

// A frame that never ends, though something of it always comes, holds nobody beyond its deadline.
TEST(ImpostorMeeting, TricklesForever) {
  Impostor impostor([&](const Fd& rank) {
    const FrameHeader header{kFrameMagic, FrameType::error, 500};
    sendAll(rank, std::as_bytes(std::span(&header, 1)), soon());
    const std::byte one{};
    while (sendAll(rank, std::span(&one, 1), soon()) == IoStatus::done) sleepFor(20ms);
  });
  EXPECT_THAT(impostor.whatARankSays(Deadline::in(100ms)), HasSubstr("which does not answer"));
}

// ---- noise ----

/// Bytes a stranger might send who knows the text and how ranks speak.
Bytes mischief(std::mt19937& random, const MeetingId& id, const Nonce& challenge) {
  static const JoinKey wrong(kOther, id.token);
  const Hello hello{id.token, static_cast<std::uint32_t>(random() % 4), 3};
  Bytes bytes =
      encodeFrame(FrameType::keyedHello, encodeKeyedHello(answerTo(challenge, wrong, hello)));
  if (random() % 8 == 0) bytes = encodeFrame(FrameType::gather, Bytes(random() % 100));
  if (random() % 8 == 0) {
    bytes.resize(random() % 200);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  }
  if (random() % 3 == 0) bytes.resize(random() % (bytes.size() + 1));
  if (random() % 3 == 0) bytes.resize(bytes.size() + random() % 100);
  if (!bytes.empty() && random() % 3 == 0)
    bytes[random() % bytes.size()] ^= static_cast<std::byte>(1U << random() % 8);
  return bytes;
}

TEST(KeyedMeeting, IsNotDisturbedByNoise) {
  const std::string text = openMeetingPoint("", kPsk);
  const MeetingId id = MeetingId::parse(text);
  std::mt19937 random(20261122);
  std::deque<Fd> open;
  const auto disturb = [&](int times) {
    for (int i = 0; i < times; ++i) {
      Attempt attempt(id);
      sendAll(attempt.socket, mischief(random, id, attempt.challenge), soon());
      open.push_back(std::move(attempt.socket));
      if (open.size() > 100) open.pop_front();
    }
  };
  std::thread first(
      [&] { EXPECT_EQ(gatherOnce(*joinProcesses(text, 0, 3, soon(), kPsk), 0), ""); });
  disturb(300);
  std::thread second(
      [&] { EXPECT_EQ(gatherOnce(*joinProcesses(text, 1, 3, soon(), kPsk), 0), ""); });
  disturb(300);
  EXPECT_EQ(gatherOnce(*joinProcesses(text, 2, 3, soon(), kPsk), 0), "");
  first.join();
  second.join();
}

// ---- the links between ranks ----

/// Ranks 0 and 1 knock with a key each; what becomes of both.
std::pair<std::string, std::string> link(const JoinKey* zeros, const JoinKey* ones,
                                         Deadline deadline) {
  MeshDoor zero, one;
  const std::vector<MeshAddress> all{zero.address(), one.address()};
  const auto connect = [&](MeshDoor& door, int rank, const JoinKey* key, Deadline until) {
    return errorText([&] {
      door.connect(
          rank, all, key, [] {}, until);
    });
  };
  std::string second;
  std::thread thread([&] { second = connect(one, 1, ones, soon()); });
  std::string first = connect(zero, 0, zeros, deadline);
  zero = MeshDoor();  // its end is closed
  thread.join();
  return {first, second};
}

// The doors' secrets go by the meeting point, so whoever runs it, or hears it, knows them.
TEST(KeyedMeeting, TheSecretsOfDoorsOpenNoneWithoutTheKey) {
  const Token token = randomToken();
  const JoinKey key(kPsk, token), same(kPsk, token), other(kOther, token),
      elsewhere(kPsk, randomToken());
  EXPECT_EQ(link(&key, &same, soon()), std::pair(std::string("no error"), std::string("no error")));
  for (const JoinKey* const wrong : {&other, &elsewhere, static_cast<const JoinKey*>(nullptr)}) {
    const auto [first, second] = link(&key, wrong, Deadline::in(100ms));
    EXPECT_THAT(first, HasSubstr("timeout: rank 1 has not connected"));
    EXPECT_THAT(second, HasSubstr("bootstrap: rank 0 did not let rank 1 in"));
  }
}

}  // namespace
}  // namespace lockstep::test
