// The one kernel of the host executor: k sources reduced in one pass into m destinations, by SIMD
// chosen at run time (Highway).
#pragma once

#include <cstddef>

#include <lockstep/types.hpp>

namespace lockstep::host {

struct ReduceArguments {
  void* const* dst = nullptr;        ///< m pointers
  int dsts = 0;                      ///< m >= 1
  const void* const* src = nullptr;  ///< k pointers, folded in this order: ((s0 . s1) . s2) ...
  int srcs = 0;                      ///< k >= 1; 1 is a copy
  std::size_t count = 0;             ///< elements
  int divisor = 1;         ///< avg: the world size where the reduction completes; else 1. >= 1
  bool streaming = false;  ///< write past the cache (non-temporal), for messages larger than it
  bool oneNan = false;     ///< every NaN that comes out of a fold is the quiet one without payload
};

/// Reduces. Floats of 16 and 8 bits are accumulated in f32 and rounded once, to nearest even; avg
/// divides (not multiplies by 1/P) before that. What is too large becomes infinity, of 8 bits the
/// largest finite value. Min and max of floats take -0 for less than +0, so that they do not depend
/// on the order. The result is the same, bit for bit, on every CPU and however a buffer is cut into
/// calls (in the default rounding, and where subnormals are not flushed); a NaN's payload and sign
/// only with `oneNan`. A destination may be the same memory as a source; other overlap is
/// undefined. No alignment is asked for. Streaming stores are fenced before it returns.
using ReduceFunction = void (*)(const ReduceArguments&);

/// The function for a type and reduction, for this CPU. avg and preMulSum fold as sum; only these
/// three heed the divisor. Throws `unsupported` on an x86 CPU older than SSE4.2.
ReduceFunction reduceFunction(DataType type, Reduction reduction);

/// Name of the instruction set in use ("AVX3", which is AVX-512).
const char* reduceTarget();

}  // namespace lockstep::host
