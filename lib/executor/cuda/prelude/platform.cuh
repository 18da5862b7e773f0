// What a kernel asks of the machine beneath it: the one place of the prelude that knows whether it
// runs on a GPU (compiled by NVRTC) or on the host, where a thread plays a block, so that the tests
// run the very text that a GPU would get.
#pragma once

namespace lockstep::device {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i8 = signed char;
using i32 = int;
using i64 = long long;
static_assert(sizeof(u16) == 2 && sizeof(u32) == 4 && sizeof(u64) == 8);

/// What a thread loads and stores at once.
struct alignas(16) Bits128 {
  u32 word[4];
};

/// A flag beside its data, loaded and stored as one (protocol "ll").
struct alignas(16) Line {
  u64 data;
  u64 flag;
};

}  // namespace lockstep::device

#if defined(LOCKSTEP_PLATFORM)
#include LOCKSTEP_PLATFORM  // a test's
#elif defined(__CUDACC__)
#include "executor/cuda/prelude/platform_gpu.cuh"
#else
#include "executor/cuda/prelude/platform_host.cuh"
#endif
