// Sends and receives across a trust boundary: a message is one record, sealed from the sender's
// memory and opened into the receiver's, where what does not verify is wiped.
#pragma once

#include "executor/cuda/prelude/gcm.cuh"
#include "executor/cuda/prelude/transfer.cuh"

namespace lockstep::device {

/// What a record is bound to: the way, its place in it, its size and type, all as this rank has
/// them. Its key is of its lane, and of collectives too, so the digest tells those apart.
LOCKSTEP_INLINE RecordName nameOf(const TransferLaunch& launch, const TransferMessage& message) {
  RecordName name;
  for (u32 i = 0; i < sizeof name.digest; ++i) name.digest[i] = launch.digest[i];
  name.sequence = message.step;
  name.count = message.transfer.bytes;
  name.tile = static_cast<u32>(message.number);
  name.index = message.transfer.type;
  name.sender = static_cast<short>(message.writer());
  name.receiver = static_cast<short>(message.reader());
  return name;
}

// Functions, not text in a loop: they are long, and once per message.

template <Cipher kCipher>
LOCKSTEP_NOINLINE void sealTransfer(const TransferLaunch& launch, TransferMessage message,
                                    GcmShared<kCipher>& sealing) {
  SealingKey& key = keyAt(message.world, message.lane, message.transfer.peer);
  u8* const slot = message.slot();
  sealMessage(key, message.counter, nameOf(launch, message), message.data(), slot,
              slot + message.world.geometry.slotBytes, message.bytes(), sealing);
}
template <Cipher kCipher>
[[nodiscard]] LOCKSTEP_NOINLINE bool openTransfer(const TransferLaunch& launch,
                                                  TransferMessage message,
                                                  GcmShared<kCipher>& sealing) {
  const u32 number = message.world.geometry.world + message.transfer.peer;
  const u8* const slot = message.slot();
  return openMessage(keyAt(message.world, message.lane, number), message.counter,
                     nameOf(launch, message), slot, slot + message.world.geometry.slotBytes,
                     message.data(), message.bytes(), sealing);
}

template <Cipher kCipher>
struct SealedCarrier {
  using Shared = GcmShared<kCipher>;
  static constexpr bool kSealed = true;

  LOCKSTEP_INLINE SealedCarrier(const TransferLaunch& launch, Shared& sealing)
      : launch_(launch), sealing_(sealing) {}
  LOCKSTEP_INLINE bool carry(const TransferMessage& message) {
    if (message.transfer.sends == 0) return openTransfer(launch_, message, sealing_);
    sealTransfer(launch_, message, sealing_);
    return true;
  }

 private:
  const TransferLaunch& launch_;
  Shared& sealing_;
};

}  // namespace lockstep::device
