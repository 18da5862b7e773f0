// Products with a factor against plain loops: bit for bit, on every instruction set.
#include "executor/host/scale.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/reference.hpp"
#include "support/targets.hpp"

namespace lockstep::host {
namespace {

using lockstep::testing::doubleToF8;
using lockstep::testing::firstDifference;
using lockstep::testing::forEachTarget;
using lockstep::testing::randomElements;
using lockstep::testing::scaleExactly;

using Bytes = std::vector<std::byte>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<double> factorsOf(DataType type) {
  std::vector<double> factors;
  for (const double factor :
       {0.0, 1.0, -1.0, 3.0, -100.0, 1.0 / 3, -2.7e-7, 1e30, -0.0, 0x1p31, 0x1p63, -0x1p63,
        0x1.fffffffffffffp63, 1e300, kInfinity, -kInfinity, kNaN, -kNaN})
    if (canScale(type, factor)) factors.push_back(factor);
  return factors;
}

class ScaleOf : public ::testing::TestWithParam<DataType> {};

TEST_P(ScaleOf, EveryCountAndAlignmentEqualsTheReferenceAndTouchesNothingElse) {
  const DataType type = GetParam();
  constexpr std::size_t guard = 64;
  for (const double factor : factorsOf(type))
    for (const std::size_t count : {0, 1, 2, 3, 7, 16, 33, 64, 100, 1009}) {
      const Bytes in = randomElements(type, count, count + 1);
      Bytes expected(in.size());
      scaleExactly(type, factor, in.data(), count, expected.data());
      forEachTarget([&] {
        for (const bool inPlace : {false, true})
          for (const std::size_t offset : {0, 1, 24}) {
            Bytes src(in.size() + offset), dst(in.size() + offset + 2 * guard, std::byte{0xa5});
            std::byte* const out = dst.data() + guard + offset;
            std::copy(in.begin(), in.end(), inPlace ? out : src.data() + offset);
            scale(type, inPlace ? out : src.data() + offset, out, count, factor);
            ASSERT_EQ(firstDifference(type, out, expected.data(), count), std::nullopt)
                << count << " times " << factor << " at " << offset;
            for (std::size_t i = 0; i < guard; ++i)
              ASSERT_TRUE(out[-1 - static_cast<std::ptrdiff_t>(i)] == std::byte{0xa5} &&
                          out[in.size() + i] == std::byte{0xa5});
          }
      });
      if (HasFatalFailure()) return;
    }
}

std::vector<DataType> allTypes() {
  std::vector<DataType> types;
  for (std::size_t t = 0; t < kDataTypes; ++t) types.push_back(static_cast<DataType>(t));
  return types;
}

INSTANTIATE_TEST_SUITE_P(AllTypes, ScaleOf, ::testing::ValuesIn(allTypes()),
                         [](const auto& each) { return std::string(name(each.param)); });

/// The product of 1 with a number of f32 is that number, rounded: what is tested is rounding alone.
class Rounding : public ::testing::TestWithParam<DataType> {
 public:
  void check(std::uint32_t bits) {
    const double factor = std::bit_cast<float>(bits);
    std::array<std::uint8_t, 2> rounded{};
    scale(type_, ones_.data(), rounded.data(), 2, factor);
    const std::uint8_t want = doubleToF8(type_, factor);
    if (rounded[0] == want && rounded[1] == (want ^ 0x80)) return;
    ASSERT_TRUE(std::isnan(factor) && isNan(rounded[0]) && isNan(rounded[1]))
        << factor << " gave " << int{rounded[0]} << " and " << int{rounded[1]};
  }

 private:
  bool isNan(std::uint8_t bits) const {
    return (bits & 0x7f) > (type_ == DataType::f8e4m3 ? 0x7e : 0x7c);
  }

  DataType type_ = GetParam();
  std::array<std::uint8_t, 2> ones_{doubleToF8(type_, 1), doubleToF8(type_, -1)};
};

/// All upper 20 bits, which have every midpoint of two 8-bit floats, and what is next to them.
TEST_P(Rounding, EveryQuarterIsTheNearestToEven) {
  forEachTarget([&] {
    for (std::uint32_t upper = 0; upper < 1u << 20; ++upper)
      for (const std::uint32_t lower : {0x000u, 0x001u, 0xfffu}) {
        check(upper << 12 | lower);
        if (HasFatalFailure()) return;
      }
  });
}

INSTANTIATE_TEST_SUITE_P(Quarters, Rounding, ::testing::Values(DataType::f8e4m3, DataType::f8e5m2),
                         [](const auto& each) { return std::string(name(each.param)); });

TEST(Scale, IntegersTakeWholeFactorsThatTheyHold) {
  EXPECT_TRUE(canScale(DataType::i8, -128));
  EXPECT_TRUE(canScale(DataType::u64, 0x1.fffffffffffffp63));
  EXPECT_TRUE(canScale(DataType::i64, -0x1p63));
  EXPECT_TRUE(canScale(DataType::u8, -0.0));
  EXPECT_FALSE(canScale(DataType::i8, 128));
  EXPECT_FALSE(canScale(DataType::u8, -1));
  EXPECT_FALSE(canScale(DataType::u8, 256));
  EXPECT_FALSE(canScale(DataType::i32, 0.5));
  EXPECT_FALSE(canScale(DataType::i32, 0x1p31));
  EXPECT_FALSE(canScale(DataType::i64, 0x1p63));
  EXPECT_FALSE(canScale(DataType::u64, 0x1p64));
  for (const double factor : {kInfinity, -kInfinity, kNaN}) {
    EXPECT_FALSE(canScale(DataType::u32, factor));
    EXPECT_TRUE(canScale(DataType::f16, factor));
    EXPECT_TRUE(canScale(DataType::f8e4m3, factor));
  }
}

/// Even of a NaN whose payload is all ones, which a carry would make a zero.
TEST(Scale, ANaNFactorMakesNaN) {
  const double factor = std::bit_cast<double>(std::uint64_t{0x7fffffffffffffff});
  const std::uint16_t one = 0x3f80;
  forEachTarget([&] {
    std::uint16_t product = 0;
    scale(DataType::bf16, &one, &product, 1, factor);
    EXPECT_GT(product & 0x7fff, 0x7f80);
  });
}

}  // namespace
}  // namespace lockstep::host
