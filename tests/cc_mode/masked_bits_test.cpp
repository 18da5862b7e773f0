// The loops of masked sums give the bits of the formulas they stand for, on every instruction set:
// ranks whose CPUs differ must make the same words, and a result must not depend on who computes.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cc_mode/masked/words.hpp"
#include "cc_mode/masked_fixture.hpp"
#include "cc_mode/masked_reference.hpp"
#include "support/targets.hpp"

namespace lockstep::test {
namespace {

constexpr DataType kTypes[] = {DataType::f16, DataType::bf16, DataType::f32, DataType::f64,
                               DataType::i8,  DataType::u8,   DataType::i32, DataType::u32,
                               DataType::i64, DataType::u64};
/// Around the sizes of vectors, and whole chunks.
constexpr std::size_t kCounts[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 511, 512};

/// Some elements that no random bits have, all beginnings of floats and integers among them.
constexpr std::uint64_t kEdges[] = {0,
                                    1,
                                    0x7f,
                                    0x80,
                                    0x03ff,
                                    0x0400,
                                    0x7bff,
                                    0x7f7f,
                                    0x8000,
                                    0x8001,
                                    0x007f'ffff,
                                    0x0080'0000,
                                    0x3f80'0000,
                                    0x7f7f'ffff,
                                    0x8000'0000,
                                    0x8000'0001,
                                    0xff7f'ffff,
                                    0x000f'ffff'ffff'ffff,
                                    0x3ff0'0000'0000'0000,
                                    0x7fef'ffff'ffff'ffff,
                                    0x8000'0000'0000'0000,
                                    0x8000'0000'0000'0001,
                                    0xffef'ffff'ffff'ffff,
                                    0xffff'ffff'ffff'ffff};

/// Elements at an odd address, with what lies around them.
class Placed {
 public:
  explicit Placed(std::size_t bytes) : memory_(bytes + 2, std::byte{0x5c}) {}
  std::byte* data() { return memory_.data() + 1; }
  bool operator==(const Placed&) const = default;

 private:
  std::vector<std::byte> memory_;
};

/// Random bits of all magnitudes, or of about one (floats of which many bits are left), and edges.
Placed elements(DataType type, std::size_t count, std::mt19937_64& random, bool finite = true) {
  Placed placed(count * sizeOf(type));
  const bool alike = random() % 2 == 0;
  for (std::size_t i = 0; i < count; ++i) do {
      const std::uint64_t edge = kEdges[random() % std::size(kEdges)];
      std::uint64_t bits = random() % 4 == 0 ? edge : random();
      if (alike && type == DataType::f32) bits = (bits & 0x83ff'ffff) | 0x3c00'0000;
      if (alike && type == DataType::f64) bits = (bits & ~(0x7feULL << 52)) | 0x3feULL << 52;
      std::memcpy(placed.data() + i * sizeOf(type), &bits, sizeOf(type));
    } while (finite && cc::isFixedPoint(type) &&
             !std::isfinite(testing::elementAsDouble(type, placed.data(), i)));
  return placed;
}

/// Sums as they may be: near what zeros add up to and near the ends, all magnitudes, and any bits.
Words sums(const cc::ChunkFormat& format, std::size_t count, std::mt19937_64& random) {
  Words words(count);
  const auto world = static_cast<std::uint64_t>(format.worldSize);
  for (std::uint64_t& word : words) {
    const std::uint64_t zero = world << fractionBits(format.worldSize);
    const std::uint64_t magnitude = random() >> (random() % 64);
    const std::uint64_t near = (std::uint64_t{1} << random() % 63) + random() % 5 - 2;
    const std::uint64_t choices[] = {zero + magnitude, zero - magnitude, zero + near, zero - near,
                                     random()};
    word = choices[random() % std::size(choices)];
  }
  return words;
}

void compareWords(const cc::ChunkFormat& format, std::size_t count, std::mt19937_64& random) {
  cc::ChunkFormat agreed = format;
  Placed in = elements(format.type, count, random);
  if (cc::isFixedPoint(format.type)) {
    agreed.exponent = cc::exponentOf(format.type, in.data(), count);
    ASSERT_EQ(agreed.exponent, referenceExponent(format.type, in.data(), count));
    agreed.exponent = std::min(agreed.exponent + static_cast<int>(random() % 3) * 20, 1024);
  }
  const std::size_t each = cc::wordsPerElement(format.type);
  Words got(count * each), want(got);
  cc::toWords(agreed, in.data(), got);
  for (std::size_t i = 0; i < count; ++i)
    referenceWords(agreed, in.data(), i, want.data() + i * each);
  ASSERT_EQ(got, want);
}

void compareElements(const cc::ChunkFormat& format, std::size_t count, std::mt19937_64& random) {
  cc::ChunkFormat agreed = format;
  if (cc::isFixedPoint(format.type)) {
    const int least = format.type == DataType::f64 ? -1073 : -148;
    const int exponents[] = {-1073, least, least + 30, -71, -70, -66, -65, -64, -30,
                             0,     1,     14,         16,  17,  40,  127, 128};
    agreed.exponent = exponents[random() % std::size(exponents)];
    if (format.type == DataType::f64 && random() % 2 == 0) agreed.exponent *= 8;
  }
  const std::size_t each = cc::wordsPerElement(format.type);
  const Words words = sums(agreed, count * each, random);
  Placed got(count * sizeOf(format.type)), want(got);
  cc::fromWords(agreed, words, got.data());
  for (std::size_t i = 0; i < count; ++i) referenceElement(agreed, words.data(), i, want.data());
  for (std::size_t i = 0; i < count; ++i)
    ASSERT_EQ(std::memcmp(got.data() + i * sizeOf(format.type),
                          want.data() + i * sizeOf(format.type), sizeOf(format.type)),
              0)
        << "element " << i << " with exponent " << agreed.exponent << " of the sum "
        << words[i * each] << " is " << testing::elementAsDouble(format.type, got.data(), i)
        << ", not " << testing::elementAsDouble(format.type, want.data(), i);
  ASSERT_TRUE(got == want) << "beyond its end";
}

TEST(MaskedBits, AreThoseOfTheFormulasOnEveryCpu) {
  testing::forEachTarget([] {
    std::mt19937_64 random(11);
    for (const DataType type : kTypes)
      for (const int world : {2, 3, 5, 8, 64})
        for (const bool mean : {false, true})
          for (const std::size_t count : kCounts) {
            SCOPED_TRACE(fmt::format("{} {}, {} ranks, mean {}", count, name(type), world, mean));
            const cc::ChunkFormat format{
                .type = type, .worldSize = world, .divisor = mean ? world : 1};
            for (int round = 0; round < 4; ++round) {
              ASSERT_NO_FATAL_FAILURE(compareWords(format, count, random));
              ASSERT_NO_FATAL_FAILURE(compareElements(format, count, random));
            }
          }
  });
}

/// Wherever in a chunk a NaN or an infinity is.
TEST(MaskedBits, WhatIsNotFiniteIsFoundOnEveryCpu) {
  testing::forEachTarget([] {
    std::mt19937_64 random(12);
    for (const DataType type : {DataType::f16, DataType::bf16, DataType::f32, DataType::f64})
      for (const std::size_t count : kCounts)
        for (std::size_t i = 0; i < count; i += 1 + count / 40)
          for (const double odd : {HUGE_VAL, -HUGE_VAL, std::nan(""), -std::nan("")}) {
            Placed in = elements(type, count, random);
            testing::storeElement(type, odd, in.data() + i * sizeOf(type));
            ASSERT_EQ(cc::exponentOf(type, in.data(), count), cc::kNotFinite)
                << name(type) << ' ' << i << " of " << count;
          }
  });
}

TEST(MaskedBits, ProductsOfWordsOnEveryCpu) {
  testing::forEachTarget([] {
    std::mt19937_64 random(13);
    for (const std::size_t count : {0, 1, 7, 8, 9, 16, 23, 511, 512, 513, 1024, 1025, 3001})
      for (const bool largest : {false, true}) {
        Words a(count + 1), b(count + 1);
        for (Words* words : {&a, &b})
          for (std::uint64_t& word : *words)
            word = largest ? ~std::uint64_t{0} : random() >> random() % 64;
        cc::Wide want = 0;
        for (std::size_t i = 1; i <= count; ++i) want += cc::Wide{a[i]} * b[i];
        const auto tail = [&](const Words& words) { return std::span(words).subspan(1); };
        ASSERT_TRUE(cc::dotProduct(tail(a), tail(b)) == want) << count;
        Words sum = a, difference = a;
        cc::addWords(sum, b);
        cc::subtractWords(difference, b);
        for (std::size_t i = 0; i <= count; ++i) {
          ASSERT_EQ(sum[i], a[i] + b[i]);
          ASSERT_EQ(difference[i], a[i] - b[i]);
        }
      }
  });
}

}  // namespace
}  // namespace lockstep::test
