// The reduction kernel against plain loops: bit for bit, on every instruction set, for any number
// of sources and destinations, any alignment, in place, and without touching a byte too many.
#include "executor/host/reduce.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/reference.hpp"
#include "support/targets.hpp"

namespace lockstep::host {
namespace {

using lockstep::testing::firstDifference;
using lockstep::testing::foldExactly;
using lockstep::testing::forEachTarget;
using lockstep::testing::randomElements;

constexpr std::array kTypes{DataType::f16, DataType::bf16, DataType::f32,    DataType::f64,
                            DataType::i8,  DataType::u8,   DataType::i32,    DataType::u32,
                            DataType::i64, DataType::u64,  DataType::f8e4m3, DataType::f8e5m2};
static_assert(kTypes.size() == kDataTypes);
/// preMulSum has the kernels of sum.
constexpr std::array kReductionsTested{Reduction::sum, Reduction::prod, Reduction::min,
                                       Reduction::max, Reduction::avg};
constexpr std::array<std::size_t, 13> kCounts{0, 1, 2, 3, 7, 15, 16, 17, 63, 64, 65, 1000, 4099};
constexpr int kMostSources = 64;
constexpr std::size_t kGuardBytes = 128;
constexpr std::byte kGuard{0xa5};

using Bytes = std::vector<std::byte>;

/// Memory for `bytes` at a chosen distance from a cache line, with guards before and after.
class Guarded {
 public:
  void assign(const std::byte* content, std::size_t bytes, std::size_t offset) {
    memory_.assign(2 * kGuardBytes + 64 + bytes, kGuard);
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    start_ = kGuardBytes + (64 - address % 64) % 64 + offset % 64;
    bytes_ = bytes;
    std::copy_n(content, bytes, data());
  }
  std::byte* data() { return memory_.data() + start_; }
  bool guardsIntact() const {
    const auto isGuard = [](std::byte b) { return b == kGuard; };
    const auto at = [&](std::size_t i) { return memory_.begin() + static_cast<std::ptrdiff_t>(i); };
    return std::all_of(memory_.begin(), at(start_), isGuard) &&
           std::all_of(at(start_ + bytes_), memory_.end(), isGuard);
  }

 private:
  Bytes memory_;
  std::size_t start_ = 0;
  std::size_t bytes_ = 0;
};

/// One call of the kernel.
struct Call {
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  int sources = 1;
  int destinations = 1;
  std::size_t count = 0;
  int divisor = 1;
  bool streaming = false;
  int inPlace = -1;        ///< the source that is the last destination, or none
  std::size_t offset = 0;  ///< of the buffers from a cache line; source j is at offset + j * step
  std::size_t offsetStep = 0;
};

::testing::Message describe(const Call& c) {
  return ::testing::Message() << name(c.type) << ' ' << name(c.reduction) << " k " << c.sources
                              << " m " << c.destinations << " count " << c.count << " divisor "
                              << c.divisor << " streaming " << c.streaming << " inPlace "
                              << c.inPlace << " offset " << c.offset << " step " << c.offsetStep;
}

/// Calls the kernel on copies of `inputs`, and compares what it wrote with `expected`.
class Checker {
 public:
  void check(const Call& c, const std::vector<Bytes>& inputs, const Bytes& expected) {
    const std::size_t bytes = c.count * sizeOf(c.type);
    src_.resize(static_cast<std::size_t>(c.sources));
    dst_.resize(static_cast<std::size_t>(c.destinations));
    std::vector<const void*> src;
    std::vector<void*> dst;
    for (std::size_t j = 0; j < src_.size(); ++j) {
      src_[j].assign(inputs[j].data(), bytes, c.offset + j * c.offsetStep);
      src.push_back(src_[j].data());
    }
    const Bytes noise(bytes, std::byte{0x5a});
    for (std::size_t j = 0; j < dst_.size(); ++j) {
      dst_[j].assign(noise.data(), bytes, c.offset + (j + 1) * c.offsetStep);
      dst.push_back(dst_[j].data());
    }
    if (c.inPlace >= 0) dst.back() = src_[static_cast<std::size_t>(c.inPlace)].data();

    const ReduceArguments arguments{dst.data(), c.destinations, src.data(), c.sources,
                                    c.count,    c.divisor,      c.streaming};
    reduceFunction(c.type, c.reduction)(arguments);

    for (const void* d : dst)
      ASSERT_EQ(firstDifference(c.type, d, expected.data(), c.count), std::nullopt) << describe(c);
    for (std::size_t j = 0; j < src_.size(); ++j) {
      if (static_cast<int>(j) == c.inPlace) continue;
      ASSERT_TRUE(std::equal(src_[j].data(), src_[j].data() + bytes, inputs[j].begin()))
          << describe(c);
    }
    for (const auto* group : {&src_, &dst_})
      for (const Guarded& g : *group) ASSERT_TRUE(g.guardsIntact()) << describe(c);
  }

 private:
  std::vector<Guarded> src_, dst_;
};

std::vector<Bytes> randomInputs(DataType type, std::size_t count) {
  std::vector<Bytes> inputs;
  for (int j = 0; j < kMostSources; ++j)
    inputs.push_back(randomElements(type, count, static_cast<std::uint64_t>(j) + 1));
  return inputs;
}

Bytes expectedOf(const Call& c, const std::vector<Bytes>& inputs) {
  std::vector<const void*> src;
  for (int j = 0; j < c.sources; ++j) src.push_back(inputs[static_cast<std::size_t>(j)].data());
  Bytes expected(c.count * sizeOf(c.type));
  foldExactly(c.type, c.reduction, src, c.count, c.divisor, expected.data());
  return expected;
}

/// Alignments and in-place sources take turns, rather than each with each.
void checkAllShapes(DataType type, Reduction reduction, const std::vector<Bytes>& inputs) {
  constexpr std::array<std::size_t, 6> offsets{0, 1, 8, 13, 32, 60};
  constexpr std::array<std::size_t, 4> steps{0, 64, 4, 3};
  Checker checker;
  std::size_t turn = 0;
  for (const int sources : {1, 2, 3, 4, 5, 8, 17, 64}) {
    Call c{.type = type, .reduction = reduction, .sources = sources, .count = kCounts.back()};
    if (reduction == Reduction::avg) c.divisor = sources;
    const Bytes expected = expectedOf(c, inputs);  // of fewer elements it is a prefix
    for (const std::size_t count : kCounts)
      for (const int destinations : {1, 2, 3})
        for (const bool streaming : {false, true}) {
          c.count = count;
          c.destinations = destinations;
          c.streaming = streaming;
          c.offset = offsets[turn % offsets.size()];
          c.offsetStep = steps[turn / offsets.size() % steps.size()];
          c.inPlace = static_cast<int>(turn % (static_cast<std::size_t>(sources) + 2)) - 2;
          ++turn;
          forEachTarget([&] { checker.check(c, inputs, expected); });
          if (::testing::Test::HasFatalFailure()) return;
        }
  }
}

class ReduceOf : public ::testing::TestWithParam<DataType> {};

TEST_P(ReduceOf, EveryShapeEqualsTheReference) {
  const auto inputs = randomInputs(GetParam(), kCounts.back());
  for (const Reduction reduction : kReductionsTested) {
    checkAllShapes(GetParam(), reduction, inputs);
    if (HasFatalFailure()) return;
  }
}

TEST_P(ReduceOf, EverySourceMayBeTheDestination) {
  const auto inputs = randomInputs(GetParam(), 100);
  Checker checker;
  for (const int sources : {1, 2, 3, 4, 5, 8, 17, 64})
    for (int inPlace = 0; inPlace < sources; ++inPlace) {
      const Call c{.type = GetParam(), .sources = sources, .count = 100, .inPlace = inPlace};
      const Bytes expected = expectedOf(c, inputs);
      forEachTarget([&] { checker.check(c, inputs, expected); });
      if (HasFatalFailure()) return;
    }
}

TEST_P(ReduceOf, EveryDivisorTruncatesOrRoundsAsTheReference) {
  const auto inputs = randomInputs(GetParam(), 300);
  Checker checker;
  for (const int divisor : {2, 3, 7, 64, 127, 128, 255, 300, 65536, 1000003})
    for (const int sources : {1, 2, 3}) {
      const Call c{.type = GetParam(),
                   .reduction = Reduction::avg,
                   .sources = sources,
                   .destinations = 2,
                   .count = 300,
                   .divisor = divisor};
      const Bytes expected = expectedOf(c, inputs);
      forEachTarget([&] { checker.check(c, inputs, expected); });
      if (HasFatalFailure()) return;
    }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, ReduceOf, ::testing::ValuesIn(kTypes),
                         [](const auto& each) { return std::string(name(each.param)); });

/// Zeros, subnormals, ends of the range, infinities and NaNs (quiet, signalling, all payload bits).
template <class Bits>
std::vector<Bits> specials(Bits infinity, Bits one) {
  constexpr Bits sign = Bits{1} << (8 * sizeof(Bits) - 1);
  const Bits leastNormal = infinity & -infinity;
  std::vector<Bits> values;
  for (const Bits magnitude :
       {Bits{0}, Bits{1}, static_cast<Bits>(leastNormal - 1), leastNormal,
        static_cast<Bits>(leastNormal + 1), one, static_cast<Bits>(one + 1),
        static_cast<Bits>(infinity - 1), infinity, static_cast<Bits>(infinity + 1),
        static_cast<Bits>(infinity | leastNormal >> 1), static_cast<Bits>(sign - 1)})
    for (const Bits s : {Bits{0}, sign}) values.push_back(static_cast<Bits>(magnitude | s));
  return values;
}

/// Two inputs with every pair of the values, each pair at several lanes.
template <class Bits>
std::vector<Bytes> allPairs(const std::vector<Bits>& values) {
  std::vector<Bits> left, right;
  for (const Bits a : values)
    for (const Bits b : values) {
      left.push_back(a);
      right.push_back(b);
    }
  const auto bytes = [](const std::vector<Bits>& v) {
    Bytes b(v.size() * sizeof(Bits));
    std::memcpy(b.data(), v.data(), b.size());
    return b;
  };
  return {bytes(left), bytes(right)};
}

void checkPairs(DataType type, const std::vector<Bytes>& inputs) {
  Checker checker;
  for (const Reduction reduction : kReductionsTested)
    for (const int divisor : {1, 3}) {
      if (divisor != 1 && reduction != Reduction::avg) continue;
      Call c{.type = type,
             .reduction = reduction,
             .sources = 2,
             .count = inputs[0].size() / sizeOf(type),
             .divisor = divisor};
      const Bytes expected = expectedOf(c, inputs);
      forEachTarget([&] { checker.check(c, inputs, expected); });
      if (::testing::Test::HasFatalFailure()) return;
    }
}

TEST(ReduceSpecials, EveryPairOfSpecialFloatsEqualsTheReference) {
  checkPairs(DataType::f16, allPairs<std::uint16_t>(specials<std::uint16_t>(0x7c00, 0x3c00)));
  checkPairs(DataType::bf16, allPairs<std::uint16_t>(specials<std::uint16_t>(0x7f80, 0x3f80)));
  checkPairs(DataType::f32,
             allPairs<std::uint32_t>(specials<std::uint32_t>(0x7f800000, 0x3f800000)));
  checkPairs(DataType::f64, allPairs<std::uint64_t>(
                                specials<std::uint64_t>(0x7ff0000000000000, 0x3ff0000000000000)));
}

/// All 65536 values, against partners that make sums and products round every way.
TEST(ReduceSpecials, EveryHalfEqualsTheReference) {
  std::vector<std::uint16_t> all(65536), partner(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  for (const DataType type : {DataType::f16, DataType::bf16})
    for (const std::size_t stride : {0u, 1u, 257u, 40503u}) {
      for (std::size_t i = 0; i < all.size(); ++i)
        partner[i] = static_cast<std::uint16_t>(i * stride + 0x3c01);
      std::vector<Bytes> inputs(2, Bytes(2 * all.size()));
      std::memcpy(inputs[0].data(), all.data(), inputs[0].size());
      std::memcpy(inputs[1].data(), partner.data(), inputs[1].size());
      checkPairs(type, inputs);
      if (HasFatalFailure()) return;
    }
}

/// All pairs of all 256 values: every one decoded, every sum, product and quotient rounded.
TEST(ReduceSpecials, EveryPairOfQuartersEqualsTheReference) {
  std::vector<std::uint8_t> all(256);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i);
  for (const DataType type : {DataType::f8e4m3, DataType::f8e5m2}) checkPairs(type, allPairs(all));
}

TEST(ReduceSpecials, QuartersSaturateAndKeepNaN) {
  const auto reduced = [](DataType type, Reduction reduction, std::uint8_t a, std::uint8_t b) {
    std::uint8_t result = 0;
    const std::array<const void*, 2> src{&a, &b};
    void* dst = &result;
    reduceFunction(type, reduction)({&dst, 1, src.data(), 2, 1, 1, false});
    return result;
  };
  forEachTarget([&] {
    EXPECT_EQ(reduced(DataType::f8e4m3, Reduction::sum, 0x7e, 0x7e), 0x7e);   // 448 + 448
    EXPECT_EQ(reduced(DataType::f8e4m3, Reduction::prod, 0x7e, 0xfe), 0xfe);  // 448 * -448
    EXPECT_EQ(reduced(DataType::f8e5m2, Reduction::sum, 0xfb, 0xfb), 0xfb);   // -57344 - 57344
    EXPECT_EQ(reduced(DataType::f8e5m2, Reduction::max, 0x7c, 0x00), 0x7b);   // infinity
    EXPECT_EQ(reduced(DataType::f8e4m3, Reduction::sum, 0x7f, 0x00) & 0x7f, 0x7f);
    EXPECT_GT(reduced(DataType::f8e5m2, Reduction::sum, 0x7c, 0xfc) & 0x7f, 0x7c);
    EXPECT_EQ(reduced(DataType::f8e4m3, Reduction::max, 0xff, 0x81), 0x81);  // a NaN loses
    EXPECT_EQ(reduced(DataType::f8e5m2, Reduction::min, 0x00, 0x80), 0x80);  // -0 < +0
  });
}

/// The bits of the NaN that a reduction gives, by type (f16, bf16, f32, f64).
constexpr std::array<std::uint64_t, 4> kNan{0x7e00, 0x7fc0, 0x7fc00000, 0x7ff8000000000000};

/// Sources with NaNs of different payloads and signs, and infinities whose sums and products are
/// NaNs, at every place of a vector and of what is left after the last.
std::vector<Bytes> nanInputs(DataType type, int sources, std::size_t count) {
  const auto at = static_cast<std::size_t>(type);
  const std::size_t size = sizeOf(type);
  const std::uint64_t sign = std::uint64_t{1} << (8 * size - 1);
  const std::uint64_t infinity = kNan[at] & ~(kNan[at] & (0 - kNan[at]));
  std::vector<Bytes> inputs(static_cast<std::size_t>(sources), Bytes(count * size));
  for (std::size_t j = 0; j < inputs.size(); ++j)
    for (std::size_t i = 0; i < count; ++i) {
      std::uint64_t bits = kNan[at] + 3 * j + i % 5;  // two NaNs, or more
      if (i % 3 == 1) bits ^= j % 2 == 0 ? sign : 0;
      if (i % 3 == 2) bits = infinity | (j % 2 == 0 ? 0 : sign);
      std::memcpy(inputs[j].data() + i * size, &bits, size);
    }
  return inputs;
}

/// CPUs pass on the payload of the first operand, and compilers exchange operands.
TEST(ReduceSpecials, OneNanIsTheSameWhateverItCameFrom) {
  for (const DataType type : {DataType::f16, DataType::bf16, DataType::f32, DataType::f64})
    for (const int sources : {2, 3, 5})
      for (const std::size_t count : {1, 3, 17, 64, 259})
        for (const Reduction reduction : kReductionsTested) {
          const auto inputs = nanInputs(type, sources, count);
          Call c{.type = type, .reduction = reduction, .sources = sources, .count = count};
          if (reduction == Reduction::avg) c.divisor = sources;
          const Bytes expected = expectedOf(c, inputs);  // the first elements are NaNs of NaNs
          ASSERT_EQ(
              std::memcmp(expected.data(), &kNan[static_cast<std::size_t>(type)], sizeOf(type)), 0);
          std::vector<const void*> src;
          for (const Bytes& input : inputs) src.push_back(input.data());
          Bytes out(expected.size());
          void* dst = out.data();
          forEachTarget([&] {
            reduceFunction(
                type, reduction)({&dst, 1, src.data(), sources, count, c.divisor, false, true});
            EXPECT_EQ(out, expected) << describe(c);
          });
        }
}

TEST(ReduceOrder, SourcesAreFoldedInTheOrderGiven) {
  const std::array<float, 3> values{1e8f, -1e8f, 1.0f};
  const auto sumOf = [&](std::array<std::size_t, 3> order) {
    std::array<const void*, 3> src;
    for (std::size_t j = 0; j < 3; ++j) src[j] = &values[order[j]];
    float result = 0;
    void* dst = &result;
    reduceFunction(DataType::f32, Reduction::sum)({&dst, 1, src.data(), 3, 1, 1, false});
    return result;
  };
  EXPECT_EQ(sumOf({0, 1, 2}), 1.0f);
  EXPECT_EQ(sumOf({0, 2, 1}), 0.0f);  // the 1 is lost in 1e8
}

TEST(ReduceTarget, IsTheOneChosen) {
  const std::string best = reduceTarget();
  EXPECT_EQ(best, hwy::TargetName(hwy::SupportedTargets() & HWY_TARGETS &
                                  -(hwy::SupportedTargets() & HWY_TARGETS)));
}

/// The yardstick itself, against values known from IEEE 754.
TEST(Reference, ConvertsHalfFloats) {
  using namespace lockstep::testing;
  EXPECT_EQ(f16ToFloat(0x3c00), 1.0f);
  EXPECT_EQ(f16ToFloat(0x7bff), 65504.0f);
  EXPECT_EQ(f16ToFloat(0x0001), 0x1p-24f);
  EXPECT_EQ(f16ToFloat(0xfc00), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(bf16ToFloat(0x3f80), 1.0f);
  EXPECT_EQ(bf16ToFloat(0x0001), 0x1p-133f);
  EXPECT_EQ(floatToF16(65519.0f), 0x7bff);
  EXPECT_EQ(floatToF16(65520.0f), 0x7c00);  // a tie, to even, which is infinity
  EXPECT_EQ(floatToF16(1 + 0x1p-11f), 0x3c00);
  EXPECT_EQ(floatToF16(1 + 0x3p-11f), 0x3c02);
  EXPECT_EQ(floatToF16(0x1p-25f), 0x0000);
  EXPECT_EQ(floatToF16(0x1.8p-24f), 0x0002);
  EXPECT_EQ(floatToBf16(1 + 0x1p-8f), 0x3f80);
  EXPECT_EQ(floatToBf16(1 + 0x3p-8f), 0x3f82);
  EXPECT_EQ(floatToBf16(std::numeric_limits<float>::max()), 0x7f80);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float h = f16ToFloat(bits), b = bf16ToFloat(bits);
    if (!std::isnan(h)) {
      ASSERT_EQ(floatToF16(h), bits);
    }
    if (!std::isnan(b)) {
      ASSERT_EQ(floatToBf16(b), bits);
    }
  }
}

/// Values from the tables of the OFP8 specification.
TEST(Reference, ConvertsQuarterFloats) {
  using namespace lockstep::testing;
  const auto e4m3 = [](double value) { return doubleToF8(DataType::f8e4m3, value); };
  const auto e5m2 = [](double value) { return doubleToF8(DataType::f8e5m2, value); };
  EXPECT_EQ(f8ToFloat(DataType::f8e4m3, 0x7e), 448.0f);
  EXPECT_EQ(f8ToFloat(DataType::f8e4m3, 0x08), 0x1p-6f);
  EXPECT_EQ(f8ToFloat(DataType::f8e4m3, 0x81), -0x1p-9f);
  EXPECT_EQ(f8ToFloat(DataType::f8e5m2, 0x7b), 57344.0f);
  EXPECT_EQ(f8ToFloat(DataType::f8e5m2, 0x04), 0x1p-14f);
  EXPECT_EQ(f8ToFloat(DataType::f8e5m2, 0x01), 0x1p-16f);
  EXPECT_EQ(f8ToFloat(DataType::f8e5m2, 0xfc), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(e4m3(1.0625), 0x38);  // a tie, to even
  EXPECT_EQ(e4m3(1.1875), 0x3a);  // a tie, to even, upwards
  EXPECT_EQ(e4m3(0x1p-10), 0x00);
  EXPECT_EQ(e4m3(464), 0x7e);
  EXPECT_EQ(e4m3(1e9), 0x7e);
  EXPECT_EQ(e5m2(-1.125), 0xbc);
  EXPECT_EQ(e5m2(1.375), 0x3e);
  EXPECT_EQ(e5m2(-HUGE_VAL), 0xfb);
  for (const DataType type : {DataType::f8e4m3, DataType::f8e5m2})
    for (unsigned bits = 0; bits < 256; ++bits) {
      const float value = f8ToFloat(type, static_cast<std::uint8_t>(bits));
      if (std::isfinite(value)) {
        ASSERT_EQ(doubleToF8(type, value), bits) << name(type);
      }
    }
}

}  // namespace
}  // namespace lockstep::host
