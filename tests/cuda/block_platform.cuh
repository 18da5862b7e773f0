// The machine is the host, and a block is as many threads as one likes with a barrier between them:
// platform_host.cuh shows what a block of one thread does, this that many do the same together, in
// the layout of shared memory that a GPU has. For a whole program, since its functions bear the
// names of platform_host's: LOCKSTEP_PLATFORM="cuda/block_platform.cuh".
#pragma once

#include <barrier>
#include <cstring>
#include <thread>
#include <vector>

// All of platform_host but what makes its block one thread.
#define kBanks kBanksOfOne
#define threads threadsOfOne
#define thread threadOfOne
#define syncThreads syncThreadsOfOne
#define sharedMemory sharedMemoryOfOne
#include "executor/cuda/prelude/platform_host.cuh"
#undef kBanks
#undef threads
#undef thread
#undef syncThreads
#undef sharedMemory

namespace lockstep::device {

inline constexpr u32 kBanks = 32;

/// Which thread of its block this one plays.
struct BlockThread {
  u32 number = 0, count = 1;
  u8* shared = nullptr;
  std::barrier<>* barrier = nullptr;
};
inline thread_local BlockThread blockThread;

inline u32 threads() {
  return blockThread.count;
}
inline u32 thread() {
  return blockThread.number;
}
inline u8* sharedMemory() {
  return blockThread.shared;
}
inline void syncThreads() {
  if (blockThread.barrier) blockThread.barrier->arrive_and_wait();
}

/// Runs `body` on `count` threads that are one block. `sharedBytes`: of its shared memory, filled
/// with nonsense as a GPU's is.
template <class Body>
void runBlock(u32 count, u64 sharedBytes, Body body) {
  std::vector<Bits128> shared(sharedBytes / sizeof(Bits128) + 9);
  std::memset(shared.data(), 0xa5, shared.size() * sizeof(Bits128));
  const u64 address = reinterpret_cast<u64>(shared.data());
  u8* const aligned = reinterpret_cast<u8*>(address + (128 - address % 128) % 128);
  std::barrier<> barrier(count);
  std::vector<std::thread> all;
  for (u32 i = 0; i < count; ++i)
    all.emplace_back([&, i] {
      hostBlock = {0, 0, 1};
      blockThread = {i, count, aligned, &barrier};
      body();
    });
  for (std::thread& one : all) one.join();
}

}  // namespace lockstep::device
