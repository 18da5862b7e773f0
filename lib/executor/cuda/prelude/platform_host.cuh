// The machine is the host: a thread plays a block of one thread, "shared memory" is its own, and
// the scope of an ordering is the process (or processes that share the memory). It shows that the
// protocol is right under the C++ memory model, and to ThreadSanitizer; not that PTX orders alike.
#pragma once

#include <sched.h>
#include <time.h>

#define LOCKSTEP_INLINE inline
#define LOCKSTEP_UNROLL
#define LOCKSTEP_KERNEL(name)                                  \
  extern "C" __attribute__((visibility("default"))) void name( \
      const lockstep::device::Launch& launch)

namespace lockstep::device {

inline constexpr u32 kBanks = 1;
inline constexpr bool kHasMultimem = false;

/// Which block this thread plays.
struct HostBlock {
  u32 x = 0, y = 0, blocks = 1;
  u8* shared = nullptr;
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
  return hostBlock.shared;
}

inline Bits128 load(const void* at) {
  return *static_cast<const Bits128*>(at);
}
inline void store(void* at, const Bits128& v) {
  *static_cast<Bits128*>(at) = v;
}

inline void storeRelease(u64* at, u64 value) {
  __atomic_store_n(at, value, __ATOMIC_RELEASE);
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

inline u64 nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * 1000000000ull + static_cast<u64>(now.tv_nsec);
}
/// Blocks are more than cores: let another have its turn.
inline void relax() {
  sched_yield();
}

inline u32 rotateRight(u32 x, u32 bits) {
  return x >> bits | x << (32 - bits);
}

inline void multicastStore(void*, const Bits128&) {}
inline void multicastStoreRelaxed(u64*, u64) {}
inline void multicastStoreRelease(u64*, u64) {}

}  // namespace lockstep::device

/// Says which block the calling thread plays from here on; for whoever runs the kernel.
extern "C" __attribute__((visibility("default"), used)) inline void lockstepPlayBlock(
    unsigned x, unsigned y, unsigned blocks, unsigned char* shared) {
  lockstep::device::hostBlock = {x, y, blocks, shared};
}
