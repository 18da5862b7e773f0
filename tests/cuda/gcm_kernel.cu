// Text for NVRTC: a kernel that seals its input into a slot and opens it again, by LOCKSTEP_CIPHER.
// Nobody runs it: what is looked at is that it compiles, and how many registers it takes (80 with
// LOCKSTEP_THREADS=256, LOCKSTEP_BLOCKS_TOGETHER=3, LOCKSTEP_SHARED_BYTES=49152; no spills).
#include "executor/cuda/prelude/gcm.cuh"

#ifndef LOCKSTEP_CIPHER
#define LOCKSTEP_CIPHER table
#endif

namespace lockstep::device {

inline RecordName nameOf(const Call& call) {
  RecordName name;
  for (u32 i = 0; i < sizeof name.digest; ++i) name.digest[i] = call.digest[i];
  name.count = call.count;
  return name;
}

using Shared = GcmShared<Cipher::LOCKSTEP_CIPHER>;

inline Shared& sharedOfBlock() {
  static_assert(sizeof(Shared) <= LOCKSTEP_SHARED_BYTES);
  return *reinterpret_cast<Shared*>(sharedMemory());
}

}  // namespace lockstep::device

LOCKSTEP_KERNEL(sealAndOpen) {
  using namespace lockstep::device;
  const Call& call = launch.calls[rankOfLaunch()];
  const World& world = *call.world;
  const u32 bytes = world.geometry.slotBytes;
  u8* const slot = world.segments[0] + u64{blockOfRank()} * (bytes + kTagBytes);
  u8* const tag = slot + roundUp(bytes, 16);
  Shared& shared = sharedOfBlock();
  prepareShared(shared);
  SealingKey& key = keyAt(world, blockOfRank(), 0);
  sealMessage(key, call.count, nameOf(call), call.in, slot, tag, bytes, shared);
  if (!openMessage(key, call.count, nameOf(call), slot, tag, call.out, bytes, shared))
    storeRelease(reinterpret_cast<u64*>(tag), 1);
  wipeShared(shared);
}
