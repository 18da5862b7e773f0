// Pads: what they add up to, that nothing of them comes twice, and that they hide.
#include <array>
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
    for (cc::Pads& rank : ranks) rank.reserve(2);
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

/// Sums of the pads of some ranks, but not of none, never coincide, nor do those of two pieces or
/// two calls: so each subset's words are hidden, and no difference shows anything.
TEST(MaskedPads, NoSubsetOfRanksLeavesAnythingBare) {
  for (const int world : {2, 3, 5}) {
    auto ranks = padsOf(world);
    std::set<std::uint64_t> seen{0};
    std::size_t words = 1;
    for (int call = 0; call < 3; ++call) {
      for (cc::Pads& rank : ranks) rank.reserve(2);
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
  once[1].reserve(1);
  again[1].reserve(1);
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
      ranks[rank].reserve(kPieces);
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
      const std::vector<std::byte> in(cc::kChunkWords * 3 * 4);
      Words words(4 * kPiece);
      for (int call = 0; call < 6; ++call) {
        sum.begin({.type = DataType::u32, .count = cc::kChunkWords * 2 + 7});
        if (call % 3 == 1) continue;
        sum.mask(0, call % 3 == 2 ? 1 : sum.chunks(), {}, in.data(), words.data());
      }
      EXPECT_EQ(testing::offencesIn(ledger.uses()), "");
      EXPECT_GE(ledger.uses().size(), 14U);
    }
}

TEST(MaskedPads, AKeysBoundIsRefused) {
  MaskedWorld world(2);
  EXPECT_THROW(world.at(0).begin({.type = DataType::u8, .count = std::size_t{1} << 36}), Error);
}

}  // namespace
}  // namespace lockstep::test
