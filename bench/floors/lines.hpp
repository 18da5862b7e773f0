// LL lines: 56 bytes of data and the number of the call in one cache line, so that data and
// notification cross between the cores in one transfer.
#pragma once

#include <cstdint>
#include <cstring>

#include <immintrin.h>

#include "bench/floors/pair.hpp"

namespace lockstep::floors {

struct alignas(kCacheLine) Line {
  static constexpr std::size_t kData = 56;
  std::byte data[kData];
  std::uint64_t call;
};
static_assert(sizeof(Line) == kCacheLine);

constexpr std::size_t linesFor(std::size_t bytes) {
  return (bytes + Line::kData - 1) / Line::kData;
}

/// Writes a full line. x86 keeps stores in order, and the last one, 16 aligned bytes, is atomic
/// (AMD APM vol. 2, 7.3.2; Intel SDM vol. 3, 9.1.1), so whoever sees the call number sees the data.
inline void writeLine(Line& line, const void* data, std::uint64_t call) {
  auto* to = reinterpret_cast<__m128i*>(&line);
  const auto* from = static_cast<const std::byte*>(data);
  const auto piece = [&](int i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16 * i));
  };
  std::int64_t last;
  std::memcpy(&last, from + 48, sizeof last);
  const __m128i tail = _mm_set_epi64x(static_cast<std::int64_t>(call), last);
  _mm_store_si128(to + 0, piece(0));
  _mm_store_si128(to + 1, piece(1));
  _mm_store_si128(to + 2, piece(2));
  asm volatile("" ::: "memory");
  _mm_store_si128(to + 3, tail);
}

/// Writes the last, partial line: at most 56 bytes. Eight bytes or fewer travel in the one store
/// that has the call number.
inline void writeLine(Line& line, const void* data, std::size_t bytes, std::uint64_t call) {
  if (bytes <= 8) {
    std::int64_t last = 0;
    std::memcpy(&last, data, bytes);
    _mm_store_si128(reinterpret_cast<__m128i*>(&line) + 3,
                    _mm_set_epi64x(static_cast<std::int64_t>(call), last));
    return;
  }
  std::byte full[Line::kData];
  std::memcpy(full, data, bytes);
  writeLine(line, full, call);
}

/// Spins until the line belongs to `call`.
inline void awaitLine(const Line& line, std::uint64_t call) {
  waitUntil([&] {
    return std::atomic_ref(const_cast<Line&>(line).call).load(std::memory_order_acquire) == call;
  });
}

/// Where the data of a partial line begins.
inline const std::byte* partialData(const Line& line, std::size_t bytes) {
  return bytes <= 8 ? line.data + 48 : line.data;
}

/// out = a + b, a full line: four vectors of four elements, the last overlapping the one before it
/// by two.
inline void addLine(float* out, const float* a, const float* b) {
  const auto piece = [&](int at) { return _mm_add_ps(_mm_loadu_ps(a + at), _mm_loadu_ps(b + at)); };
  const __m128 s0 = piece(0), s1 = piece(4), s2 = piece(8), s3 = piece(10);
  _mm_storeu_ps(out, s0);
  _mm_storeu_ps(out + 4, s1);
  _mm_storeu_ps(out + 8, s2);
  _mm_storeu_ps(out + 10, s3);
}

/// Two sets of lines, used by turns: a rank is in call n + 1 only after the peer has sent call n,
/// hence after the peer has read all of call n - 1, so two need no acknowledgement.
class LineSets {
 public:
  LineSets(Pair& pair, std::size_t maxBytes)
      : lines_(linesFor(maxBytes)),
        mine_(pair.takeShared<Line>(2 * lines_)),
        theirs_(pair.theirs(mine_)) {}

  void nextCall() { ++call_; }
  std::uint64_t call() const { return call_; }
  Line* mine() const { return mine_ + (call_ & 1) * lines_; }
  const Line* theirs() const { return theirs_ + (call_ & 1) * lines_; }

  /// Takes ownership of the first lines of the next call ahead of time: the peer has read them, and
  /// sending then needs no round trip to invalidate its copies.
  void prefetchNext(std::size_t lines) const {
    Line* next = mine_ + ((call_ + 1) & 1) * lines_;
    for (std::size_t i = 0; i < lines; ++i) __builtin_prefetch(next + i, 1, 3);
  }

 private:
  std::size_t lines_;
  Line* mine_;
  Line* theirs_;
  std::uint64_t call_ = 0;
};

}  // namespace lockstep::floors
