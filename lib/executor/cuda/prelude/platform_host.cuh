// The machine is the host: a thread plays a block of one thread, "shared memory" is its own, and
// the scope of an ordering is the process (or processes that share the memory). It shows that the
// protocol is right under the C++ memory model, and to ThreadSanitizer; not that PTX orders alike.
#pragma once

#include <sched.h>
#include <time.h>

/// What a GPU's block can have without asking for more.
#ifndef LOCKSTEP_SHARED_BYTES
#define LOCKSTEP_SHARED_BYTES 49152
#endif
#define LOCKSTEP_INLINE inline
#define LOCKSTEP_NOINLINE __attribute__((noinline)) inline
#define LOCKSTEP_UNROLL
#define LOCKSTEP_NO_UNROLL
#define LOCKSTEP_KERNEL(name) LOCKSTEP_KERNEL_OF(name, lockstep::device::Launch)
/// `name`_launch_bytes is for who runs it: how much of the parameter there is to copy.
#define LOCKSTEP_KERNEL_OF(name, Parameter)                                                    \
  extern "C"                                                                                   \
      __attribute__((visibility("default"), used)) inline const unsigned name##_launch_bytes = \
          sizeof(Parameter);                                                                   \
  extern "C" __attribute__((visibility("default"))) void name(const Parameter& launch)

namespace lockstep::device {

inline constexpr u32 kBanks = 1;
inline constexpr bool kHasMultimem = false;

/// Which block this thread plays.
struct HostBlock {
  u32 x = 0, y = 0, blocks = 1;
};
inline thread_local HostBlock hostBlock;

inline u32 threads() {
  return 1;
}
inline u32 thread() {
  return 0;
}
inline u32 blockOfRank() {
  return hostBlock.x;
}
inline u32 blocksPerRank() {
  return hostBlock.blocks;
}
inline u32 rankOfLaunch() {
  return hostBlock.y;
}
inline void syncThreads() {}
inline u8* sharedMemory() {
  alignas(128) static thread_local u8 memory[LOCKSTEP_SHARED_BYTES];
  return memory;
}

inline Bits128 load(const void* at) {
  return *static_cast<const Bits128*>(at);
}
inline Bits128 loadOnce(const void* at) {
  const u32* words = static_cast<const u32*>(at);
  Bits128 v;
  for (int i = 0; i < 4; ++i) v.word[i] = __atomic_load_n(words + i, __ATOMIC_RELAXED);
  return v;
}
inline void storeOnce(void* at, const Bits128& v) {
  u32* words = static_cast<u32*>(at);
  for (int i = 0; i < 4; ++i) __atomic_store_n(words + i, v.word[i], __ATOMIC_RELAXED);
}
inline void store(void* at, const Bits128& v) {
  *static_cast<Bits128*>(at) = v;
}

inline u32 loadShared(const u32* at) {
  return __atomic_load_n(at, __ATOMIC_RELAXED);
}
inline void storeShared(u32* at, u32 value) {
  __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

template <class Bits>
inline Bits loadElement(const void* at) {
  using Aliased [[gnu::may_alias]] = Bits;
  return *static_cast<const Aliased*>(at);
}
template <class Bits>
inline void storeElement(void* at, Bits bits) {
  using Aliased [[gnu::may_alias]] = Bits;
  *static_cast<Aliased*>(at) = bits;
}

/// f16 and f32 by arithmetic on their fields, on any CPU.
inline float halfToFloat(u16 half) {
  const u32 sign = u32{half} << 16 & 0x80000000;
  const u32 magnitude = u32{half} << 13 & 0x0fffe000;
  const u32 special = magnitude | 0x7f800000;
  // An f16 read as f32 is 2^(127 - 15) too small; scaling makes subnormals right too.
  const float number = __builtin_bit_cast(float, magnitude) * 0x1p112f;
  const bool isFinite = magnitude < 31u << 23;
  return __builtin_bit_cast(float, sign | (isFinite ? __builtin_bit_cast(u32, number) : special));
}
inline u16 floatToHalf(float value) {
  const u32 bits = __builtin_bit_cast(u32, value);
  const u32 sign = bits >> 16 & 0x8000;
  const u32 magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<u16>(sign | 0x7e00);
  if (magnitude >= 143u << 23) return static_cast<u16>(sign | 0x7c00);  // 2^16 and more
  if (magnitude < 113u << 23) {
    // Below 2^-14: the last place of 0.5 is 2^-24, f16's smallest, so the FPU rounds.
    const float rounded = __builtin_bit_cast(float, magnitude) + 0.5f;
    return static_cast<u16>(sign | (__builtin_bit_cast(u32, rounded) - 0x3f000000));
  }
  // A half of the last place, less one where that place is even; a carry does the right thing.
  const u32 half = 0xfff + (magnitude >> 13 & 1);
  return static_cast<u16>(sign | (magnitude - (112u << 23) + half) >> 13);
}

inline void storeRelease(u64* at, u64 value) {
  __atomic_store_n(at, value, __ATOMIC_RELEASE);
}
inline void storeReleaseOnDevice(u64* at, u64 value) {
  storeRelease(at, value);
}
inline u64 loadAcquire(const u64* at) {
  return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}
inline void storeRelaxed(u64* at, u64 value) {
  __atomic_store_n(at, value, __ATOMIC_RELAXED);
}
inline u64 loadRelaxed(const u64* at) {
  return __atomic_load_n(at, __ATOMIC_RELAXED);
}

/// Two accesses in an order that makes them as good as one: who sees the flag sees the data. (The
/// line is not written again before its reader has given credit for it.)
inline void storeLine(void* at, u64 data, u64 flag) {
  Line* line = static_cast<Line*>(at);
  storeRelaxed(&line->data, data);
  storeRelease(&line->flag, flag);
}
inline Line loadLine(const void* at) {
  const Line* line = static_cast<const Line*>(at);
  const u64 flag = loadAcquire(&line->flag);
  return {loadRelaxed(&line->data), flag};
}

inline bool claimReport(u64* word) {
  u64 none = 0;
  return __atomic_compare_exchange_n(word, &none, 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

inline u64 take(u64* counter, u64 n) {
  return __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

inline u64 nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * 1000000000ull + static_cast<u64>(now.tv_nsec);
}
/// Blocks are more than cores: let another have its turn.
inline void relax() {
  sched_yield();
}

inline u64 multiplyWide(u32 a, u32 b) {
  return u64{a} * b;
}
using TableAddress = const u8*;
inline TableAddress tableAddress(const void* shared) {
  return static_cast<const u8*>(shared);
}
inline u32 loadTable(TableAddress table, u32 offset) {
  return *reinterpret_cast<const u32*>(table + offset);
}
inline u32 byteOf(u32 word, u32 i) {
  return word >> 8 * i & 0xff;
}
inline float squareRoot(float x) {
  return __builtin_sqrtf(x);
}
inline u32 rotateRight(u32 x, u32 bits) {
  return x >> bits | x << (32 - bits);
}

inline void fenceAlias() {}
inline Bits128 multicastSumF32(const void*) {
  return {};
}
inline Bits128 multicastSumF16(const void*) {
  return {};
}
inline Bits128 multicastSumBF16(const void*) {
  return {};
}
inline void multicastStore(void*, const Bits128&) {}
inline void multicastStoreRelaxed(u64*, u64) {}
inline void multicastStoreRelease(u64*, u64) {}

}  // namespace lockstep::device

#ifdef LOCKSTEP_HOST_MODULE  // a shared object of kernels, for whoever runs them
/// Says which block the calling thread plays from here on; for whoever runs the kernel.
extern "C" __attribute__((visibility("default"), used)) inline void lockstepPlayBlock(
    unsigned x, unsigned y, unsigned blocks) {
  lockstep::device::hostBlock = {x, y, blocks};
}
#endif
