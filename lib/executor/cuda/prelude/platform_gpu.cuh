// The machine is a GPU. NVRTC compiles this with --device-as-default-execution-space, so functions
// are device functions. Memory orderings are PTX's (PTX ISA, "Memory Consistency Model"); scope is
// always the system, since peers are other devices.
#pragma once

/// How many blocks of LOCKSTEP_THREADS a multiprocessor must have registers for. (Left to itself
/// ptxas spills to make room for more.)
#ifndef LOCKSTEP_BLOCKS_TOGETHER
#define LOCKSTEP_BLOCKS_TOGETHER 1
#endif
#define LOCKSTEP_BOUNDS __launch_bounds__(LOCKSTEP_THREADS, LOCKSTEP_BLOCKS_TOGETHER)

/// The kernel's head: `LOCKSTEP_KERNEL(name) { .. }`, with `launch` in scope.
#define LOCKSTEP_KERNEL(name) LOCKSTEP_KERNEL_OF(name, lockstep::device::Launch)
/// One that is told something else: a `Parameter`.
#define LOCKSTEP_KERNEL_OF(name, Parameter) \
  extern "C" __global__ void LOCKSTEP_BOUNDS name(const __grid_constant__ Parameter launch)
#define LOCKSTEP_INLINE __forceinline__
/// Before a loop over registers: an array that is indexed by a variable would lie in memory.
#define LOCKSTEP_UNROLL _Pragma("unroll")
#define LOCKSTEP_NO_UNROLL _Pragma("unroll 1")
#define LOCKSTEP_NOINLINE __noinline__

namespace lockstep::device {

/// Copies of a table in shared memory, one per bank, so that no look-up waits for another.
inline constexpr u32 kBanks = 32;

/// Known when compiled: strides become constants within addresses, divisions become shifts.
LOCKSTEP_INLINE constexpr u32 threads() {
  return LOCKSTEP_THREADS;
}
LOCKSTEP_INLINE u32 thread() {
  return threadIdx.x;
}
/// Which block of its rank this is, of how many; and which of the launch's ranks it plays.
LOCKSTEP_INLINE u32 blockOfRank() {
  return blockIdx.x;
}
LOCKSTEP_INLINE u32 blocksPerRank() {
  return gridDim.x;
}
LOCKSTEP_INLINE u32 rankOfLaunch() {
  return blockIdx.y;
}
LOCKSTEP_INLINE void syncThreads() {
  __syncthreads();
}
/// The block's shared memory: LOCKSTEP_SHARED_BYTES, aligned to 128 bytes. Static, so that whoever
/// launches need not know how much a kernel takes.
LOCKSTEP_INLINE u8* sharedMemory() {
  __shared__ __align__(128) u8 memory[LOCKSTEP_SHARED_BYTES];
  return memory;
}

LOCKSTEP_INLINE Bits128 load(const void* at) {
  const uint4 v = *static_cast<const uint4*>(at);
  return {{v.x, v.y, v.z, v.w}};
}
/// Of memory that others write at any time: read exactly once, never again behind one's back.
LOCKSTEP_INLINE Bits128 loadOnce(const void* at) {
  Bits128 v;
  asm volatile("ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
               : "l"(at)
               : "memory");
  return v;
}
/// To memory that others write at any time: stored exactly once, never kept there for later use.
LOCKSTEP_INLINE void storeOnce(void* at, const Bits128& v) {
  asm volatile("st.relaxed.sys.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(at), "r"(v.word[0]),
               "r"(v.word[1]), "r"(v.word[2]), "r"(v.word[3])
               : "memory");
}
LOCKSTEP_INLINE void store(void* at, const Bits128& v) {
  *static_cast<uint4*>(at) = make_uint4(v.word[0], v.word[1], v.word[2], v.word[3]);
}

/// A word of the block's shared memory that others change at any time.
LOCKSTEP_INLINE u32 loadShared(const u32* at) {
  return *static_cast<const volatile u32*>(at);
}
LOCKSTEP_INLINE void storeShared(u32* at, u32 value) {
  *static_cast<volatile u32*>(at) = value;
}

/// One element, aligned to its size.
template <class Bits>
LOCKSTEP_INLINE Bits loadElement(const void* at) {
  return *static_cast<const Bits*>(at);
}
template <class Bits>
LOCKSTEP_INLINE void storeElement(void* at, Bits bits) {
  *static_cast<Bits*>(at) = bits;
}

/// f16 and f32: subnormals are numbers, rounding is to nearest even, too large becomes infinity. A
/// NaN stays one; its payload is the machine's choice.
LOCKSTEP_INLINE float halfToFloat(u16 half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
  return value;
}
LOCKSTEP_INLINE u16 floatToHalf(float value) {
  u16 half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
  return half;
}

/// What is written before by a thread that this one has met in syncThreads() is visible to whoever
/// acquires the value (release is cumulative over the barrier).
LOCKSTEP_INLINE void storeRelease(u64* at, u64 value) {
  asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(at), "l"(value) : "memory");
}
/// The same for this device's own kernels, which need not wait for what peers have been sent.
LOCKSTEP_INLINE void storeReleaseOnDevice(u64* at, u64 value) {
  asm volatile("st.release.gpu.global.u64 [%0], %1;" ::"l"(at), "l"(value) : "memory");
}
LOCKSTEP_INLINE u64 loadAcquire(const u64* at) {
  u64 value;
  asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(value) : "l"(at) : "memory");
  return value;
}
LOCKSTEP_INLINE void storeRelaxed(u64* at, u64 value) {
  asm volatile("st.relaxed.sys.global.u64 [%0], %1;" ::"l"(at), "l"(value) : "memory");
}
LOCKSTEP_INLINE u64 loadRelaxed(const u64* at) {
  u64 value;
  asm volatile("ld.relaxed.sys.global.u64 %0, [%1];" : "=l"(value) : "l"(at) : "memory");
  return value;
}

/// Data and flag as one 128-bit access, which PTX makes single-copy atomic (sm_70, PTX ISA 8.3); no
/// other order is needed, since the data is in the very access that the flag is in.
LOCKSTEP_INLINE void storeLine(void* at, u64 data, u64 flag) {
  asm volatile(
      "{ .reg .b128 line; mov.b128 line, {%1, %2}; st.relaxed.sys.global.b128 [%0], line; }" ::"l"(
          at),
      "l"(data), "l"(flag)
      : "memory");
}
LOCKSTEP_INLINE Line loadLine(const void* at) {
  Line line;
  asm volatile(
      "{ .reg .b128 line; ld.relaxed.sys.global.b128 line, [%2]; mov.b128 {%0, %1}, line; }"
      : "=l"(line.data), "=l"(line.flag)
      : "l"(at)
      : "memory");
  return line;
}

// Of global memory, said so: of an address that might be shared memory's the compiler tells both.

/// True for the one caller that changes the word from 0.
LOCKSTEP_INLINE bool claimReport(u64* word) {
  u64 before;
  asm volatile("atom.relaxed.sys.global.cas.b64 %0, [%1], 0, 1;"
               : "=l"(before)
               : "l"(word)
               : "memory");
  return before == 0;
}

/// Takes `n` of a counter of this device, and says where they begin.
LOCKSTEP_INLINE u64 take(u64* counter, u64 n) {
  u64 before;
  asm volatile("atom.relaxed.gpu.global.add.u64 %0, [%1], %2;"
               : "=l"(before)
               : "l"(counter), "l"(n)
               : "memory");
  return before;
}

/// Of the GPU's clock that all its blocks share.
LOCKSTEP_INLINE u64 nanoseconds() {
  u64 now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}
/// Between two looks at a word.
LOCKSTEP_INLINE void relax() {}

/// One instruction, where the compiler would spend two on a product of words that it made wide.
LOCKSTEP_INLINE u64 multiplyWide(u32 a, u32 b) {
  u64 product;
  asm("mul.wide.u32 %0, %1, %2;" : "=l"(product) : "r"(a), "r"(b));
  return product;
}

/// Where a table lies in shared memory, and a word of it. An address is made of its byte by one
/// multiplication: of what the compiler knows more about it makes two instructions and three.
using TableAddress = u32;
LOCKSTEP_INLINE TableAddress tableAddress(const void* shared) {
  auto at = static_cast<u32>(__cvta_generic_to_shared(shared));
  asm volatile("" : "+r"(at));
  return at;
}
LOCKSTEP_INLINE u32 loadTable(TableAddress table, u32 offset) {
  u32 word;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(word) : "r"(table + offset));
  return word;
}
/// Byte `i` of a word, known when compiled.
LOCKSTEP_INLINE u32 byteOf(u32 word, u32 i) {
  u32 byte;
  asm("prmt.b32 %0, %1, 0, %2;" : "=r"(byte) : "r"(word), "r"(0x4440 | i));
  return byte;
}

LOCKSTEP_INLINE float squareRoot(float x) {
  return __fsqrt_rn(x);
}
LOCKSTEP_INLINE u32 rotateRight(u32 x, u32 bits) {
  return __funnelshift_r(x, x, bits);
}

// ---- multicast: one store that every GPU of the multicast object gets, one load that returns
// their sum (sm_90 and newer; PTX ISA, "multimem") ----

/// Between accesses to the same memory by its own and by its multicast address: these are two
/// virtual addresses of one place, which only a proxy fence orders (PTX ISA, "membar / fence").
LOCKSTEP_INLINE void fenceAlias() {
  asm volatile("fence.proxy.alias;" ::: "memory");
}

#if __CUDA_ARCH__ >= 900
inline constexpr bool kHasMultimem = true;

LOCKSTEP_INLINE void multicastStore(void* at, const Bits128& v) {
  asm volatile("multimem.st.relaxed.sys.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(at),
               "f"(__uint_as_float(v.word[0])), "f"(__uint_as_float(v.word[1])),
               "f"(__uint_as_float(v.word[2])), "f"(__uint_as_float(v.word[3]))
               : "memory");
}
LOCKSTEP_INLINE void multicastStoreRelaxed(u64* at, u64 value) {
  asm volatile("multimem.st.relaxed.sys.global.u64 [%0], %1;" ::"l"(at), "l"(value) : "memory");
}
LOCKSTEP_INLINE void multicastStoreRelease(u64* at, u64 value) {
  asm volatile("multimem.st.release.sys.global.u64 [%0], %1;" ::"l"(at), "l"(value) : "memory");
}

#define LOCKSTEP_MULTICAST_SUM(name, type)                                                    \
  LOCKSTEP_INLINE Bits128 name(const void* at) {                                              \
    Bits128 v;                                                                                \
    asm volatile("multimem.ld_reduce.relaxed.sys.global.add." type " {%0, %1, %2, %3}, [%4];" \
                 : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])         \
                 : "l"(at)                                                                    \
                 : "memory");                                                                 \
    return v;                                                                                 \
  }
// 16-bit floats are summed in f32 and rounded once.
LOCKSTEP_MULTICAST_SUM(multicastSumF16, "acc::f32.v4.f16x2")
LOCKSTEP_MULTICAST_SUM(multicastSumBF16, "acc::f32.v4.bf16x2")
#undef LOCKSTEP_MULTICAST_SUM
LOCKSTEP_INLINE Bits128 multicastSumF32(const void* at) {
  float v[4];
  asm volatile("multimem.ld_reduce.relaxed.sys.global.add.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(v[0]), "=f"(v[1]), "=f"(v[2]), "=f"(v[3])
               : "l"(at)
               : "memory");
  return {
      {__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]), __float_as_uint(v[3])}};
}
#else
inline constexpr bool kHasMultimem = false;
LOCKSTEP_INLINE Bits128 multicastSumF32(const void*) {
  return {};
}
LOCKSTEP_INLINE Bits128 multicastSumF16(const void*) {
  return {};
}
LOCKSTEP_INLINE Bits128 multicastSumBF16(const void*) {
  return {};
}
LOCKSTEP_INLINE void multicastStore(void*, const Bits128&) {}
LOCKSTEP_INLINE void multicastStoreRelaxed(u64*, u64) {}
LOCKSTEP_INLINE void multicastStoreRelease(u64*, u64) {}
#endif

}  // namespace lockstep::device
