// A reducer that lies: whatever it makes of masked words, members see it.
#include <algorithm>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "cc_mode/masked_fixture.hpp"

namespace lockstep::test {
namespace {

constexpr std::size_t kPiece = cc::kTaggedWords, kChunk = cc::kChunkWords;

/// A world of three in the middle of a call, seen by its reducer.
class Scene {
 public:
  static constexpr std::size_t kCount = 2 * kChunk + 100;  // three chunks

  explicit Scene(std::uint64_t seed) : random(seed), world_(3, static_cast<std::uint32_t>(seed)) {
    play();
    before = sum;
    play();
  }

  bool accepted() {
    out_.assign(kCount, kUntouched);
    Words words = sum;
    return world_.at(1).unmask(0, world_.at(1).chunks(), {}, words.data(),
                               reinterpret_cast<std::byte*>(out_.data()));
  }
  /// Each element is right or was not written.
  bool nothingWrong() const {
    for (std::size_t i = 0; i < kCount; ++i)
      if (out_[i] != kUntouched && out_[i] != want_[i]) return false;
    return true;
  }
  /// What would have come out if nobody compared tags.
  bool wrongUnchecked() const {
    const cc::ChunkFormat format{.type = DataType::i32, .worldSize = 3};
    for (std::size_t chunk = 0; chunk * kChunk < kCount; ++chunk) {
      const std::size_t n = std::min(kCount - chunk * kChunk, kChunk), at = chunk * kPiece;
      Words words(sum.begin() + static_cast<std::ptrdiff_t>(at),
                  sum.begin() + static_cast<std::ptrdiff_t>(at + n));
      for (std::size_t i = 0; i < n; ++i) words[i] -= honest_[at + i] - bare_[at + i];
      std::vector<std::int32_t> got(n);
      cc::fromWords(format, words, reinterpret_cast<std::byte*>(got.data()));
      if (!std::equal(got.begin(), got.end(),
                      want_.begin() + static_cast<std::ptrdiff_t>(chunk * kChunk)))
        return true;
    }
    return false;
  }
  std::size_t below(std::size_t n) { return random() % n; }
  /// Place of a word of data.
  std::size_t dataWord() { return wordOf(below(kCount)); }
  static std::size_t wordOf(std::size_t element) {
    return element / kChunk * kPiece + element % kChunk;
  }
  /// Place of a word of a tag.
  std::size_t tagWord() {
    const std::size_t chunk = below(3);
    return chunk * kPiece + (chunk == 2 ? kCount - 2 * kChunk : kChunk) + below(cc::kTagWords);
  }

  std::mt19937_64 random;
  std::vector<Words> shown;  ///< by rank
  Words sum, before;         ///< of this call and of the one before it: for the reducer to change

 private:
  static constexpr std::int32_t kUntouched = 0x5c5c5c5c;

  void play() {
    std::vector<std::vector<std::byte>> inputs;
    want_.assign(kCount, 0);
    bare_.assign(3 * kPiece, 0);
    for (std::size_t rank = 0; rank < 3; ++rank) {
      std::vector<std::int32_t> values(kCount);
      for (std::size_t i = 0; i < kCount; ++i) {
        values[i] = static_cast<std::int32_t>(random());
        want_[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(want_[i]) +
                                             static_cast<std::uint32_t>(values[i]));
        bare_[wordOf(i)] += static_cast<std::uint64_t>(std::int64_t{values[i]}) + (1U << 31);
      }
      inputs.push_back(asBytes(values));
    }
    world_.begin({.type = DataType::i32, .count = kCount, .what = 17});
    shown = world_.masked({}, inputs);
    sum = honest_ = added(shown);
  }

  MaskedWorld world_;
  std::vector<std::int32_t> want_, out_;
  Words honest_, bare_;  ///< the right sum, as shown and without pads
};

using Attack = std::function<void(Scene&)>;

void swapChunks(Scene& scene) {
  std::swap_ranges(scene.sum.begin(), scene.sum.begin() + kPiece, scene.sum.begin() + kPiece);
}

const std::pair<const char*, Attack> kAttacks[] = {
    {"a bit of a word", [](Scene& s) { s.sum[s.dataWord()] ^= std::uint64_t{1} << s.below(33); }},
    {"a word", [](Scene& s) { s.sum[s.dataWord()] += s.random() | 1; }},
    {"two words, against each other",
     [](Scene& s) {
       const std::size_t at = s.below(kChunk - 1), by = s.below(1000) + 1;
       s.sum[at] += by;
       s.sum[at + 1] -= by;
     }},
    {"a word and, by a guess, the tag",
     [](Scene& s) {
       const std::size_t by = s.below(1000) + 1;
       s.sum[s.below(kChunk)] += by;
       for (std::size_t i = 0; i < cc::kTagWords; ++i)
         s.sum[kChunk + i] += static_cast<std::uint32_t>(s.random());
     }},
    {"one rank left out",
     [](Scene& s) {
       const Words& one = s.shown[s.below(3)];
       for (std::size_t i = 0; i < one.size(); ++i) s.sum[i] -= one[i];
     }},
    {"one rank twice",
     [](Scene& s) {
       const Words& one = s.shown[s.below(3)];
       for (std::size_t i = 0; i < one.size(); ++i) s.sum[i] += one[i];
     }},
    {"the call before", [](Scene& s) { s.sum = s.before; }},
    {"a chunk of the call before",
     [](Scene& s) { std::copy_n(s.before.begin() + kPiece, kPiece, s.sum.begin() + kPiece); }},
    {"two chunks swapped", swapChunks},
    {"zeros", [](Scene& s) { std::fill_n(s.sum.begin(), kPiece, 0); }},
};

TEST(MaskedSum, ALyingReducerIsNoticed) {
  for (const auto& [name, attack] : kAttacks) {
    int live = 0;
    for (std::uint64_t seed = 1; seed <= 120; ++seed) {
      Scene scene(seed);
      ASSERT_TRUE(scene.accepted() && scene.nothingWrong() && !scene.wrongUnchecked()) << seed;
      attack(scene);
      ASSERT_FALSE(scene.accepted()) << name << ", seed " << seed;
      ASSERT_TRUE(scene.nothingWrong()) << name << ", seed " << seed;
      live += scene.wrongUnchecked() ? 1 : 0;
    }
    // The control: unchecked, they give wrong results.
    EXPECT_GE(live, 115) << name;
  }
}

/// No result is at stake, but somebody is at work.
TEST(MaskedSum, AChangedTagIsNoticed) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Scene scene(seed);
    scene.sum[scene.tagWord()] ^= std::uint64_t{1} << scene.below(64);
    EXPECT_FALSE(scene.accepted()) << seed;
  }
}

/// Nothing behind a chunk that failed is written, and its words are wiped: they are sums that
/// nobody may see.
TEST(MaskedSum, WhatDoesNotVerifyIsNotReleased) {
  MaskedWorld world(2);
  const std::vector<std::vector<std::byte>> inputs(2, asBytes(std::vector<std::uint32_t>(1500, 9)));
  world.begin({.type = DataType::u32, .count = 1500});
  Words sum = added(world.masked({}, inputs));
  sum[kPiece + 3] += 1;
  std::vector<std::uint32_t> out(1500, 1);
  EXPECT_FALSE(world.at(0).unmask(0, 3, {}, sum.data(), reinterpret_cast<std::byte*>(out.data())));
  EXPECT_EQ(std::count(out.begin(), out.begin() + kChunk, 18U), kChunk);
  EXPECT_EQ(std::count(out.begin() + kChunk, out.end(), 1U), 1500 - kChunk);
  EXPECT_EQ(std::count(sum.begin() + kPiece, sum.end(), 0U),
            static_cast<std::ptrdiff_t>(sum.size() - kPiece));
}

/// Ranks that mean different calls, and keys that are not the same, never agree.
TEST(MaskedSum, BindsTheCallAndTheKeys) {
  const std::vector<std::byte> in = asBytes(std::vector<std::uint32_t>(10, 9));
  std::vector<std::uint32_t> out(10);
  const auto agree = [&](std::uint64_t firstMeans, std::uint64_t secondMeans,
                         const std::function<void(cc::MaskKeys&)>& change) {
    auto keys = maskKeys(2);
    change(keys[1]);
    cc::MaskedSum first(0, 2, cc::createAead(), keys[0]), second(1, 2, cc::createAead(), keys[1]);
    first.begin({.type = DataType::u32, .count = 10, .what = firstMeans});
    second.begin({.type = DataType::u32, .count = 10, .what = secondMeans});
    std::vector<Words> shown(2, Words(first.wordsOf(0, 1)));
    first.mask(0, 1, {}, in.data(), shown[0].data());
    second.mask(0, 1, {}, in.data(), shown[1].data());
    Words sum = added(shown);
    return first.unmask(0, 1, {}, sum.data(), reinterpret_cast<std::byte*>(out.data()));
  };
  EXPECT_TRUE(agree(5, 5, [](cc::MaskKeys&) {}));
  EXPECT_FALSE(agree(5, 6, [](cc::MaskKeys&) {}));
  EXPECT_FALSE(agree(5, 5, [](cc::MaskKeys& keys) { keys.tags[0] ^= std::byte{1}; }));
  EXPECT_FALSE(agree(5, 5, [](cc::MaskKeys& keys) { keys.before[0] ^= std::byte{1}; }));
  EXPECT_TRUE(agree(5, 5, [](cc::MaskKeys& keys) { keys.after[0] ^= std::byte{1}; }));  // unused
  // Rank 1 adds nothing of the group's keystream; only what it takes off is then wrong.
  EXPECT_TRUE(agree(5, 5, [](cc::MaskKeys& keys) { keys.group[0] ^= std::byte{1}; }));
}

/// Multipliers are used in one call only.
TEST(MaskedSum, TagsOfEqualWordsDifferByCall) {
  cc::Tags tags(2, cc::createAead(), maskKeys(2)[0]);
  const Words words(kChunk, 1);
  std::array<std::uint64_t, cc::kTagWords> first{}, second{};
  tags.begin(1);
  tags.write(words, first);
  tags.begin(1);
  tags.write(words, second);
  EXPECT_NE(first, second);
}

/// Sums up to the bound, of the most ranks there are.
TEST(MaskedSum, LargestValuesDoNotOverflow) {
  MaskedWorld world(64);
  for (const DataType type : {DataType::i32, DataType::i64}) {
    const std::vector<std::byte> lowest =
        type == DataType::i32 ? asBytes(std::vector(3, std::numeric_limits<std::int32_t>::max()))
                              : asBytes(std::vector(3, std::numeric_limits<std::int64_t>::max()));
    world.begin({.type = type, .count = 3});
    Words sum = added(world.masked({}, std::vector(64, lowest)));
    std::vector<std::byte> out(lowest.size());
    ASSERT_TRUE(world.at(63).unmask(0, 1, {}, sum.data(), out.data()));
    EXPECT_EQ(out, type == DataType::i32 ? asBytes(std::vector<std::int32_t>(3, -64))
                                         : asBytes(std::vector<std::int64_t>(3, -64)));
  }
}

}  // namespace
}  // namespace lockstep::test
