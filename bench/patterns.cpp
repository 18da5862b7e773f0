#include "bench/patterns.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "bench/number.hpp"

namespace lockstep::bench {
namespace {

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a * 0x9e3779b97f4a7c15u + b * 0xd1342543de82ef95u + 0x2545f4914f6cdd1du;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// A whole number in [-limit, limit].
std::int64_t within(std::uint64_t random, std::uint64_t limit) {
  return static_cast<std::int64_t>(random % (2 * limit + 1) - limit);
}

/// +-1, but 3 times that of one rank and 4 times that of another: each absent or repeated rank
/// shows.
std::int64_t smallFactor(std::uint64_t random, int worldSize, int rank, std::size_t index) {
  const auto world = static_cast<std::size_t>(worldSize);
  std::int64_t value = random & 1 ? 1 : -1;
  if (index % world == static_cast<std::size_t>(rank)) value *= 3;
  if ((index / world + index + 1) % world == static_cast<std::size_t>(rank)) value *= 4;
  return value;
}

/// Ranks in pairs above and below a common value, so that the sum is exactly P times it: a quotient
/// at the edge, that any rank's absence changes. Negative for half of the elements of signed types.
std::int64_t averaged(std::uint64_t limit, int worldSize, int rank, std::size_t index,
                      bool isSigned) {
  const std::uint64_t random = mix(0, index);
  const std::uint64_t common = 1 + (random >> 8) % limit;
  const std::uint64_t most = std::min(common - 1, limit - common);
  const std::uint64_t apart =
      most == 0 ? 0 : mix(1 + static_cast<std::uint64_t>(rank / 2), index) % (most + 1);
  const bool paired = (rank ^ 1) < worldSize;
  const std::uint64_t value = !paired ? common : rank % 2 == 0 ? common + apart : common - apart;
  return isSigned && random % 2 == 1 ? -static_cast<std::int64_t>(value)
                                     : static_cast<std::int64_t>(value);
}

/// Largest whole number up to which the type has every whole number.
std::uint64_t exactLimit(DataType type) {
  const Kind kind = kindOf(type);
  if (kind == Kind::floating) return std::uint64_t{1} << mantissaBits(type);
  return lowBits(type) >> (kind == Kind::signedInteger ? 1 : 0);
}

/// A whole number of which every partial sum of any ranks is exact. If there is not a whole one for
/// each rank, as many ranks as there are have +-1, others for the next element.
std::int64_t summand(DataType type, int worldSize, int rank, std::size_t index,
                     std::uint64_t random) {
  const std::uint64_t limit = exactLimit(type), world = static_cast<std::uint64_t>(worldSize);
  if (limit >= world) return within(random, limit / world);
  if ((static_cast<std::uint64_t>(rank) + index) % world >= limit) return 0;
  return random % 2 == 0 ? 1 : -1;
}

}  // namespace

std::uint64_t inputBits(DataType type, Reduction reduction, int worldSize, int rank,
                        std::size_t index) {
  const std::uint64_t random = mix(static_cast<std::uint64_t>(rank) + 1, index);
  const bool floating = kindOf(type) == Kind::floating;
  const bool isSigned = kindOf(type) != Kind::unsignedInteger;
  switch (reduction) {
    case Reduction::prod:
      return floating
                 ? encode(type, static_cast<double>(smallFactor(random, worldSize, rank, index)))
                 : (random | 1) & lowBits(type);
    case Reduction::sum:
    case Reduction::preMulSum:
    case Reduction::avg: {
      if (floating) {
        const auto value = static_cast<double>(summand(type, worldSize, rank, index, random));
        return encode(type, reduction == Reduction::preMulSum ? value / factorOf(rank) : value);
      }
      if (reduction != Reduction::avg) return random & lowBits(type);
      const std::uint64_t limit = exactLimit(type) / static_cast<std::uint64_t>(worldSize);
      return static_cast<std::uint64_t>(averaged(limit, worldSize, rank, index, isSigned)) &
             lowBits(type);
    }
    case Reduction::min:
    case Reduction::max:
      break;
  }
  if (!floating) return random & lowBits(type);
  return encode(type, static_cast<double>(within(random, exactLimit(type))));
}

Number addend(DataType type, Reduction reduction, int worldSize, int rank, std::size_t index) {
  const Number given = decode(type, inputBits(type, reduction, worldSize, rank, index));
  return reduction == Reduction::preMulSum ? multiply(given, factorOf(rank)) : given;
}

std::uint64_t expectedBits(DataType type, Reduction reduction, int worldSize, std::size_t index) {
  Number result = addend(type, reduction, worldSize, 0, index);
  for (int rank = 1; rank < worldSize; ++rank)
    result = combine(type, reduction, result, addend(type, reduction, worldSize, rank, index));
  return finish(type, reduction, worldSize, result);
}

template <class BitsOf>
Pattern::Pattern(DataType type, BitsOf bitsOf)
    : type_(type), period_(kPatternPeriod * sizeOf(type)) {
  static_assert(std::endian::native == std::endian::little, "bits are copied from the low end");
  const std::size_t width = sizeOf(type);
  for (std::size_t i = 0; i < kPatternPeriod; ++i) {
    const std::uint64_t bits = bitsOf(i);
    std::memcpy(period_.data() + i * width, &bits, width);
  }
}

Pattern Pattern::input(DataType type, Reduction reduction, int worldSize, int rank) {
  return {type, [=](std::size_t i) { return inputBits(type, reduction, worldSize, rank, i); }};
}

Pattern Pattern::reduced(DataType type, Reduction reduction, int worldSize) {
  return {type, [=](std::size_t i) { return expectedBits(type, reduction, worldSize, i); }};
}

namespace {

/// Calls `visit(done, at, n)` for each stretch of n elements, `done` from the first, that lies
/// whole in a period, from its element `at` on.
template <class Visit>
void eachStretch(std::size_t count, std::size_t start, Visit visit) {
  for (std::size_t done = 0, n = 0; done < count; done += n) {
    const std::size_t at = (start + done) % kPatternPeriod;
    n = std::min(count - done, kPatternPeriod - at);
    visit(done, at, n);
  }
}

}  // namespace

void Pattern::fill(void* buffer, std::size_t count, std::size_t start) const {
  const std::size_t width = sizeOf(type_);
  auto* out = static_cast<std::byte*>(buffer);
  eachStretch(count, start, [&](std::size_t done, std::size_t at, std::size_t n) {
    std::memcpy(out + done * width, period_.data() + at * width, n * width);
  });
}

CheckResult Pattern::check(const void* result, std::size_t count, std::size_t start) const {
  CheckResult found;
  const std::size_t width = sizeOf(type_);
  const auto* bytes = static_cast<const std::byte*>(result);
  eachStretch(count, start, [&](std::size_t done, std::size_t at, std::size_t n) {
    const std::byte* got = bytes + done * width;
    const std::byte* expected = period_.data() + at * width;
    if (std::memcmp(got, expected, n * width) == 0) return;
    for (std::size_t i = 0; i < n; ++i) {
      if (std::memcmp(got + i * width, expected + i * width, width) == 0) continue;
      if (found.wrong++ > 0) continue;
      WrongElement first{done + i};
      std::memcpy(&first.expected, expected + i * width, width);
      std::memcpy(&first.got, got + i * width, width);
      found.first = first;
    }
  });
  return found;
}

std::string describe(const WrongElement& element, DataType type, int rank) {
  const int digits = static_cast<int>(2 * sizeOf(type));
  return fmt::format(
      "rank {}, element {}: expected {} (0x{:0{}x}), got {} (0x{:0{}x}), differing bits 0x{:0{}x}",
      rank, element.index, formatNumber(type, element.expected), element.expected, digits,
      formatNumber(type, element.got), element.got, digits, element.expected ^ element.got, digits);
}

}  // namespace lockstep::bench
