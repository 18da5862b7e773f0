// What generated text includes: the primitives, and the frame of a kernel.
#pragma once

#include "executor/cuda/prelude/move.cuh"

namespace lockstep::device {

/// A block runs the program for each of its tiles.
template <class ThisLane, class Counts, class Program>
LOCKSTEP_INLINE void runKernel(const Launch& launch, Program program) {
  static_assert(sizeof(typename ThisLane::Shared) <= LOCKSTEP_SHARED_BYTES);
  auto& shared = *reinterpret_cast<typename ThisLane::Shared*>(sharedMemory());
  const Call& call = launch.calls[rankOfLaunch()];
  ThisLane lane(call, shared);
  const u64 tiles = lane.myTiles();
  for (u64 n = 0; n < tiles && lane.enter(n); ++n) program(lane, call.divisor, call.root);
  lane.leave(Counts());
}

}  // namespace lockstep::device
