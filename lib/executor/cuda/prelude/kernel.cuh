// What generated text includes: the primitives, and the frame of a kernel.
#pragma once

#include "executor/cuda/prelude/move.cuh"

namespace lockstep::device {

/// Of kernels in the clear.
struct NoSealing {};
LOCKSTEP_INLINE void prepareShared(NoSealing&) {}
LOCKSTEP_INLINE void wipeShared(NoSealing&) {}

/// Of kernels that begin with the collective.
struct NoPrologue {
  template <class Lane>
  static LOCKSTEP_INLINE void run(Lane&) {}
};

/// Of kernels that end with the collective.
struct NoEpilogue {
  struct Shared {};
  template <class Lane>
  static LOCKSTEP_INLINE void run(Lane&, Shared&) {}
};

/// A block runs the program for each of its tiles.
template <class ThisLane, class Counts, class Sealing, class Prologue, class Epilogue,
          class Program>
LOCKSTEP_INLINE void runKernel(const Launch& launch, Program program) {
  struct Shared {
    typename ThisLane::Shared lane;
    alignas(128) Sealing sealing;
    typename Epilogue::Shared epilogue;
  };
  static_assert(sizeof(Shared) <= LOCKSTEP_SHARED_BYTES);
  auto& shared = *reinterpret_cast<Shared*>(sharedMemory());
  const Call& call = launch.calls[rankOfLaunch()];
  prepareShared(shared.sealing);
  ThisLane lane(call, shared.lane, reinterpret_cast<u8*>(&shared.sealing), Counts());
  const u64 tiles = lane.myTiles();
  for (u64 n = 0; n < tiles && lane.enter(n); ++n) {
    Prologue::run(lane);
    program(lane, call.divisor, call.root);
    Epilogue::run(lane, shared.epilogue);
  }
  lane.leave();
  wipeShared(shared.sealing);
}

}  // namespace lockstep::device
