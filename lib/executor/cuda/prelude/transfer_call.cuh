// What the kernel of sends and receives is told. Read by it and by the host code that launches it.
#pragma once

#include "executor/cuda/prelude/layout.cuh"

namespace lockstep::device {

/// To and from every other rank.
inline constexpr u32 kMaxTransfers = 2 * (kMaxWorld - 1);

/// One way between this rank and another, cut into messages that go through lanes in turn: message
/// m through lane m % lanes. Nothing of it depends on other transfers of the call, since those of
/// the other rank are its own affair.
struct Transfer {
  u8* data = nullptr;
  u64 bytes = 0;
  u32 messageBytes = 0;  ///< of all but the last; at most a slot's
  u8 peer = 0;
  u8 sends = 0;  ///< else it receives
  u8 type = 0;   ///< of the elements, for the other side to compare

  /// An empty one is one message, too.
  LOCKSTEP_INLINE constexpr u64 messages() const {
    return bytes == 0 ? 1 : (bytes + messageBytes - 1) / messageBytes;
  }
  /// What both sides must say alike; beside every message. Never that of a collective, but by a
  /// chance of 1 in 256.
  LOCKSTEP_INLINE constexpr u64 fingerprint() const {
    return kMark << 56 | u64{type} << 48 | (bytes & kMostBytes);
  }
  static constexpr u64 kMark = 0xa7;
  static constexpr u64 kMostBytes = (u64{1} << 48) - 1;
};

/// Transfers of one rank that progress side by side. At most one to and one from each rank.
struct TransferLaunch {
  const World* world = nullptr;
  u64 patience = 0;    ///< nanoseconds that a wait may take
  u64 what = 0;        ///< for people
  u8 digest[16] = {};  ///< for the additional data of records
  u64 count = 0;
  Transfer list[kMaxTransfers];
};
static_assert(sizeof(TransferLaunch) <= 4096, "what a kernel can be told");

}  // namespace lockstep::device
