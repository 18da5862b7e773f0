// Pads: what they add up to, that nothing of them comes twice, and that they hide.
#include <array>
#include <cstdlib>
#include <set>

#include <gtest/gtest.h>

#include "cc_mode/masked_fixture.hpp"
#include "lockstep/error.hpp"
#include "support/recording_aead.hpp"

namespace lockstep::test {
namespace {

constexpr std::size_t kPiece = cc::kPieceWords;

std::vector<cc::Pads> padsOf(int world) {
  std::vector<cc::Pads> all;
  const auto keys = maskKeys(world);
  for (int rank = 0; rank < world; ++rank)
    all.emplace_back(rank, world, cc::createAead(), keys[static_cast<std::size_t>(rank)]);
  return all;
}

/// The pads of every rank for one piece.
std::vector<Words> drawn(std::vector<cc::Pads>& ranks, std::uint64_t piece) {
  std::vector<Words> all(ranks.size(), Words(kPiece));
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) ranks[rank].mask(piece, all[rank]);
  return all;
}

TEST(MaskedPads, AddUpToWhatOnlyMembersTakeOff) {
  for (const int world : {2, 3, 4, 7, 64}) {
    auto ranks = padsOf(world);
    for (cc::Pads& rank : ranks) rank.reserve(2 * kPiece);
    for (const std::uint64_t piece : {1, 0}) {
      const Words sum = added(drawn(ranks, piece));
      EXPECT_EQ(std::count(sum.begin(), sum.end(), 0U), 0) << "a reducer reads the sum";
      for (cc::Pads& rank : ranks) {
        Words mine = sum;
        rank.unmask(piece, mine);
        EXPECT_EQ(mine, Words(kPiece)) << world;
      }
    }
  }
}

/// Rank 0 keeps what it has added, but not of any number of pieces.
TEST(MaskedPads, AreTakenOffWhetherKeptOrMadeAgain) {
  constexpr std::size_t kPieces = 70;
  auto ranks = padsOf(2);
  for (int call = 0; call < 3; ++call) {
    for (cc::Pads& rank : ranks) rank.reserve(kPieces * kPiece);
    std::vector<Words> sums;
    for (std::size_t piece = 0; piece < kPieces; ++piece)
      sums.push_back(added(drawn(ranks, piece)));
    for (std::size_t piece = 0; piece < kPieces; ++piece) {
      ranks[0].unmask(piece, sums[piece]);
      ASSERT_EQ(sums[piece], Words(kPiece)) << "piece " << piece << " of call " << call;
    }
  }
}

/// Calls of few words share what the cipher has made at once, but no word of it; between them one
/// of many, and one that is given up.
TEST(MaskedPads, SmallCallsShareNoWord) {
  for (const int world : {2, 3}) {
    auto ranks = padsOf(world);
    std::mt19937 random(14);
    std::set<std::uint64_t> seen{0};
    std::size_t all = 1;
    for (int call = 0; call < 300; ++call) {
      const std::size_t n = call % 50 == 7 ? 700 : 1 + random() % 140;
      for (cc::Pads& rank : ranks) rank.reserve(n);
      if (call % 9 == 4) continue;
      std::vector<Words> shown(ranks.size(), Words(n));
      for (std::size_t rank = 0; rank < ranks.size(); ++rank) ranks[rank].mask(0, shown[rank]);
      Words sum = added(shown);
      shown.push_back(sum);
      for (const Words& words : shown) seen.insert(words.begin(), words.end());
      all += shown.size() * n;
      for (cc::Pads& rank : ranks) {
        Words mine = sum;
        rank.unmask(0, mine);
        ASSERT_EQ(mine, Words(n)) << "call " << call;
      }
    }
    EXPECT_EQ(seen.size(), all) << world;
  }
}

/// Sums of the pads of some ranks, but not of none, never coincide, nor do those of two pieces or
/// two calls: so each subset's words are hidden, and no difference shows anything.
TEST(MaskedPads, NoSubsetOfRanksLeavesAnythingBare) {
  for (const int world : {2, 3, 5}) {
    auto ranks = padsOf(world);
    std::set<std::uint64_t> seen{0};
    std::size_t words = 1;
    for (int call = 0; call < 3; ++call) {
      for (cc::Pads& rank : ranks) rank.reserve(2 * kPiece);
      if (call == 1) continue;  // one that failed before any of it was used
      for (const std::uint64_t piece : {0, 1}) {
        const auto all = drawn(ranks, piece);
        for (unsigned subset = 1; subset < 1U << world; ++subset, words += kPiece)
          for (std::size_t i = 0; i < kPiece; ++i) {
            std::uint64_t sum = 0;
            for (std::size_t rank = 0; rank < all.size(); ++rank)
              if ((subset >> rank & 1U) != 0) sum += all[rank][i];
            seen.insert(sum);
          }
      }
    }
    EXPECT_EQ(seen.size(), words) << world;
  }
}

/// What is shown of two inputs under the same pads differs as they do, and by nothing else.
TEST(MaskedPads, AreAllThatIsAdded) {
  auto once = padsOf(3), again = padsOf(3);
  once[1].reserve(kPiece);
  again[1].reserve(kPiece);
  Words x(kPiece, 7), y(kPiece, 5);
  once[1].mask(0, x);
  again[1].mask(0, y);
  for (std::size_t i = 0; i < kPiece; ++i) EXPECT_EQ(x[i] - y[i], 2U);
}

/// The bytes of masked zeros are as often this as that: chi-square with 255 degrees of freedom is
/// beyond 380 once in 10^6 times. (The keys are always the same.)
TEST(MaskedPads, LookRandom) {
  for (const int world : {2, 3}) {
    auto ranks = padsOf(world);
    constexpr std::size_t kPieces = 64;
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
      ranks[rank].reserve(kPieces * kPiece);
      std::array<double, 256> seen{};
      for (std::uint64_t piece = 0; piece < kPieces; ++piece) {
        Words words(kPiece);
        ranks[rank].mask(piece, words);
        for (const std::byte b : std::as_bytes(std::span(words)))
          ++seen[std::to_integer<std::size_t>(b)];
      }
      const double expected = kPieces * kPiece * 8 / 256.0;
      double chi = 0;
      for (const double n : seen) chi += (n - expected) * (n - expected) / expected;
      EXPECT_LT(chi, 380) << rank << " of " << world;
      EXPECT_GT(chi, 150) << rank << " of " << world;
    }
  }
}

/// By the ledger of what the cipher was asked for: calls that were begun and given up, too.
TEST(MaskedPads, NoKeyMakesANumberTwice) {
  for (const int world : {2, 3})
    for (int rank = 0; rank < world; ++rank) {
      testing::Ledger ledger;
      const auto aead = std::make_shared<testing::RecordingAead>(cc::createAead(), ledger);
      cc::MaskedSum sum(rank, world, aead, maskKeys(world)[static_cast<std::size_t>(rank)]);
      constexpr std::size_t kCount = 2 * cc::kPieceChunks * cc::kChunkWords + 7;
      const std::vector<std::byte> in(kCount * 4);
      Words words(3 * kPiece);
      for (int call = 0; call < 6; ++call) {
        sum.begin({.type = DataType::u32, .count = kCount});
        if (call % 3 == 1) continue;
        sum.mask(0, call % 3 == 2 ? 1 : sum.chunks(), {}, in.data(), words.data());
      }
      EXPECT_EQ(testing::offencesIn(ledger.uses()), "");
      EXPECT_GE(ledger.uses().size(), 14U);
    }
}

/// Keys are replaced within a call as well as between two, by all ranks at the same piece.
TEST(MaskedPads, KeysAreReplaced) {
  constexpr std::size_t kUnit = cc::kUnitPieces * cc::kPieceChunks, kChunks = 20 * kUnit;
  constexpr std::size_t kCount = kChunks * cc::kChunkWords;
  testing::Ledger ledger;
  const auto aead = std::make_shared<testing::RecordingAead>(cc::createAead(), ledger);
  const auto keys = maskKeys(2);
  cc::MaskedSum first(0, 2, aead, keys[0], 1), second(1, 2, aead, keys[1], 1);
  const std::vector<std::byte> in(kCount, std::byte{3});
  std::vector<std::byte> out(kCount);
  std::vector<Words> shown(2, Words(kUnit * cc::kTaggedWords));
  for (int call = 0; call < 2; ++call) {
    for (cc::MaskedSum* rank : {&first, &second})
      rank->begin({.type = DataType::u8, .count = kCount});
    for (std::size_t chunk = 0; chunk < kChunks; chunk += kUnit) {
      first.mask(chunk, kUnit, {}, in.data(), shown[0].data());
      second.mask(chunk, kUnit, {}, in.data(), shown[1].data());
      Words sum = added(shown), same = sum;
      ASSERT_TRUE(first.unmask(chunk, kUnit, {}, sum.data(), out.data()));
      ASSERT_TRUE(second.unmask(chunk, kUnit, {}, same.data(), out.data()));
    }
    ASSERT_EQ(std::count(out.begin(), out.end(), std::byte{6}), std::ptrdiff_t{kCount});
  }
  EXPECT_EQ(testing::offencesIn(ledger.uses()), "");
  // Three epochs of eight units to a call, of the ring and of the group; and the tags', one a call.
  EXPECT_EQ(testing::padKeysIn(ledger.uses()).size(), 2U * (3 + 3 + 1));
}

/// A child that was forked in the midst of a call, of few words or many, shows no bare word.
TEST(MaskedPads, AForkedChildIsRefused) {
  for (const std::size_t n : {std::size_t{20}, kPiece}) {
    auto ranks = padsOf(2);
    for (cc::Pads& rank : ranks) rank.reserve(n);
    Words kept(n, 5);
    ranks[0].mask(0, kept);  // and keeps what it takes off
    EXPECT_EXIT(
        {
          int refused = 0;
          for (const bool masks : {true, false})
            for (cc::Pads& rank : ranks) {
              Words words(n, 5);
              try {
                masks ? rank.mask(0, words) : rank.unmask(0, words);
              } catch (const Error&) {
                ++refused;
              }
            }
          std::_Exit(refused);
        },
        ::testing::ExitedWithCode(4), "");
  }
}

/// What goes back to a key that is gone is refused: under the next it would be a pad of its own.
TEST(MaskedPads, AKeyThatIsGoneMakesNothing) {
  cc::Keystream stream(cc::createAead(), maskKeys(2)[0].group, 1);
  Words words(kPiece);
  stream.reserve(100 * cc::kUnitPieces * kPiece);
  for (const std::uint64_t unit : {0, 7, 6, 8, 15, 8}) stream.fill(unit * cc::kUnitPieces, words);
  EXPECT_THROW(stream.fill(7 * cc::kUnitPieces, words), Error);
}

}  // namespace
}  // namespace lockstep::test
