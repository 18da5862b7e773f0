#include "cc_mode/masked/elements.hpp"

#include <cstring>
#include <limits>
#include <type_traits>

#include "base/fail.hpp"
#include "cc_mode/masked/fixed_point.hpp"

namespace lockstep::cc {
namespace {

template <class T>
T load(const std::byte* in, std::size_t index) {
  T value;
  std::memcpy(&value, in + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(std::byte* out, std::size_t index, T value) {
  std::memcpy(out + index * sizeof(T), &value, sizeof(T));
}

/// Modulo 2^bits, as in every other mode: the sum first, then what is left of it divided.
template <class T>
T averaged(std::uint64_t sum, int divisor) {
  return static_cast<T>(static_cast<T>(sum) / static_cast<T>(divisor));
}

/// Added to what may be negative.
template <class T>
constexpr std::uint64_t kBias =
    -static_cast<std::uint64_t>(static_cast<std::int64_t>(std::numeric_limits<T>::min()));

template <class T>
struct Narrow {
  static constexpr std::size_t kWords = 1;
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
struct Wide {
  static constexpr std::size_t kWords = 2;
  static void toWords(const std::byte* in, std::span<std::uint64_t> words) {
    for (std::size_t i = 0; i < words.size() / 2; ++i) {
      const auto value = load<std::uint64_t>(in, i);
      words[2 * i] = static_cast<std::uint32_t>(value);
      words[2 * i + 1] = value >> 32;
    }
  }
  static void fromWords(const ChunkFormat& format, std::span<const std::uint64_t> sums,
                        std::byte* out) {
    for (std::size_t i = 0; i < sums.size() / 2; ++i)
      store(out, i, averaged<T>(sums[2 * i] + (sums[2 * i + 1] << 32), format.divisor));
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
      return visit(Wide<std::int64_t>());
    case DataType::u64:
      return visit(Wide<std::uint64_t>());
    default:
      fail(ErrorCode::internal, "{} does not become words", name(type));
  }
}

bool isInteger(DataType type) {
  return type >= DataType::i8 && type <= DataType::u64;
}

}  // namespace

bool isFixedPoint(DataType type) {
  return type <= DataType::f64;
}

bool isMaskable(DataType type, Reduction reduction) {
  return (isInteger(type) || isFixedPoint(type)) &&
         (reduction == Reduction::sum || reduction == Reduction::avg);
}

std::size_t wordsPerElement(DataType type) {
  return isInteger(type) && sizeOf(type) == 8 ? 2 : 1;
}

void toWords(const ChunkFormat& format, const std::byte* in, std::span<std::uint64_t> words) {
  if (isFixedPoint(format.type)) return toFixedPoint(format, in, words);
  withInteger(format.type, [&](auto codec) { codec.toWords(in, words); });
}

void fromWords(const ChunkFormat& format, std::span<const std::uint64_t> sums, std::byte* out) {
  if (isFixedPoint(format.type)) return fromFixedPoint(format, sums, out);
  withInteger(format.type, [&](auto codec) { codec.fromWords(format, sums, out); });
}

}  // namespace lockstep::cc
