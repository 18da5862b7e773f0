#include "cc_mode/masked/integers.hpp"

#include <limits>

#include "base/fail.hpp"
#include "base/simd_targets.hpp"
#include "cc_mode/masked/unaligned.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cc_mode/masked/integers.cpp"
#include <hwy/foreach_target.h>  // compiles the part below once per target
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lockstep::cc::HWY_NAMESPACE {

// Plain loops, of which the compiler makes vectors.

/// Modulo 2^bits, as in every other mode: the sum first, then what is left of it divided.
template <class T>
HWY_INLINE T averaged(std::uint64_t sum, int divisor) {
  return static_cast<T>(static_cast<T>(sum) / static_cast<T>(divisor));
}

/// Added to what may be negative.
template <class T>
constexpr std::uint64_t kBias =
    -static_cast<std::uint64_t>(static_cast<std::int64_t>(std::numeric_limits<T>::min()));

template <class T>
struct Narrow {
  static void toWords(const std::byte* in, std::span<std::uint64_t> words) {
    for (std::size_t i = 0; i < words.size(); ++i)
      words[i] = static_cast<std::uint64_t>(load<T>(in, i)) + kBias<T>;
  }
  static void fromWords(const ChunkFormat& format, std::span<const std::uint64_t> sums,
                        std::byte* out) {
    const std::uint64_t bias = kBias<T> * static_cast<std::uint64_t>(format.worldSize);
    if (format.divisor == 1)
      for (std::size_t i = 0; i < sums.size(); ++i) store(out, i, static_cast<T>(sums[i] - bias));
    else
      for (std::size_t i = 0; i < sums.size(); ++i)
        store(out, i, averaged<T>(sums[i] - bias, format.divisor));
  }
};

template <class T>
struct Halves {
  static void toWords(const std::byte* in, std::span<std::uint64_t> words) {
    for (std::size_t i = 0; i < words.size() / 2; ++i) {
      const auto value = load<std::uint64_t>(in, i);
      words[2 * i] = static_cast<std::uint32_t>(value);
      words[2 * i + 1] = value >> 32;
    }
  }
  static void fromWords(const ChunkFormat& format, std::span<const std::uint64_t> sums,
                        std::byte* out) {
    const auto whole = [&](std::size_t i) { return sums[2 * i] + (sums[2 * i + 1] << 32); };
    if (format.divisor == 1)
      for (std::size_t i = 0; i < sums.size() / 2; ++i) store(out, i, whole(i));
    else
      for (std::size_t i = 0; i < sums.size() / 2; ++i)
        store(out, i, averaged<T>(whole(i), format.divisor));
  }
};

/// Calls `visit` with the codec of an integer type.
template <class Visit>
void withInteger(DataType type, Visit visit) {
  switch (type) {
    case DataType::i8:
      return visit(Narrow<std::int8_t>());
    case DataType::u8:
      return visit(Narrow<std::uint8_t>());
    case DataType::i32:
      return visit(Narrow<std::int32_t>());
    case DataType::u32:
      return visit(Narrow<std::uint32_t>());
    case DataType::i64:
      return visit(Halves<std::int64_t>());
    case DataType::u64:
      return visit(Halves<std::uint64_t>());
    default:
      fail(ErrorCode::internal, "{} does not become words", name(type));
  }
}

void toWords(const ChunkFormat& format, const std::byte* in, std::span<std::uint64_t> words) {
  withInteger(format.type, [&](auto codec) { codec.toWords(in, words); });
}

void fromWords(const ChunkFormat& format, std::span<const std::uint64_t> sums, std::byte* out) {
  withInteger(format.type, [&](auto codec) { codec.fromWords(format, sums, out); });
}

}  // namespace lockstep::cc::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::cc {

HWY_EXPORT(toWords);
HWY_EXPORT(fromWords);

void integersToWords(const ChunkFormat& format, const std::byte* in,
                     std::span<std::uint64_t> words) {
  HWY_DYNAMIC_DISPATCH(toWords)(format, in, words);
}

void integersFromWords(const ChunkFormat& format, std::span<const std::uint64_t> sums,
                       std::byte* out) {
  HWY_DYNAMIC_DISPATCH(fromWords)(format, sums, out);
}

}  // namespace lockstep::cc
#endif
