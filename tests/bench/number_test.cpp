#include "bench/number.hpp"

#include <bit>
#include <cmath>

#include <gtest/gtest.h>

namespace lockstep::bench {
namespace {

TEST(Number, EveryF16AndBf16SurvivesDecodeAndEncode) {
  for (const DataType type : {DataType::f16, DataType::bf16})
    for (std::uint64_t bits = 0; bits < 65536; ++bits) {
      const double value = decode(type, bits).real;
      if (std::isnan(value)) continue;
      ASSERT_EQ(encode(type, value), bits) << name(type) << " 0x" << std::hex << bits;
    }
}

TEST(Number, EveryFiniteF8SurvivesDecodeAndEncode) {
  for (const DataType type : {DataType::f8e4m3, DataType::f8e5m2})
    for (std::uint64_t bits = 0; bits < 256; ++bits) {
      const double value = decode(type, bits).real;
      if (!std::isfinite(value)) continue;
      ASSERT_EQ(encode(type, value), bits) << name(type) << " 0x" << std::hex << bits;
    }
  EXPECT_EQ(formatNumber(DataType::f8e4m3, 0x7e), "448");
  EXPECT_EQ(formatNumber(DataType::f8e4m3, 0x7f), "nan");
  EXPECT_EQ(formatNumber(DataType::f8e5m2, 0xfb), "-57344");
  EXPECT_EQ(formatNumber(DataType::f8e5m2, 0x7c), "inf");
  EXPECT_EQ(decode(DataType::f8e4m3, 1).real, 0x1p-9);
  EXPECT_EQ(decode(DataType::f8e5m2, 1).real, 0x1p-16);
}

TEST(Number, RoundsToNearestEven) {
  EXPECT_EQ(encode(DataType::f16, 1 + 1.0 / 2048), 0x3c00u);      // halfway: to even
  EXPECT_EQ(encode(DataType::f16, 1 + 3.0 / 2048), 0x3c02u);      // halfway: to even, upwards
  EXPECT_EQ(encode(DataType::f16, 2047.75), 0x6800u);             // carries into the exponent
  EXPECT_EQ(encode(DataType::f16, 65519), 0x7bffu);               // largest that stays finite
  EXPECT_EQ(encode(DataType::f16, 65520), 0x7c00u);               // infinity
  EXPECT_EQ(encode(DataType::f16, std::ldexp(1, -25)), 0x0000u);  // half the least: to even
  EXPECT_EQ(encode(DataType::f16, std::ldexp(1.5, -25)), 0x0001u);
  EXPECT_EQ(encode(DataType::f16, -2), 0xc000u);
  EXPECT_EQ(encode(DataType::bf16, 1 + 1.0 / 256), 0x3f80u);
  EXPECT_EQ(encode(DataType::bf16, 1 + 3.0 / 256), 0x3f82u);
  EXPECT_EQ(encode(DataType::f8e4m3, 1 + 1.0 / 16), 0x38u);
  EXPECT_EQ(encode(DataType::f8e4m3, 1 + 3.0 / 16), 0x3au);
  EXPECT_EQ(encode(DataType::f8e4m3, -1e9), 0xfeu);  // the largest there is
  EXPECT_EQ(encode(DataType::f8e5m2, 1 + 3.0 / 8), 0x3eu);
  EXPECT_EQ(encode(DataType::f8e5m2, HUGE_VAL), 0x7bu);
}

TEST(Number, IntegersKeepTheirSign) {
  EXPECT_EQ(formatNumber(DataType::i8, 0x80), "-128");
  EXPECT_EQ(formatNumber(DataType::u8, 0x80), "128");
  EXPECT_EQ(formatNumber(DataType::i64, ~std::uint64_t{0}), "-1");
  EXPECT_EQ(formatNumber(DataType::u64, ~std::uint64_t{0}), "18446744073709551615");
}

TEST(Number, IntegersWrapAndAveragesTruncateTowardsZero) {
  const auto sum = [](DataType type, Reduction reduction, std::uint64_t a, std::uint64_t b) {
    return finish(type, reduction, 2, combine(type, reduction, decode(type, a), decode(type, b)));
  };
  EXPECT_EQ(sum(DataType::u8, Reduction::sum, 200, 100), 44u);
  EXPECT_EQ(sum(DataType::i8, Reduction::avg, 0xfe, 0xff), 0xffu);  // -3 / 2 = -1
  EXPECT_EQ(sum(DataType::u32, Reduction::avg, 3, 4), 3u);
  EXPECT_EQ(sum(DataType::i8, Reduction::min, 0xff, 1), 0xffu);
  EXPECT_EQ(sum(DataType::u8, Reduction::min, 0xff, 1), 1u);
}

}  // namespace
}  // namespace lockstep::bench
