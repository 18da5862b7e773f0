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

/// What the threads of a block have in common.
class Block {
 public:
  /// `sharedBytes`: of shared memory, filled with nonsense as a GPU's is.
  Block(u32 count, u64 sharedBytes)
      : count_(count), barrier_(count), memory_(sharedBytes / sizeof(Bits128) + 9) {
    std::memset(memory_.data(), 0xa5, memory_.size() * sizeof(Bits128));
  }
  /// Makes the calling thread this one of the block.
  void play(u32 number) {
    const u64 address = reinterpret_cast<u64>(memory_.data());
    u8* const aligned = reinterpret_cast<u8*>(address + (128 - address % 128) % 128);
    blockThread = {number, count_, aligned, &barrier_};
  }

 private:
  u32 count_;
  std::barrier<> barrier_;
  std::vector<Bits128> memory_;
};

/// Runs `body` on `count` threads that are one block.
template <class Body>
void runBlock(u32 count, u64 sharedBytes, Body body) {
  Block block(count, sharedBytes);
  std::vector<std::thread> all;
  for (u32 i = 0; i < count; ++i)
    all.emplace_back([&, i] {
      hostBlock = {0, 0, 1};
      block.play(i);
      body();
    });
  for (std::thread& one : all) one.join();
}

}  // namespace lockstep::device

#ifdef LOCKSTEP_HOST_MODULE  // for who loads it: blocks are made, played and deleted by the module
                             // itself
#define LOCKSTEP_MODULE_EXPORT extern "C" __attribute__((visibility("default"), used)) inline
LOCKSTEP_MODULE_EXPORT void* lockstepNewBlock(unsigned count) {
  return new lockstep::device::Block(count, LOCKSTEP_SHARED_BYTES);
}
LOCKSTEP_MODULE_EXPORT void lockstepPlayThread(void* block, unsigned number) {
  static_cast<lockstep::device::Block*>(block)->play(number);
}
LOCKSTEP_MODULE_EXPORT void lockstepDeleteBlock(void* block) {
  delete static_cast<lockstep::device::Block*>(block);
}
#endif
