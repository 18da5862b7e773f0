// Floats in fixed point: how far a sum may be from the exact one, and what is exact.
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "cc_mode/masked/fixed_point.hpp"
#include "cc_mode/masked_fixture.hpp"
#include "support/reference.hpp"

namespace lockstep::test {
namespace {

using testing::elementAsDouble;
using testing::storeElement;
using Elements = std::vector<std::byte>;

constexpr DataType kFloats[] = {DataType::f16, DataType::bf16, DataType::f32, DataType::f64};

/// The sum of one chunk of each rank, by fixed point alone.
struct Summed {
  Elements out;
  std::int32_t exponent = std::numeric_limits<std::int32_t>::min();
};
Summed summed(DataType type, const std::vector<Elements>& inputs, int divisor = 1) {
  Summed result;
  const std::size_t count = inputs[0].size() / sizeOf(type);
  for (const Elements& in : inputs)
    result.exponent = std::max(result.exponent, cc::exponentOf(type, in.data(), count));
  const cc::ChunkFormat format{.type = type,
                               .worldSize = static_cast<int>(inputs.size()),
                               .divisor = divisor,
                               .exponent = result.exponent};
  Words sum(count), words(count);
  for (const Elements& in : inputs) {
    cc::toWords(format, in.data(), words);
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_LE(words[i], std::uint64_t{1} << 62);
      EXPECT_FALSE(__builtin_add_overflow(sum[i], words[i], &sum[i])) << "overflow";
    }
  }
  result.out.resize(inputs[0].size());
  cc::fromWords(format, sum, result.out.data());
  return result;
}

Elements elementsOf(DataType type, const std::vector<double>& values) {
  Elements elements(values.size() * sizeOf(type));
  for (std::size_t i = 0; i < values.size(); ++i)
    storeElement(type, values[i], elements.data() + i * sizeOf(type));
  return elements;
}

/// Every finite bit pattern: subnormals, the largest, both signs, all in chunks with all others.
Elements anyFinite(DataType type, std::size_t count, std::mt19937_64& random) {
  Elements elements(count * sizeOf(type));
  for (std::size_t i = 0; i < count; ++i) do {
      const std::uint64_t bits = random();
      std::memcpy(elements.data() + i * sizeOf(type), &bits, sizeOf(type));
    } while (!std::isfinite(elementAsDouble(type, elements.data(), i)));
  return elements;
}

/// Half a unit in the last place of the type at `value`, or of its smallest numbers.
long double halfUlp(DataType type, long double value) {
  const int least = type == DataType::f16    ? -24
                    : type == DataType::bf16 ? -133
                    : type == DataType::f32  ? -149
                                             : -1074;
  return std::max(std::fabs(value) * testing::unitRoundoff(type), std::ldexp(0.5L, least));
}

/// The bound of fixed_point.hpp, on values of all magnitudes at once, and far from each other's.
TEST(MaskedFloats, ErrorsStayWithinTheBound) {
  std::mt19937_64 random(5);
  for (const DataType type : kFloats)
    for (const int world : {2, 3, 5, 8, 64})
      for (int round = 0; round < 20; ++round) {
        std::vector<Elements> inputs;
        for (int rank = 0; rank < world; ++rank) inputs.push_back(anyFinite(type, 64, random));
        const bool mean = round % 2 == 1;
        const Summed got = summed(type, inputs, mean ? world : 1);
        const int fraction = 62 - std::bit_width(static_cast<unsigned>(world) - 1);
        const long double bound = world * std::ldexp(1.0L, got.exponent - fraction - 1);
        for (std::size_t i = 0; i < 64; ++i) {
          long double exact = 0;
          for (const Elements& in : inputs) exact += elementAsDouble(type, in.data(), i);
          if (mean) exact /= world;
          const long double result = elementAsDouble(type, got.out.data(), i);
          if (std::isinf(result)) {
            EXPECT_GT(std::fabs(exact), std::ldexp(1.0L, got.exponent - 2));
            continue;
          }
          // 3 %: the reference is rounded too, and so is the quotient of a mean.
          EXPECT_LE(std::fabs(result - exact), (bound + halfUlp(type, exact)) * 1.03L)
              << name(type) << ", " << world << " ranks, " << static_cast<double>(exact);
        }
      }
}

/// The bound is no empty promise: what is far below the largest is lost.
TEST(MaskedFloats, TheBoundIsReached) {
  const Summed got = summed(DataType::f64, {elementsOf(DataType::f64, {1, 0x1p-62}),
                                            elementsOf(DataType::f64, {1, 0x1p-62})});
  EXPECT_EQ(elementAsDouble(DataType::f64, got.out.data(), 1), 0);
}

/// Within 2^30 of the largest, f32 sums are the exact ones rounded once.
TEST(MaskedFloats, SumsOfF32AreRoundedOnce) {
  std::mt19937_64 random(6);
  for (const int world : {2, 3, 64})
    for (int round = 0; round < 20; ++round) {
      std::vector<Elements> inputs;
      std::vector<long double> exact(256);
      for (int rank = 0; rank < world; ++rank) {
        std::vector<double> values;
        for (std::size_t i = 0; i < exact.size(); ++i) {
          const auto value = static_cast<float>(
              std::ldexp(static_cast<double>(random() | 1U << 31) * (random() % 2 == 0 ? 1 : -1),
                         -64 - static_cast<int>(random() % 30)));
          values.push_back(value);
          exact[i] += value;
        }
        inputs.push_back(elementsOf(DataType::f32, values));
      }
      const Summed got = summed(DataType::f32, inputs);
      for (std::size_t i = 0; i < exact.size(); ++i)
        ASSERT_EQ(elementAsDouble(DataType::f32, got.out.data(), i), static_cast<float>(exact[i]));
    }
}

/// Every 16-bit float comes through beside zeros, and sums of two are rounded once.
TEST(MaskedFloats, EveryHalf) {
  for (const DataType type : {DataType::f16, DataType::bf16}) {
    Elements all;
    for (std::uint32_t bits = 0; bits < 1U << 16; ++bits) {
      Elements one(2);
      std::memcpy(one.data(), &bits, 2);
      if (std::isfinite(elementAsDouble(type, one.data(), 0)))
        all.insert(all.end(), one.begin(), one.end());
    }
    for (std::size_t i = 0; i < all.size() / 2; ++i) {
      const Elements one(all.begin() + static_cast<std::ptrdiff_t>(2 * i),
                         all.begin() + static_cast<std::ptrdiff_t>(2 * i + 2));
      const Summed got = summed(type, {one, Elements(2)});
      ASSERT_EQ(elementAsDouble(type, got.out.data(), 0), elementAsDouble(type, one.data(), 0));
    }
    const auto round = type == DataType::f16 ? testing::floatToF16 : testing::floatToBf16;
    std::mt19937_64 random(7);
    for (int i = 0; i < 20000; ++i) {
      const Elements a = anyFinite(type, 1, random), b = anyFinite(type, 1, random);
      const double sum = elementAsDouble(type, a.data(), 0) + elementAsDouble(type, b.data(), 0);
      if (static_cast<float>(sum) != sum || sum == 0) continue;  // the reference would round twice
      std::uint16_t bits = 0;
      std::memcpy(&bits, summed(type, {a, b}).out.data(), 2);
      ASSERT_EQ(bits, round(static_cast<float>(sum))) << sum;
    }
  }
}

/// Chunks of the smallest numbers alone, and of zeros.
TEST(MaskedFloats, SubnormalsAreExact) {
  for (const DataType type : kFloats) {
    Elements smallest(sizeOf(type)), zero(sizeOf(type));
    smallest[0] = std::byte{1};
    const double least = elementAsDouble(type, smallest.data(), 0);
    ASSERT_GT(least, 0);
    EXPECT_EQ(elementAsDouble(type, summed(type, {smallest, zero}).out.data(), 0), least);
    EXPECT_EQ(elementAsDouble(type, summed(type, {smallest, smallest}).out.data(), 0), 2 * least);
    EXPECT_EQ(summed(type, {zero, zero}).out, zero);
    storeElement(type, -0.0, smallest.data());
    EXPECT_EQ(summed(type, {smallest, smallest}).out, zero) << "sums that are zero are +0";
  }
}

TEST(MaskedFloats, SumsThatAreTooLargeAreInfinite) {
  for (const auto& [type, most] : {std::pair(DataType::f16, 65504.0),
                                   {DataType::bf16, 0x1.fep127},
                                   {DataType::f32, 0x1.fffffep127},
                                   {DataType::f64, 0x1.fffffffffffffp1023}})
    for (const double sign : {1.0, -1.0}) {
      const Elements one = elementsOf(type, {sign * most});
      EXPECT_EQ(elementAsDouble(type, summed(type, {one, one}).out.data(), 0), sign * HUGE_VAL);
      EXPECT_EQ(elementAsDouble(type, summed(type, {one, one}, 2).out.data(), 0), sign * most);
    }
}

TEST(MaskedFloats, ExponentsAreTheLeastAbove) {
  for (const DataType type : kFloats) {
    const auto exponent = [&](double value) {
      const Elements one = elementsOf(type, {0, -value, 0});
      return cc::exponentOf(type, one.data(), 3);
    };
    EXPECT_EQ(exponent(1), 1);
    EXPECT_EQ(exponent(1.5), 1);
    EXPECT_EQ(exponent(0.5), 0);
    EXPECT_EQ(exponent(HUGE_VAL), cc::kNotFinite);
    EXPECT_EQ(exponent(NAN), cc::kNotFinite);
  }
}

}  // namespace
}  // namespace lockstep::test
