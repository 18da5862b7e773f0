// Quotes in the key exchange: whose they must be, and that no rank goes on with one that does not
// hold.
#include <memory>
#include <set>

#include <gmock/gmock.h>

#include "cc_mode/handshake_fixture.hpp"
#include "support/attester.hpp"
#include "support/forwarding_aead.hpp"

namespace lockstep::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::kQuoteBytes;
using testing::softwareAttestation;
using testing::softwareQuote;

/// Of the second message, in front of the quote.
std::size_t keyBytes(std::size_t world) {
  return (world - 1) * 48;
}

/// A world that has nothing but its attestations, which one may change.
struct World {
  explicit World(int size)
      : attestations(static_cast<std::size_t>(size), softwareAttestation()), all(members(size)) {
    for (std::size_t r = 0; r < all.size(); ++r) {
      all[r].parameters.psk = {};
      all[r].parameters.attestation = &attestations[r];
    }
  }
  std::vector<Attestation> attestations;
  std::vector<Member> all;
};

void expectKeys(const Session& session) {
  for (const Outcome& outcome : session.outcomes)
    EXPECT_TRUE(outcome.keys) << (outcome.error ? outcome.error->what() : "");
}

/// All refuse, and rank 0 blames rank 1 with these words.
void expectRankOneRefused(const Session& session, const char* words) {
  expectAllRefuse(session);
  EXPECT_THAT(textOf(session, 0), AllOf(HasSubstr("rank 1"), HasSubstr(words)));
  EXPECT_EQ(session.outcomes[0].error->rank(), 1);
}

/// An attacker who changes rank 1's second message on its way to rank 0.
Session runWithOtherSecond(const World& world, const std::function<void(Bytes& second)>& change) {
  return run(world.all, [&](int round, int receiver, Messages& all) {
    if (round == 1 && receiver == 0) change(all[1]);
  });
}

TEST(Attestation, EveryRankVerifiesEveryOthersQuoteOverABindingOfItsOwn) {
  std::set<Bytes> bindings;
  std::size_t made = 0;
  for (const int size : {1, 2, 3, 8}) {
    World world(size);
    std::vector<Bytes> own(world.all.size());
    std::vector<std::map<int, Bytes>> verified(world.all.size());
    for (std::size_t r = 0; r < world.all.size(); ++r) {
      world.attestations[r].quote = [&own, r](std::span<const std::byte> binding) {
        EXPECT_TRUE(own[r].empty()) << "one quote for all peers";
        own[r].assign(binding.begin(), binding.end());
        return softwareQuote(testing::kImage, binding);
      };
      world.attestations[r].verify = [&verified, r](int rank, auto quote, auto binding) {
        verified[r][rank].assign(binding.begin(), binding.end());
        testing::verifySoftwareQuote(testing::kImage, quote, binding);
      };
    }
    expectKeys(run(world.all));
    for (std::size_t r = 0; r < own.size(); ++r, ++made) {
      EXPECT_EQ(own[r].size(), Attestation::kBindingBytes);
      bindings.insert(own[r]);
      EXPECT_EQ(verified[r].size(), own.size() - 1);
      for (const auto& [rank, binding] : verified[r])
        EXPECT_EQ(binding, own[static_cast<std::size_t>(rank)]);
    }
  }
  EXPECT_EQ(bindings.size(), made) << "no two ranks or sessions have the same";
}

TEST(Attestation, GoesTogetherWithAPreSharedKey) {
  World world(3);
  for (Member& m : world.all) m.parameters.psk = kPsk;
  expectKeys(run(world.all));
  const Bytes other(32, std::byte{0x5b});
  world.all[1].parameters.psk = other;  // quotes hold, and do not make up for it
  expectRankOneRefused(run(world.all), "another pre-shared key");
}

TEST(Attestation, ARankThatRunsSomethingElseIsRefused) {
  World world(3);
  world.attestations[1].quote = softwareAttestation("something else").quote;
  const Session session = run(world.all);
  expectRankOneRefused(session, "another image runs there");
  EXPECT_EQ(session.outcomes[2].error->rank(), 1);
  EXPECT_THAT(textOf(session, 1), HasSubstr("gave up"));
}

TEST(Attestation, AQuoteOfAnotherRankDoesNotHold) {
  const World world(3);
  const Session session = run(world.all, [](int round, int receiver, Messages& all) {
    if (round == 1 && receiver == 0)
      std::copy_n(all[2].end() - kQuoteBytes, kQuoteBytes, all[1].end() - kQuoteBytes);
  });
  expectRankOneRefused(session, "bound to something else");
}

TEST(Attestation, AQuoteOfAnEarlierSessionDoesNotHold) {
  const World world(2);
  const Session earlier = run(world.all);
  const Bytes& recorded = earlier.said.at(1)[1];
  expectRankOneRefused(runWithOtherSecond(world,
                                          [&](Bytes& second) {
                                            std::copy_n(recorded.end() - kQuoteBytes, kQuoteBytes,
                                                        second.end() - kQuoteBytes);
                                          }),
                       "bound to something else");
}

// Who stands between two ranks with ephemerals of his own has no quote over what they have heard.
TEST(Attestation, AChangedEphemeralIsNoticedWithoutAPreSharedKey) {
  const World world(2);
  for (const std::size_t byte : {40U, 70U, 72U, 103U}) {  // of the ephemeral, of the nonce
    const Session session = run(world.all, [&](int round, int receiver, Messages& all) {
      if (round == 0) all[receiver == 0 ? 1 : 0][byte] ^= std::byte{1};
    });
    expectRankOneRefused(session, "bound to something else");
  }
}

TEST(Attestation, AnyByteOfAQuoteChangedOnTheWay) {
  const World world(2);
  for (std::size_t byte = 0; byte < kQuoteBytes; ++byte)
    expectRankOneRefused(
        runWithOtherSecond(world,
                           [&](Bytes& second) { second.at(keyBytes(2) + byte) ^= std::byte{1}; }),
        "no machine that is trusted has signed it");
}

TEST(Attestation, MissingTruncatedAndOversizedQuotes) {
  const World world(3);
  const auto resized = [&](std::size_t bytes) {
    return runWithOtherSecond(world, [&](Bytes& second) { second.resize(bytes); });
  };
  expectRankOneRefused(resized(keyBytes(3)), "quote of 0 bytes");
  expectRankOneRefused(resized(keyBytes(3) + kQuoteBytes - 1), "no quote");
  expectRankOneRefused(resized(keyBytes(3) - 1), "of 95 bytes instead of 96");
  expectRankOneRefused(resized(0), "gave up");
  expectRankOneRefused(resized(keyBytes(3) + Attestation::kMaxQuoteBytes), "no quote");
  expectRankOneRefused(resized(keyBytes(3) + Attestation::kMaxQuoteBytes + 1), "it takes 1 to");
}

TEST(Attestation, WhateverTheVerifierThrowsIsARefusal) {
  World world(2);
  const auto refusedWith = [&](auto thrown, const char* words) {
    world.attestations[0].verify = [thrown](int, auto, auto) { throw thrown; };
    expectRankOneRefused(run(world.all), words);
  };
  refusedWith(42, "no std::exception");
  refusedWith(std::runtime_error(""), "without a text");
  refusedWith(Error(ErrorCode::timeout, "the service that knows does not answer"),
              "the service that knows");
  refusedWith(std::runtime_error("\033[2Jred" + std::string(5000, '!')), "\uFFFD[2Jred!!");
  EXPECT_LT(textOf(run(world.all), 0).size(), 1000U);
}

TEST(Attestation, ARankThatHasNoQuoteSaysSo) {
  World world(2);
  const auto refusedWith = [&](std::function<Bytes(std::span<const std::byte>)> quote,
                               const char* words) {
    world.attestations[1].quote = std::move(quote);
    const Session session = run(world.all);
    expectRankOneRefused(session, "gave up");
    EXPECT_THAT(textOf(session, 1), HasSubstr(words));
    EXPECT_EQ(session.outcomes[1].error->rank(), 1);
  };
  refusedWith([](auto) -> Bytes { throw std::runtime_error("no security module"); },
              "no security module");
  refusedWith([](auto) -> Bytes { throw 42; }, "no std::exception");
  refusedWith([](auto) { return Bytes(); }, "0 bytes");
  refusedWith([](auto) { return Bytes(Attestation::kMaxQuoteBytes + 1); }, "it takes 1 to");
}

TEST(Attestation, OneRankWithoutIsRefusedByName) {
  for (const bool preShared : {false, true}) {
    World world(3);
    for (Member& m : world.all)
      if (preShared) m.parameters.psk = kPsk;
    world.all[1].parameters.attestation = nullptr;
    world.all[1].parameters.insecure = true;
    const Session session = run(world.all);
    expectRankOneRefused(session, preShared ? "has a pre-shared key, this rank has a pre-shared "
                                              "key and an attestation"
                                            : "has no pre-shared key (insecure keys), this rank "
                                              "has an attestation");
    EXPECT_THAT(textOf(session, 1), HasSubstr("rank 0 has"));
  }
}

// Who says in the name of all others that they have none gets no rank to do without.
TEST(Attestation, CannotBeTalkedAway) {
  for (const bool preShared : {false, true}) {
    World world(2);
    for (Member& m : world.all) {
      if (preShared) m.parameters.psk = kPsk;
      m.parameters.insecure = true;
    }
    const Session session = run(world.all, [](int round, int receiver, Messages& all) {
      if (round == 0) all[receiver == 0 ? 1 : 0][3] &= ~std::byte{2};
    });
    expectRankOneRefused(session, "attestation");
  }
}

// A quote may be read in two ways: the ranks confirm that they have seen the same ones.
TEST(Attestation, DifferentQuotesForDifferentReceiversAreNoticed) {
  World world(3);
  for (Attestation& attestation : world.attestations)
    attestation = {.quote =
                       [](auto binding) {
                         Bytes quote = softwareQuote(testing::kImage, binding);
                         quote.push_back(std::byte{1});  // which no verifier minds
                         return quote;
                       },
                   .verify =
                       [](int, auto quote, auto binding) {
                         testing::verifySoftwareQuote(testing::kImage, quote.first(kQuoteBytes),
                                                      binding);
                       }};
  expectKeys(run(world.all));
  const Session session =
      runWithOtherSecond(world, [](Bytes& second) { second.back() = std::byte{2}; });
  for (const Outcome& outcome : session.outcomes) expectRefusal(outcome);
  EXPECT_THAT(textOf(session, 0), HasSubstr("does not confirm"));
}

/// Counts what its rank opens.
class CountingAead final : public testing::ForwardingAead {
 public:
  CountingAead() : ForwardingAead(cc::createAead()) {}
  bool open(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
            cc::ConstPrivateBytes cipher, const cc::Tag& tag,
            cc::PrivateBytes plain) const override {
    ++opened;
    return ForwardingAead::open(key, nonce, aad, cipher, tag, plain);
  }
  mutable int opened = 0;  // one rank's thread only
};

TEST(Attestation, NoKeyIsUnwrappedBeforeAllQuotesHold) {
  World world(3);
  const auto counting = std::make_shared<CountingAead>();
  world.all[0].aead = counting;
  expectKeys(run(world.all));
  EXPECT_EQ(counting->opened, 2);
  world.attestations[2].quote = softwareAttestation("something else").quote;
  expectAllRefuse(run(world.all));
  EXPECT_EQ(counting->opened, 2);
}

TEST(Attestation, ChildrenInheritASecretThatAllRanksShareAndNoOtherSessionHas) {
  const std::vector<int> everyone{0, 1, 2};
  const cc::Birth birth{.how = "duplicate", .number = 0, .color = 0, .ranks = everyone};
  World attested(3), both(3), preShared(3), insecure(3);
  for (Member& m : both.all) m.parameters.psk = kPsk;
  for (Member& m : preShared.all) m.parameters.psk = kPsk, m.parameters.attestation = nullptr;
  for (Member& m : insecure.all) m.parameters.insecure = true, m.parameters.attestation = nullptr;
  std::set<Bytes> keys;
  for (const World* world : {&attested, &attested, &both, &preShared, &preShared}) {
    const Session session = run(world->all);
    expectKeys(session);
    const Bytes key = session.outcomes[0].lineage.childPsk(birth);
    EXPECT_GE(key.size(), cc::kMinPskBytes);
    for (const Outcome& outcome : session.outcomes) EXPECT_EQ(outcome.lineage.childPsk(birth), key);
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 5U);
  for (const Outcome& outcome : run(insecure.all).outcomes)
    EXPECT_TRUE(outcome.lineage.childPsk(birth).empty());
}

}  // namespace
}  // namespace lockstep::test
