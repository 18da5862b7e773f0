// Control messages against whoever carries them: what was not said, or not now, or not to this
// rank, is an error that names the rank.
#include "communicator/control.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "communicator/agreement.hpp"
#include "support/recording_aead.hpp"
#include "support/tampered_peers.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using ::testing::HasSubstr;

/// What a rank says, and in which call.
struct Saying {
  std::string_view purpose;
  std::string text;
};

std::vector<Saying> allSay(int world, std::string_view purpose) {
  std::vector<Saying> sayings;
  for (int rank = 0; rank < world; ++rank)
    sayings.push_back({purpose, fmt::format("rank {} says this", rank)});
  return sayings;
}

/// Ranks with keys. All that rank 0 hears of the others goes through `tamper`.
class Session {
 public:
  explicit Session(int world, bool sealed = true) : heard(static_cast<std::size_t>(world)) {
    for (auto& end : joinThreads(world)) {
      const bool first = ends_.empty();
      ends_.push_back(std::make_unique<TamperedPeers>(std::move(end), [this, first](Messages& all) {
        if (!first) return;
        carried.push_back(all);
        if (tamper) tamper(all);
      }));
    }
    rings_.resize(ends_.size());
    if (sealed) exchangeKeys();
    carried.clear();
  }

  int world() const { return static_cast<int>(ends_.size()); }

  std::vector<Outcome> gather(const std::vector<Saying>& sayings) {
    return playRanks(Kind::threads, world(), [&](int rank) {
      const auto r = static_cast<std::size_t>(rank);
      Control control(*ends_[r], rings_[r] ? &*rings_[r] : nullptr, sayings[r].purpose);
      heard[r].clear();
      for (const auto& message :
           control.allGather(std::as_bytes(std::span(sayings[r].text)), soon()))
        heard[r].emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
    });
  }
  /// One that is as it should be.
  void gatherWell(std::string_view purpose = "alloc") {
    tamper = {};
    const auto sayings = allSay(world(), purpose);
    const auto outcomes = gather(sayings);
    ASSERT_EQ(failures(outcomes), "");
    for (const auto& texts : heard) {
      ASSERT_EQ(texts.size(), sayings.size());
      for (std::size_t r = 0; r < texts.size(); ++r) EXPECT_EQ(texts[r], sayings[r].text);
    }
  }
  /// One that is tampered with: rank 0 blames `blamed`, and nobody else sees anything. The next is
  /// as good as ever.
  void expectForgery(TamperedPeers::Tamper change, int blamed = 1) {
    tamper = std::move(change);
    const auto outcomes = gather(allSay(world(), "alloc"));
    ASSERT_EQ(outcomes[0].code, ErrorCode::integrity) << describe(outcomes);
    EXPECT_EQ(outcomes[0].blamed, blamed);
    EXPECT_EQ(outcomes[0].operation, "alloc");
    EXPECT_THAT(outcomes[0].text, HasSubstr(fmt::format("rank {}", blamed)));
    EXPECT_TRUE(heard[0].empty());
    for (std::size_t r = 1; r < outcomes.size(); ++r) EXPECT_TRUE(outcomes[r].ok);
    gatherWell();
  }

  /// A rank says something that nobody carries.
  void sayInVain(int rank) {
    class Nowhere final : public ForwardingPeers {
     public:
      using ForwardingPeers::ForwardingPeers;
      Messages allGather(std::span<const std::byte>, Deadline) override {
        throw Error(ErrorCode::timeout, "nobody carries it");
      }
    } nowhere(*ends_[static_cast<std::size_t>(rank)]);
    Control control(nowhere, &*rings_[static_cast<std::size_t>(rank)], "alloc");
    EXPECT_THROW(control.allGather({}, soon()), Error);
  }

  TamperedPeers::Tamper tamper;
  std::vector<Messages> carried;                ///< to rank 0, since there are keys
  std::vector<std::vector<std::string>> heard;  ///< by hearer and speaker
  Ledger ledger;

 private:
  static Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }

  void exchangeKeys() {
    const auto aead = std::make_shared<RecordingAead>(cc::createAead(), ledger);
    const auto outcomes = playRanks(Kind::threads, world(), [&](int rank) {
      const auto r = static_cast<std::size_t>(rank);
      Transcript transcript(*ends_[r]);
      cc::Lineage lineage;
      rings_[r].emplace(agreement::keys(transcript, optionsOf(Mode::cc), aead, lineage, soon()));
    });
    EXPECT_EQ(failures(outcomes), "");
  }

  std::vector<std::unique_ptr<Peers>> ends_;
  std::vector<std::optional<cc::KeyRing>> rings_;
};

TEST(Control, EveryoneHearsWhatEveryoneSaid) {
  for (const bool sealed : {false, true})
    for (const int world : {1, 2, 3, 5}) {
      SCOPED_TRACE(fmt::format("{} ranks, {}", world, sealed ? "sealed" : "clear"));
      Session session(world, sealed);
      for (const char* purpose : {"split", "", "retune"}) session.gatherWell(purpose);
      // Of any length, and of different ones.
      std::vector<Saying> sayings(static_cast<std::size_t>(world), {"alloc", ""});
      sayings.back().text.resize(Control::kMostBytes - 6, 'x');
      ASSERT_EQ(failures(session.gather(sayings)), "");
      EXPECT_EQ(session.heard[0].back(), sayings.back().text);
      EXPECT_EQ(session.heard[0].front().empty(), world > 1);
    }
}

TEST(Control, TooMuchIsRefusedAndCostsNothing) {
  Session session(2);
  std::vector<Saying> sayings(2, {"alloc", std::string(Control::kMostBytes - 5, 'x')});
  for (const Outcome& outcome : session.gather(sayings))
    EXPECT_EQ(outcome.code, ErrorCode::invalidArgument) << outcome.text;
  EXPECT_TRUE(session.carried.empty());
  session.gatherWell();
}

TEST(Control, EveryChangedByteIsAnError) {
  Session session(3);
  session.gatherWell();
  const std::size_t mine = session.carried.back()[1].size() / 2;  // for rank 0; the rest for rank 2
  ASSERT_EQ(mine, 1 + 5 + 16 + cc::kTagBytes);
  for (std::size_t at = 0; at < mine; ++at) {
    SCOPED_TRACE(at);
    session.expectForgery([&](Messages& all) { all[1][at] ^= std::byte{0x20}; });
  }
}

TEST(Control, WrongLengthsAreErrors) {
  Session session(3);
  session.gatherWell();
  const std::size_t right = session.carried.back()[2].size();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, right - 2, right - 1, right + 1,
                                 right + 2, 2 * cc::kTagBytes, 2 * right, std::size_t{1} << 20}) {
    SCOPED_TRACE(size);
    session.expectForgery([&](Messages& all) { all[2].resize(size); }, 2);
  }
}

TEST(Control, WhatWasSaidBeforeIsAnError) {
  Session session(3);
  session.gatherWell();
  session.gatherWell("split");
  const std::vector<Messages> before = session.carried;
  for (const Messages& old : before) session.expectForgery([&](Messages& all) { all[1] = old[1]; });
  // All of it once more, which fits together.
  session.expectForgery([&](Messages& all) { all = before[0]; });
}

/// What rank 1 said is kept back, and what it says next is shown in place of that.
TEST(Control, WhatIsSaidLaterIsAnError) {
  Session session(3);
  session.sayInVain(1);
  const auto outcomes = session.gather(allSay(3, "alloc"));
  for (const std::size_t r : {0U, 1U, 2U}) {
    EXPECT_EQ(outcomes[r].code, ErrorCode::integrity) << describe(outcomes);
    EXPECT_EQ(outcomes[r].blamed, r == 1 ? 0 : 1);
  }
}

TEST(Control, AnotherRanksMessageIsAnError) {
  Session session(3);
  session.expectForgery([](Messages& all) { std::swap(all[1], all[2]); });
  session.expectForgery([](Messages& all) { all[2] = all[1]; }, 2);
  session.expectForgery([](Messages& all) { all[1] = all[0]; });  // its own comes back
  session.expectForgery([](Messages& all) {                       // what rank 1 said to rank 2
    const auto half = static_cast<std::ptrdiff_t>(all[1].size() / 2);
    std::rotate(all[1].begin(), all[1].begin() + half, all[1].end());
  });
}

TEST(Control, AnotherCommunicatorsMessageIsAnError) {
  Session session(3), other(3);  // with one pre-shared key
  for (int i = 0; i < 3; ++i) {
    other.gatherWell();
    session.expectForgery(
        [&](Messages& all) { all[1] = other.carried[static_cast<std::size_t>(i)][1]; });
    other.gatherWell();  // both are at the same number again
  }
}

TEST(Control, AnotherCallIsAMismatchForAllAndChangesNothing) {
  Session session(3);
  auto sayings = allSay(3, "alloc");
  sayings[1].purpose = "retune";
  const auto outcomes = session.gather(sayings);
  for (const std::size_t r : {0U, 1U, 2U}) {
    EXPECT_EQ(outcomes[r].code, ErrorCode::mismatch) << describe(outcomes);
    EXPECT_EQ(outcomes[r].blamed, r == 1 ? 0 : 1);
  }
  EXPECT_THAT(outcomes[0].text, HasSubstr("rank 1 called retune when rank 0 called alloc"));
  session.gatherWell();
}

/// A forged difference is no difference: nobody may be made to believe in one.
TEST(Control, ATamperedMismatchIsAForgery) {
  Session session(3);
  auto sayings = allSay(3, "alloc");
  sayings[1].purpose = "retune";
  session.tamper = [](Messages& all) { all[2][0] ^= std::byte{1}; };
  const auto outcomes = session.gather(sayings);
  EXPECT_EQ(outcomes[0].code, ErrorCode::integrity) << describe(outcomes);
  EXPECT_EQ(outcomes[0].blamed, 2);
}

TEST(Control, NothingThatIsSaidCrosses) {
  for (const bool sealed : {false, true}) {
    Session session(2, sealed);
    session.gatherWell();
    session.gatherWell();
    ASSERT_EQ(session.carried.size(), 2U);
    for (const auto& message : session.carried[0])
      for (const std::string_view text : {"says this", "alloc"}) {
        const auto bytes = std::as_bytes(std::span(text));
        const bool found = std::ranges::search(message, bytes).begin() != message.end();
        EXPECT_EQ(found, !sealed);
      }
    // The same twice does not look the same.
    EXPECT_EQ(session.carried[0][1] == session.carried[1][1], !sealed);
  }
}

TEST(Control, NoNonceIsUsedTwiceWhateverFails) {
  Session session(3);
  for (int i = 0; i < 3; ++i) {
    session.gatherWell();
    session.expectForgery([](Messages& all) { all[2].clear(); }, 2);
    session.tamper = [](Messages&) { throw Error(ErrorCode::timeout, "the carrier gives up"); };
    EXPECT_EQ(session.gather(allSay(3, "split"))[0].code, ErrorCode::timeout);
    session.gatherWell("retune");
  }
  EXPECT_EQ(offencesIn(session.ledger.uses()), "");
}

}  // namespace
}  // namespace lockstep::testing
