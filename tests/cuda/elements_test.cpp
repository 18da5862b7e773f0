// The reductions of the CUDA prelude, compiled for the host, against the host executor's: bit for
// bit, for every type, reduction, number of sources, divisor and width.
#include "executor/cuda/prelude/elements.cuh"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "executor/host/reduce.hpp"
#include "support/reference.hpp"

namespace lockstep::device {
namespace {

using lockstep::testing::firstDifference;
using lockstep::testing::isFloat;
using lockstep::testing::randomElements;

using Bytes = std::vector<std::byte>;

constexpr std::array kReductionsTested{Reduction::sum, Reduction::prod, Reduction::min,
                                       Reduction::max, Reduction::avg};

// ---- The prelude, called as a kernel would.

/// What a call of either executor is told.
struct Fold {
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  u32 divisor = 1;
  bool oneNan = false;
};

using FoldFunction = void (*)(std::span<const std::byte* const> sources, std::size_t count,
                              u32 divisor, bool oneNan, std::byte* dst);

/// Whole packs, and what is left by loadPartial and storePartial.
template <class Type, class Op, u32 kBytes>
void fold(std::span<const std::byte* const> sources, std::size_t count, u32 divisor, bool oneNan,
          std::byte* dst) {
  constexpr std::size_t step = kBytes / Type::kBytes;
  for (std::size_t i = 0; i < count; i += step) {
    const auto left = static_cast<u32>(count - i);
    const auto load = [&](std::size_t j) {
      return loadPartial<Type, kBytes>(sources[j] + i * Type::kBytes, left);
    };
    Packed<kBytes> result;
    if (sources.size() == 1) {
      const Packed<kBytes> one[1] = {load(0)};
      result = reduce<Type, Op>(one, divisor, oneNan);
    } else if (sources.size() == 3) {
      const Packed<kBytes> three[3] = {load(0), load(1), load(2)};
      result = reduce<Type, Op>(three, divisor, oneNan);
    } else {
      Accumulator<Type, kBytes> folded;
      folded.set(load(0));
      for (std::size_t j = 1; j < sources.size(); ++j) folded.template add<Op>(load(j));
      result = folded.get(divisor, oneNan);
    }
    storePartial<Type, kBytes>(dst + i * Type::kBytes, result, left);
  }
}

template <class Type, u32 kBytes>
FoldFunction foldOf(Reduction reduction) {
  switch (reduction) {
    case Reduction::prod:
      return fold<Type, Prod, kBytes>;
    case Reduction::min:
      return fold<Type, Min, kBytes>;
    case Reduction::max:
      return fold<Type, Max, kBytes>;
    default:
      return fold<Type, Sum, kBytes>;
  }
}

/// In the order of DataType.
template <u32 kBytes>
constexpr std::array<FoldFunction (*)(Reduction), kDataTypes> kFolds{
    foldOf<F16, kBytes>, foldOf<BF16, kBytes>, foldOf<F32, kBytes>,    foldOf<F64, kBytes>,
    foldOf<I8, kBytes>,  foldOf<U8, kBytes>,   foldOf<I32, kBytes>,    foldOf<U32, kBytes>,
    foldOf<I64, kBytes>, foldOf<U64, kBytes>,  foldOf<F8E4M3, kBytes>, foldOf<F8E5M2, kBytes>};

// ---- The comparison.

::testing::Message describe(const Fold& f, std::size_t sources) {
  return ::testing::Message() << name(f.type) << ' ' << name(f.reduction) << " k " << sources
                              << " divisor " << f.divisor << " oneNan " << f.oneNan;
}

Bytes foldOnHost(const Fold& f, const std::vector<Bytes>& inputs, std::size_t count) {
  std::vector<const void*> src;
  for (const Bytes& input : inputs) src.push_back(input.data());
  Bytes out(count * sizeOf(f.type));
  void* dst = out.data();
  host::reduceFunction(f.type, f.reduction)({.dst = &dst,
                                             .dsts = 1,
                                             .src = src.data(),
                                             .srcs = static_cast<int>(src.size()),
                                             .count = count,
                                             .divisor = static_cast<int>(f.divisor),
                                             .oneNan = f.oneNan});
  return out;
}

Bytes foldByPrelude(const Fold& f, const std::vector<Bytes>& inputs, std::size_t count,
                    u32 packBytes) {
  std::vector<const std::byte*> src;
  for (const Bytes& input : inputs) src.push_back(input.data());
  Bytes out(count * sizeOf(f.type));
  const auto type = static_cast<std::size_t>(f.type);
  const auto function = (packBytes == 16 ? kFolds<16> : kFolds<8>)[type](f.reduction);
  function(src, count, f.divisor, f.oneNan, out.data());
  return out;
}

/// A NaN's payload and sign too, with oneNan, after a division, and of what is only moved.
void expectEqual(const Fold& f, const std::vector<Bytes>& inputs) {
  const std::size_t count = inputs[0].size() / sizeOf(f.type);
  const Bytes expected = foldOnHost(f, inputs, count);
  for (const u32 packBytes : {16u, 8u}) {
    const Bytes out = foldByPrelude(f, inputs, count, packBytes);
    if (f.oneNan || f.divisor != 1 || inputs.size() == 1) {
      ASSERT_EQ(out, expected) << describe(f, inputs.size());
    } else {
      ASSERT_EQ(firstDifference(f.type, out.data(), expected.data(), count), std::nullopt)
          << describe(f, inputs.size());
    }
  }
}

/// All reductions, with these divisors for avg.
void expectEqualReductions(DataType type, const std::vector<Bytes>& inputs,
                           std::span<const u32> divisors) {
  for (const Reduction reduction : kReductionsTested)
    for (const u32 divisor : divisors)
      for (const bool oneNan : {false, true}) {
        if (reduction != Reduction::avg && divisor != divisors[0]) continue;
        if (!isFloat(type) && oneNan) continue;
        const u32 given = reduction == Reduction::avg ? divisor : 1;
        expectEqual({type, reduction, given, oneNan}, inputs);
        if (::testing::Test::HasFatalFailure()) return;
      }
}

std::vector<u32> allDivisors() {
  std::vector<u32> divisors;
  for (u32 d = 1; d <= 64; ++d) divisors.push_back(d);
  return divisors;
}

// ---- Values.

constexpr int fractionBits(DataType type) {
  switch (type) {
    case DataType::f16:
      return 10;
    case DataType::bf16:
      return 7;
    case DataType::f32:
      return 23;
    case DataType::f64:
      return 52;
    case DataType::f8e4m3:
      return 3;
    case DataType::f8e5m2:
      return 2;
    default:
      return 0;
  }
}

using Draw = std::function<std::uint64_t()>;

Bytes filled(DataType type, std::size_t count, const Draw& draw) {
  Bytes bytes(count * sizeOf(type));
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t bits = draw();
    std::memcpy(bytes.data() + i * sizeOf(type), &bits, sizeOf(type));  // the low ones
  }
  return bytes;
}

/// Any bits: NaNs, infinities, every exponent.
Bytes anyBits(DataType type, std::size_t count, std::mt19937_64& random) {
  return filled(type, count, [&] { return random(); });
}

/// Floats whose exponent fields are among four from `least` on (modulo what there is), so that sums
/// round, cancel, and cross into the subnormal, normal and infinite.
Bytes nearExponent(DataType type, std::size_t count, std::uint64_t least, std::mt19937_64& random) {
  const int fraction = fractionBits(type);
  const int width = static_cast<int>(8 * sizeOf(type)) - 1 - fraction;
  const std::uint64_t mask = (std::uint64_t{1} << width) - 1;
  return filled(type, count, [&] {
    const std::uint64_t bits = random();
    const std::uint64_t field = (least + (bits >> 62)) & mask;
    return (bits & ~(mask << fraction)) | field << fraction;
  });
}

class ElementsOf : public ::testing::TestWithParam<DataType> {};
class FloatElementsOf : public ElementsOf {};
class HalfElementsOf : public ElementsOf {};
class ByteElementsOf : public ElementsOf {};

std::string nameOf(const ::testing::TestParamInfo<DataType>& each) {
  return std::string(name(each.param));
}

INSTANTIATE_TEST_SUITE_P(Types, ElementsOf,
                         ::testing::Values(DataType::f16, DataType::bf16, DataType::f32,
                                           DataType::f64, DataType::i8, DataType::u8, DataType::i32,
                                           DataType::u32, DataType::i64, DataType::u64,
                                           DataType::f8e4m3, DataType::f8e5m2),
                         nameOf);
INSTANTIATE_TEST_SUITE_P(Types, FloatElementsOf,
                         ::testing::Values(DataType::f16, DataType::bf16, DataType::f32,
                                           DataType::f64, DataType::f8e4m3, DataType::f8e5m2),
                         nameOf);
INSTANTIATE_TEST_SUITE_P(Types, HalfElementsOf, ::testing::Values(DataType::f16, DataType::bf16),
                         nameOf);
INSTANTIATE_TEST_SUITE_P(Types, ByteElementsOf,
                         ::testing::Values(DataType::i8, DataType::u8, DataType::f8e4m3,
                                           DataType::f8e5m2),
                         nameOf);

// ---- The cases.

TEST_P(ElementsOf, AnyNumberOfSourcesIsWhatTheHostMakesOfThem) {
  const auto divisors = allDivisors();
  std::mt19937_64 random(1);
  for (const std::size_t count : {1, 7, 333}) {
    std::vector<Bytes> ordinary, any;
    for (std::uint64_t k = 1; k <= 8; ++k) {
      ordinary.push_back(randomElements(GetParam(), count, k));
      any.push_back(anyBits(GetParam(), count, random));
      expectEqualReductions(GetParam(), ordinary, divisors);
      expectEqualReductions(GetParam(), any, divisors);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(FloatElementsOf, EveryExponentRoundsAsOnTheHost) {
  constexpr std::array<u32, 4> divisors{1, 3, 8, 61};
  std::mt19937_64 random(2);
  const int width = static_cast<int>(8 * sizeOf(GetParam())) - 1 - fractionBits(GetParam());
  for (std::uint64_t least = 0; least < std::uint64_t{1} << width; ++least) {
    std::vector<Bytes> inputs;
    for (int k = 0; k < 3; ++k) inputs.push_back(nearExponent(GetParam(), 101, least, random));
    expectEqualReductions(GetParam(), inputs, divisors);
    if (HasFatalFailure()) return;
  }
}

/// Zeros, ends of the range, infinities, and NaNs, quiet and signalling: each with each, and with a
/// third.
TEST_P(FloatElementsOf, SpecialValuesAreWhatTheHostMakesOfThem) {
  const DataType type = GetParam();
  const std::uint64_t sign = std::uint64_t{1} << (8 * sizeOf(type) - 1);
  const std::uint64_t least = std::uint64_t{1} << fractionBits(type);
  const std::uint64_t infinity = sign - least;
  std::vector<std::uint64_t> values;
  for (const std::uint64_t magnitude :
       {std::uint64_t{0}, std::uint64_t{1}, least - 1, least, least + 1, infinity / 2,
        infinity / 2 + 1, infinity - 1, infinity, infinity + 1, infinity | least / 2, sign - 1})
    for (const std::uint64_t s : {std::uint64_t{0}, sign}) values.push_back(magnitude | s);
  const std::size_t n = values.size();
  const auto each = [&](const std::function<std::size_t(std::size_t)>& which) {
    std::size_t i = 0;
    return filled(type, n * n * n, [&] { return values[which(i++) % n]; });
  };
  std::vector<Bytes> inputs{each([&](std::size_t i) { return i; }),
                            each([&](std::size_t i) { return i / n; })};
  expectEqualReductions(type, inputs, std::array<u32, 2>{1, 3});
  inputs.push_back(each([&](std::size_t i) { return i / n / n; }));
  if (!HasFatalFailure()) expectEqualReductions(type, inputs, std::array<u32, 2>{1, 3});
}

TEST_P(HalfElementsOf, EveryValueWithManyOthersIsWhatTheHostMakesOfThem) {
  std::uint64_t i = 0;
  const Bytes all = filled(GetParam(), 65536, [&] { return i++; });
  for (std::uint64_t j = 0; j < 257; ++j) {
    i = 0;
    const Bytes others = filled(GetParam(), 65536, [&] { return i++ * 40503 + j * 255; });
    for (const Reduction reduction : kReductionsTested) {
      const u32 divisor = reduction == Reduction::avg ? 2 + static_cast<u32>(j) % 63 : 1;
      expectEqual({GetParam(), reduction, divisor, j % 2 == 0}, {all, others});
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(ByteElementsOf, EveryPairIsWhatTheHostMakesOfIt) {
  std::uint64_t i = 0, j = 0;
  const Bytes left = filled(GetParam(), 65536, [&] { return i++; });
  const Bytes right = filled(GetParam(), 65536, [&] { return j++ >> 8; });
  expectEqualReductions(GetParam(), {left, right}, allDivisors());
}

/// A single source is not a number to be rounded but bits.
TEST_P(ElementsOf, WhatIsOnlyMovedKeepsItsBits) {
  std::uint64_t i = 0;
  const std::uint64_t stride = (~std::uint64_t{0} >> (64 - 8 * sizeOf(GetParam()))) / 65535;
  const Bytes all = filled(GetParam(), 65536, [&] { return i++ * stride; });
  for (const Reduction reduction : kReductionsTested)
    for (const u32 packBytes : {16u, 8u})
      EXPECT_EQ(foldByPrelude({GetParam(), reduction, 1, true}, {all}, 65536, packBytes), all);
}

TEST(Elements, PartialAccessTouchesNoOtherElement) {
  const auto check = [](auto type, auto pack) {
    using Type = decltype(type);
    using Bits = typename Type::Bits;
    constexpr u32 kBytes = sizeof(pack);
    constexpr u32 fits = kBytes / Type::kBytes;
    for (u32 n = 0; n <= fits; ++n) {
      const std::vector<Bits> memory(n, static_cast<Bits>(0xa5a5a5a5a5a5a5a5));  // asan guards it
      const auto packed = loadPartial<Type, kBytes>(memory.data(), n);
      for (u32 i = 0; i < fits; ++i)
        EXPECT_EQ(elementAt<Bits>(packed, i), i < n ? memory[i] : Bits{0});
      std::vector<Bits> out(fits, Bits{1}), expected(fits, Bits{1});
      std::copy(memory.begin(), memory.end(), expected.begin());
      storePartial<Type, kBytes>(out.data(), packed, n);
      EXPECT_EQ(out, expected);
    }
    const std::vector<Bits> more(fits, Bits{7});
    const auto whole = loadPartial<Type, kBytes>(more.data(), ~0u);
    EXPECT_EQ(elementAt<Bits>(whole, fits - 1), Bits{7});
  };
  const auto checkBoth = [&](auto type) {
    check(type, Bits128{});
    check(type, u64{});
  };
  checkBoth(U8());
  checkBoth(F16());
  checkBoth(F32());
  checkBoth(F64());
}

// ---- The conversions, for what no sum of widened elements makes.

/// Any f32, and those about the ties of the type.
TEST(Elements, AnyFloatIsRoundedAsTheReferenceDoes) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2'000'000; ++i) {
    u32 bits = static_cast<u32>(random());
    if (i % 2 == 0) bits = (bits & 0x807fffff) | (96 + bits % 64) << 23;  // about 1
    if (i % 4 < 2) bits &= ~u32{0} << random() % 24;                      // ties
    const float value = floatOf(bits);
    if (std::isnan(value)) continue;
    ASSERT_EQ(floatToHalf(value), testing::floatToF16(value)) << std::hexfloat << value;
    ASSERT_EQ(floatToBrain(value), testing::floatToBf16(value)) << std::hexfloat << value;
    ASSERT_EQ(floatToQuarter<E4M3>(value), testing::doubleToF8(DataType::f8e4m3, value)) << value;
    ASSERT_EQ(floatToQuarter<E5M2>(value), testing::doubleToF8(DataType::f8e5m2, value)) << value;
  }
}

/// GPUs make the first NaN of these, x86 the second; the others have little payload.
TEST(Elements, EveryNanStaysOne) {
  for (const u32 bits : {0x7fffffffu, 0xffc00000u, 0xffffffffu, 0x7f800001u, 0xff800001u}) {
    EXPECT_GT(floatToHalf(floatOf(bits)) & 0x7fff, 0x7c00);
    EXPECT_GT(floatToBrain(floatOf(bits)) & 0x7fff, 0x7f80);
    EXPECT_EQ(floatToQuarter<E4M3>(floatOf(bits)) & 0x7f, 0x7f);
    EXPECT_GT(floatToQuarter<E5M2>(floatOf(bits)) & 0x7f, 0x7c);
  }
}

}  // namespace
}  // namespace lockstep::device
