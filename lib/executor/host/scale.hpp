// Elements times a factor, by SIMD chosen at run time (Highway).
#pragma once

#include <cstddef>

#include <lockstep/types.hpp>

namespace lockstep::host {

/// Whether elements of `type` can be multiplied by `factor`: floats by any, NaN and infinities
/// included; integers by whole numbers that the type holds.
bool canScale(DataType type, double factor);

/// dst[i] = src[i] * factor, i < count, for a factor that canScale allows. Floats of at most 32
/// bits are multiplied in f32, to which the factor is rounded, and their products rounded as those
/// of reduceFunction; integers wrap. The same, bit for bit but for a NaN's payload, on every CPU.
/// `dst` may be `src`; other overlap is undefined. No alignment is asked for.
void scale(DataType type, const void* src, void* dst, std::size_t count, double factor);

}  // namespace lockstep::host
