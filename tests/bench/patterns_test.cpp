#include "bench/patterns.hpp"

#include <bit>
#include <cstring>

#include <gtest/gtest.h>

#include "bench/number.hpp"

namespace lockstep::bench {
namespace {

template <class Body>
void forEveryCase(Body body) {
  for (std::size_t t = 0; t < kDataTypes; ++t)
    for (std::size_t r = 0; r < kReductions; ++r)
      for (const int world : {1, 2, 3, 4, 7, 16, 63, 64}) {
        const auto type = static_cast<DataType>(t);
        const auto reduction = static_cast<Reduction>(r);
        SCOPED_TRACE(testing::Message() << name(type) << ' ' << name(reduction) << " P=" << world);
        body(type, reduction, world);
      }
}

/// Folds the ranks from the last to the first, rounding to the type after every step.
std::uint64_t reduceBackwards(DataType type, Reduction reduction, int world, std::size_t index) {
  const bool floating = kindOf(type) == Kind::floating;
  Number sum = addend(type, reduction, world, world - 1, index);
  for (int rank = world - 2; rank >= 0; --rank) {
    sum = combine(type, reduction, sum, addend(type, reduction, world, rank, index));
    const std::uint64_t rounded = floating ? encode(type, sum.real) : sum.whole & lowBits(type);
    sum = decode(type, rounded);
  }
  return finish(type, reduction, world, sum);
}

TEST(Patterns, ReductionIsExactInAnyOrder) {
  forEveryCase([](DataType type, Reduction reduction, int world) {
    for (std::size_t i = 0; i < 300; ++i)
      ASSERT_EQ(expectedBits(type, reduction, world, i), reduceBackwards(type, reduction, world, i))
          << "element " << i;
  });
}

/// A collective that forgets a rank must not pass.
TEST(Patterns, MissingRankIsSeen) {
  forEveryCase([](DataType type, Reduction reduction, int world) {
    if (world == 1) return;
    int seen = 0;
    for (std::size_t i = 0; i < 2000; ++i) {
      Number result = addend(type, reduction, world, 0, i);
      for (int rank = 1; rank < world - 1; ++rank)
        result = combine(type, reduction, result, addend(type, reduction, world, rank, i));
      seen += finish(type, reduction, world, result) != expectedBits(type, reduction, world, i);
    }
    EXPECT_GT(seen, 0);
  });
}

/// A rank that does not multiply, or takes its neighbour's factor, must not pass.
TEST(Patterns, AMissingFactorIsSeen) {
  forEveryCase([](DataType type, Reduction reduction, int world) {
    if (reduction != Reduction::preMulSum) return;
    int seen = 0;
    for (std::size_t i = 0; i < 2000; ++i) {
      Number result = decode(type, inputBits(type, reduction, world, 0, i));
      for (int rank = 1; rank < world; ++rank)
        result = combine(type, reduction, result, addend(type, reduction, world, rank, i));
      seen += finish(type, reduction, world, result) != expectedBits(type, reduction, world, i);
    }
    EXPECT_GT(seen, 0);
  });
}

TEST(Patterns, FillAndCheckAgreeForOneRank) {
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{1}, std::size_t{65521}, std::size_t{200000}}) {
    const Pattern pattern = Pattern::input(DataType::f32, Reduction::sum, 1, 0);
    std::vector<float> buffer(count + 1, 0.5f);
    pattern.fill(buffer.data(), count);
    EXPECT_EQ(pattern.check(buffer.data(), count).wrong, 0u);
    EXPECT_EQ(buffer[count], 0.5f) << "filled past the end";
  }
}

TEST(Patterns, CheckFindsEachWrongElementAndTheFirst) {
  const Pattern pattern = Pattern::input(DataType::i32, Reduction::max, 1, 0);
  std::vector<std::int32_t> buffer(150000);
  pattern.fill(buffer.data(), buffer.size());
  const std::int32_t right = buffer[70001];
  buffer[70001] ^= 5;
  buffer[149999] += 1;
  const CheckResult found = pattern.check(buffer.data(), buffer.size());
  EXPECT_EQ(found.wrong, 2u);
  ASSERT_TRUE(found.first);
  EXPECT_EQ(found.first->index, 70001u);
  EXPECT_EQ(found.first->expected, static_cast<std::uint32_t>(right));
  EXPECT_EQ(found.first->expected ^ found.first->got, 5u);
}

TEST(Patterns, ShiftedDataIsSeen) {
  const Pattern pattern = Pattern::input(DataType::u8, Reduction::sum, 1, 0);
  std::vector<std::uint8_t> buffer(1 << 20);
  pattern.fill(buffer.data(), buffer.size());
  for (const std::size_t shift : {1, 64, 4096, 65536}) {
    SCOPED_TRACE(shift);
    const std::size_t count = buffer.size() - shift;
    EXPECT_GT(pattern.check(buffer.data() + shift, count).wrong, count / 2);
  }
}

TEST(Patterns, BeginAnywhere) {
  const Pattern pattern = Pattern::input(DataType::u8, Reduction::max, 1, 0);
  std::vector<std::uint8_t> whole(300000), part(100000);
  pattern.fill(whole.data(), whole.size());
  for (const std::size_t start : {1, 1021, 65520, 65521, 131042, 200000}) {
    SCOPED_TRACE(start);
    pattern.fill(part.data(), part.size(), start);
    EXPECT_EQ(std::memcmp(part.data(), whole.data() + start, part.size()), 0);
    EXPECT_EQ(pattern.check(whole.data() + start, part.size(), start).wrong, 0u);
    EXPECT_GT(pattern.check(part.data(), part.size(), start + 1).wrong, part.size() / 2);
  }
}

TEST(Patterns, DescriptionNamesWhatAndWhere) {
  const WrongElement element{17, std::bit_cast<std::uint32_t>(12.0f),
                             std::bit_cast<std::uint32_t>(13.0f)};
  EXPECT_EQ(describe(element, DataType::f32, 1),
            "rank 1, element 17: expected 12 (0x41400000), got 13 (0x41500000), differing bits "
            "0x00100000");
  EXPECT_EQ(describe({3, 0xff, 0x7f}, DataType::i8, 0),
            "rank 0, element 3: expected -1 (0xff), got 127 (0x7f), differing bits 0x80");
}

}  // namespace
}  // namespace lockstep::bench
