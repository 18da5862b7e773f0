// Which instruction sets SIMD sources are compiled for. Include it before anything of Highway's.
#pragma once

// x86-64: SSE4, AVX2 and AVX-512. SSE4.2 (2008, "x86-64-v2") is the least we compile for, because
// Highway 1.0.3 has no portable fallback that g++ 12 compiles rightly (HWY_BROKEN_EMU128), and its
// one-lane one cannot reinterpret bytes. reduceFunction refuses an older CPU.
#if defined(__x86_64__)
#define HWY_BASELINE_TARGETS HWY_SSE4
#endif

// AArch64: NEON. SVE has vectors without a size, which the code here does not cater for.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
