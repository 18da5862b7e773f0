// The key exchange, with an attacker in the middle of it.
#include "cc_mode/keys/handshake.hpp"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cc_mode/handshake_fixture.hpp"
#include "support/forwarding_aead.hpp"

namespace lockstep::test {
namespace {

using schedule::kEveryone;
using ::testing::HasSubstr;
bool understand(cc::KeyRing& sender, cc::KeyName sealName, cc::KeyRing& receiver,
                cc::KeyName openName) {
  const Bytes plain(40, std::byte{7});
  Bytes opened;
  const Sealed sealed =
      seal(sender.aead(), sender.at(sealName).expanded(), cc::nonceOf(0), {}, plain);
  return open(receiver.aead(), receiver.at(openName).expanded(), cc::nonceOf(0), {}, sealed,
              opened);
}

TEST(Handshake, KeysMatchPairwiseAndInTheGroup) {
  for (const int world : {1, 2, 3, 8}) {
    SCOPED_TRACE(world);
    Session session = run(members(world));
    for (const Outcome& outcome : session.outcomes)
      ASSERT_TRUE(outcome.keys) << (outcome.error ? outcome.error->what() : "");
    const auto ring = [&](int rank) -> cc::KeyRing& {
      return *session.outcomes[static_cast<std::size_t>(rank)].keys;
    };
    for (int i = 0; i < world; ++i)
      for (int j = 0; j < world; ++j) {
        SCOPED_TRACE(::testing::Message() << i << " to " << j);
        EXPECT_TRUE(understand(ring(i), {i, kEveryone}, ring(j), {i, kEveryone}));
        if (i == j) continue;
        EXPECT_TRUE(understand(ring(i), {i, j}, ring(j), {i, j}));
        EXPECT_FALSE(understand(ring(i), {i, j}, ring(j), {j, i})) << "a key per direction";
        EXPECT_FALSE(understand(ring(i), {i, j}, ring(j), {i, kEveryone}));
        EXPECT_FALSE(understand(ring(i), {i, kEveryone}, ring(j), {j, kEveryone}));
        for (int other = 0; other < world; ++other) {
          if (other == i || other == j) continue;
          EXPECT_FALSE(understand(ring(i), {i, j}, ring(other), {i, other}));
          EXPECT_THROW(ring(other).at({i, j}), Error) << "nobody holds keys of other pairs";
        }
      }
  }
}

TEST(Handshake, EverySessionHasItsOwnKeys) {
  Session first = run(members(2)), second = run(members(2));
  EXPECT_FALSE(understand(*first.outcomes[0].keys, {0, 1}, *second.outcomes[1].keys, {0, 1}));
  EXPECT_FALSE(understand(*first.outcomes[0].keys, {0, kEveryone}, *second.outcomes[1].keys,
                          {0, kEveryone}));
}

TEST(Handshake, InsecureWorksWhenAllAskForIt) {
  auto all = members(3);
  for (Member& m : all) m.parameters.psk = {}, m.parameters.insecure = true;
  Session session = run(all);
  for (const Outcome& outcome : session.outcomes) EXPECT_TRUE(outcome.keys);
}

TEST(Handshake, WrongPsk) {
  for (const int world : {2, 3}) {
    auto all = members(world);
    const Bytes other(32, std::byte{0x5b});
    all[1].parameters.psk = other;
    const Session session = run(all);
    expectAllRefuse(session);
    EXPECT_THAT(textOf(session, 0), HasSubstr("another pre-shared key"));
    EXPECT_EQ(session.outcomes[0].error->rank(), 1);
  }
}

TEST(Handshake, MissingAndShortPsk) {
  auto all = members(3);
  all[2].parameters.psk = {};
  Session session = run(all);
  expectAllRefuse(session);
  EXPECT_THAT(textOf(session, 2), HasSubstr("needs a pre-shared key"));
  EXPECT_THAT(textOf(session, 0), HasSubstr("rank 2 gave up"));
  EXPECT_EQ(session.outcomes[0].error->rank(), 2);

  all[2].parameters.psk = std::span(kPsk).first(31);
  session = run(all);
  expectAllRefuse(session);
  EXPECT_THAT(textOf(session, 2), HasSubstr("31 bytes"));
}

TEST(Handshake, OneRankInsecure) {
  auto all = members(3);
  all[1].parameters.psk = {};
  all[1].parameters.insecure = true;
  const Session session = run(all);
  expectAllRefuse(session);
  EXPECT_THAT(textOf(session, 0), HasSubstr("rank 1 has no pre-shared key"));
  EXPECT_THAT(textOf(session, 1), HasSubstr("this rank has no pre-shared key"));
}

/// Of what was said before, every rank must have heard the same.
TEST(Handshake, RanksThatHaveAgreedOnDifferentThings) {
  auto all = members(3);
  all[1].parameters.agreed[31] = std::byte{1};
  const Session session = run(all);
  expectAllRefuse(session);
  EXPECT_THAT(textOf(session, 0), HasSubstr("cannot agree on keys with rank 1"));
}

TEST(Handshake, DifferentModes) {
  auto all = members(2);
  all[1].parameters.mode = Mode::ccMulticast;
  const Session session = run(all);
  expectAllRefuse(session);
  EXPECT_THAT(textOf(session, 0), HasSubstr("mode cc-multicast, this rank for cc"));
}

TEST(Handshake, DifferentCommunicators) {
  auto all = members(2);
  all[1].parameters.communicatorId[0] = std::byte{1};
  expectAllRefuse(run(all));
}

TEST(Handshake, DifferentCiphers) {
  const auto aeads = allAeads();
  if (aeads.size() < 2) GTEST_SKIP() << "only one cipher here";
  auto all = members(2);
  all[0].aead = aeads[0];
  all[1].aead = aeads[1];
  const Session session = run(all);
  expectAllRefuse(session);
  EXPECT_THAT(textOf(session, 0), HasSubstr("another cipher"));
}

// Fields of the first message, at their places in it.
TEST(Handshake, TextSaysWhatDiffersInTheFirstMessage) {
  struct {
    std::size_t byte;
    const char* text;
  } const fields[] = {{1, "same version"}, {2, "mode"},       {3, "pre-shared key"},
                      {5, "same rank"},    {7, "world size"}, {8, "another cipher"}};
  for (const auto& field : fields) {
    const Session session = run(members(2), [&](int round, int receiver, Messages& all) {
      if (round == 0 && receiver == 0) all[1][field.byte] ^= std::byte{1};
    });
    expectAllRefuse(session);
    EXPECT_THAT(textOf(session, 0), HasSubstr(field.text));
    EXPECT_EQ(session.outcomes[0].error->rank(), 1);
  }
}

TEST(Handshake, AnyByteChangedOnTheWay) {
  // The bytes of rank 1's message that concern rank 0: all of the first, its slot of the others.
  constexpr std::size_t kBytes[] = {104, 48, 32};
  for (int round = 0; round < 3; ++round)
    for (std::size_t byte = 0; byte < kBytes[round]; ++byte) {
      SCOPED_TRACE(::testing::Message() << "round " << round << " byte " << byte);
      expectVictimRefuses(run(members(3),
                              [&](int r, int receiver, Messages& all) {
                                if (r == round && receiver == 0)
                                  all[1].at(byte) ^= static_cast<std::byte>(1u << byte % 8);
                              }),
                          round);
    }
}

TEST(Handshake, OtherLengths) {
  for (int round = 0; round < 3; ++round)
    for (const int change : {-1, 1, 0}) {
      SCOPED_TRACE(::testing::Message() << "round " << round << " change " << change);
      expectVictimRefuses(run(members(3),
                              [&](int r, int receiver, Messages& all) {
                                if (r != round || receiver != 0) return;
                                const std::size_t size = all[1].size();
                                all[1].resize(change < 0 ? size - 1 : change > 0 ? size + 1 : 0);
                              }),
                          round);
    }
}

TEST(Handshake, MessagesSwapped) {
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    expectVictimRefuses(run(members(3),
                            [&](int r, int receiver, Messages& all) {
                              if (r == round && receiver == 0) std::swap(all[1], all[2]);
                            }),
                        round);
  }
}

TEST(Handshake, MissingMessage) {
  for (int round = 0; round < 3; ++round)
    expectVictimRefuses(run(members(3),
                            [&](int r, int receiver, Messages& all) {
                              if (r == round && receiver == 0) all.pop_back();
                            }),
                        round);
}

TEST(Handshake, ReplayOfAnotherSession) {
  const Session earlier = run(members(3));
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    expectVictimRefuses(run(members(3),
                            [&](int r, int receiver, Messages& all) {
                              if (r == round && receiver == 0) all[1] = earlier.said.at(r)[1];
                            }),
                        round);
  }
  // All of rank 1's messages, to everyone: an attacker who plays rank 1 from a recording.
  const Session session = run(members(3), [&](int r, int receiver, Messages& all) {
    if (receiver != 1) all[1] = earlier.said.at(r)[1];
  });
  expectRefusal(session.outcomes[0]);
  expectRefusal(session.outcomes[2]);
}

// What rank 1 said in an earlier round comes again, as it was and cut to the length of this
// round's.
TEST(Handshake, RoundsReordered) {
  for (int round = 1; round < 3; ++round)
    for (int earlier = 0; earlier < round; ++earlier)
      for (const bool cut : {false, true}) {
        SCOPED_TRACE(::testing::Message() << "round " << earlier << " in round " << round);
        Bytes heard;
        expectVictimRefuses(run(members(3),
                                [&](int r, int receiver, Messages& all) {
                                  if (receiver != 0) return;
                                  if (r == earlier) heard = all[1];
                                  if (r != round) return;
                                  if (cut) heard.resize(all[1].size());
                                  all[1] = heard;
                                }),
                            round);
      }
}

TEST(Handshake, TwoRanksClaimOneNumber) {
  auto all = members(3);
  all[2].parameters.rank = 1;
  const Session session = run(all);
  expectAllRefuse(session);
  EXPECT_THAT(textOf(session, 0), HasSubstr("two processes use the same rank"));
  EXPECT_THAT(textOf(session, 2), HasSubstr("two processes use rank 1"));
}

TEST(Handshake, MyOwnMessagesReflected) {
  for (int round = 0; round < 3; ++round)
    expectVictimRefuses(run(members(2),
                            [&](int r, int receiver, Messages& all) {
                              if (r == round && receiver == 0) all[1] = all[0];
                            }),
                        round);
}

TEST(Handshake, MyOwnMessageComesBackChanged) {
  for (int round = 0; round < 3; ++round)
    expectVictimRefuses(run(members(2),
                            [&](int r, int receiver, Messages& all) {
                              if (r == round && receiver == 0) all[0].back() ^= std::byte{1};
                            }),
                        round);
}

TEST(Handshake, LowOrderPoint) {
  // u = 0 and u = 1 have orders 2 and 4; Wycheproof has the rest (keys_test.cpp).
  for (const std::byte first : {std::byte{0}, std::byte{1}})
    for (const bool insecure : {false, true}) {
      auto all = members(2);
      if (insecure)
        for (Member& m : all) m.parameters.psk = {}, m.parameters.insecure = true;
      const Session session = run(all, [&](int round, int receiver, Messages& messages) {
        if (round != 0) return;
        Bytes& theirs = messages[receiver == 0 ? 1 : 0];
        std::fill(theirs.begin() + 40, theirs.begin() + 72, std::byte{0});
        theirs[40] = first;
      });
      expectAllRefuse(session);
      EXPECT_THAT(textOf(session, 0), HasSubstr("low order"));
    }
}

/// Hands a different group key to every receiver: what a malicious member could do.
class TwoFaced final : public testing::ForwardingAead {
 public:
  TwoFaced() : ForwardingAead(cc::createAead()) {}
  void seal(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
            cc::ConstPrivateBytes plain, cc::PrivateBytes cipher, cc::Tag& tag) const override {
    Bytes other(plain.data(), plain.data() + plain.size());
    other[0] ^= static_cast<std::byte>(sealed_++);
    ForwardingAead::seal(key, nonce, aad, view(std::as_const(other)), cipher, tag);
  }

 private:
  mutable int sealed_ = 0;  // one rank's thread only
};

TEST(Handshake, DifferentGroupKeysForDifferentReceiversAreNoticed) {
  auto all = members(3);
  all[1].aead = std::make_shared<TwoFaced>();
  const Session session = run(all);
  for (const std::size_t honest : {0u, 2u}) {
    expectRefusal(session.outcomes[honest]);
    EXPECT_THAT(textOf(session, honest), HasSubstr("different group keys"));
  }
}

TEST(Handshake, ABrokenCarrierIsNotUsedAgain) {
  for (int broken = 0; broken < 3; ++broken) {
    int calls = 0;
    Bytes first;
    try {
      cc::handshake({.psk = kPsk}, cc::createAead(), [&](std::span<const std::byte> mine) {
        if (calls++ == broken) throw Error(ErrorCode::peerDied, "the network is gone");
        return Messages{Bytes(mine.begin(), mine.end())};
      });
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::peerDied);
    }
    EXPECT_EQ(calls, broken + 1);
  }
}

TEST(Handshake, NothingSecretIsSaid) {
  const Session session = run(members(2));
  for (const auto& [round, messages] : session.said)
    for (const Bytes& message : messages)
      EXPECT_EQ(std::search(message.begin(), message.end(), kPsk.begin(), kPsk.begin() + 8),
                message.end());
}

}  // namespace
}  // namespace lockstep::test
