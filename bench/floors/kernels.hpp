// The inner loops of the floors, on vectors as wide as the machine they are compiled for (the
// target is built with -march=native). Deliberately not Lockstep's kernels: a yardstick must not
// share the faults of what it measures.
#pragma once

#include <cstddef>
#include <cstring>

#include <immintrin.h>

namespace lockstep::floors {

#if defined(__AVX512F__)
using Vector = __m512;
inline Vector load(const float* p) {
  return _mm512_loadu_ps(p);
}
inline void store(float* p, Vector v) {
  _mm512_storeu_ps(p, v);
}
inline void stream(float* p, Vector v) {
  _mm512_stream_ps(p, v);
}
inline Vector add(Vector a, Vector b) {
  return _mm512_add_ps(a, b);
}
#elif defined(__AVX2__)
using Vector = __m256;
inline Vector load(const float* p) {
  return _mm256_loadu_ps(p);
}
inline void store(float* p, Vector v) {
  _mm256_storeu_ps(p, v);
}
inline void stream(float* p, Vector v) {
  _mm256_stream_ps(p, v);
}
inline Vector add(Vector a, Vector b) {
  return _mm256_add_ps(a, b);
}
#else
using Vector = __m128;
inline Vector load(const float* p) {
  return _mm_loadu_ps(p);
}
inline void store(float* p, Vector v) {
  _mm_storeu_ps(p, v);
}
inline void stream(float* p, Vector v) {
  _mm_stream_ps(p, v);
}
inline Vector add(Vector a, Vector b) {
  return _mm_add_ps(a, b);
}
#endif
inline constexpr std::size_t kLanes = sizeof(Vector) / sizeof(float);

/// Whether a loop writes past the caches. Streaming asks for destinations on a cache line.
enum class Write { normal, streaming };

template <Write W>
inline void put(float* p, Vector v) {
  if constexpr (W == Write::streaming)
    stream(p, v);
  else
    store(p, v);
}

/// dst = a + b.
template <Write W = Write::normal>
inline void sum(float* dst, const float* a, const float* b, std::size_t count) {
  std::size_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (std::size_t j = i; j < i + 4 * kLanes; j += kLanes)
      put<W>(dst + j, add(load(a + j), load(b + j)));
  }
  for (; i + kLanes <= count; i += kLanes) put<W>(dst + i, add(load(a + i), load(b + i)));
  for (; i < count; ++i) dst[i] = a[i] + b[i];
  if constexpr (W == Write::streaming) _mm_sfence();
}

/// dst0 = dst1 = a + b.
template <Write W0 = Write::normal, Write W1 = Write::normal>
inline void sumTwice(float* dst0, float* dst1, const float* a, const float* b, std::size_t count) {
  std::size_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (std::size_t j = i; j < i + 4 * kLanes; j += kLanes) {
      const Vector v = add(load(a + j), load(b + j));
      put<W0>(dst0 + j, v);
      put<W1>(dst1 + j, v);
    }
  }
  for (; i + kLanes <= count; i += kLanes) {
    const Vector v = add(load(a + i), load(b + i));
    put<W0>(dst0 + i, v);
    put<W1>(dst1 + i, v);
  }
  for (; i < count; ++i) dst0[i] = dst1[i] = a[i] + b[i];
  if constexpr (W0 == Write::streaming || W1 == Write::streaming) _mm_sfence();
}

/// dst = src.
template <Write W = Write::normal>
inline void copy(float* dst, const float* src, std::size_t count) {
  std::size_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (std::size_t j = i; j < i + 4 * kLanes; j += kLanes) put<W>(dst + j, load(src + j));
  }
  std::memcpy(dst + i, src + i, (count - i) * sizeof(float));
  if constexpr (W == Write::streaming) _mm_sfence();
}

}  // namespace lockstep::floors
