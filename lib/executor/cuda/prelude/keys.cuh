// The kernel that makes the keys of lanes ready: of each key that this rank holds one per lane,
// derived from the key that the ranks agreed on. Once, when a communicator is created.
#pragma once

#include "executor/cuda/prelude/sealing_key.cuh"

namespace lockstep::device {

/// Block b makes the keys of lane b. `call.in`: 32 bytes for each number that Lane::keyOf gives.
template <Cipher kCipher>
LOCKSTEP_INLINE void prepareKeys(const Launch& launch) {
  static_assert(sizeof(GcmShared<kCipher>) <= LOCKSTEP_SHARED_BYTES);
  auto& shared = *reinterpret_cast<GcmShared<kCipher>*>(sharedMemory());
  const Call& call = launch.calls[rankOfLaunch()];
  const World& world = *call.world;
  prepareShared(shared);
  for (u32 number = 0; number < 3 * world.geometry.world; ++number)
    prepareLaneKey(keyAt(world, blockOfRank(), number), call.in + u64{number} * kKeyBytes,
                   blockOfRank(), shared);
  wipeShared(shared);
}

}  // namespace lockstep::device
