// The operation on data where it crosses a trust boundary: messages are sealed on their way out of
// private memory and opened on their way in, one record with one tag per message. Nothing that lies
// in a segment is used before it has been verified, and no key ever sees the same counter twice:
// counters come from the lane's own count.
#pragma once

#include "executor/cuda/prelude/gcm.cuh"
#include "executor/cuda/prelude/move.cuh"

namespace lockstep::device {

/// The slot of every reader of a channel to everyone: one ciphertext for all.
struct CastText {
  const World& world;
  u64 offset;  ///< of the payload, in every segment
  u64 tagOffset;
  u32 readers;

  LOCKSTEP_INLINE void put(u32 i, const Bits128& v) const { putAt(offset + u64{i} * 16, v); }
  LOCKSTEP_INLINE void putTag(const Bits128& v) const { putAt(tagOffset, v); }

 private:
  LOCKSTEP_INLINE void putAt(u64 at, const Bits128& v) const {
    if (world.multicast != nullptr) {
      multicastStore(world.multicast + at, v);
      return;
    }
    for (u32 r = 0; r < readers; ++r)
      if (r != world.rank) storeOnce(world.segments[r] + at, v);
  }
};

/// Where in its lane's life a record stands: what it is bound to besides its end, all of it from
/// this rank's own plan and counts.
struct Moment {
  const Call* call;
  u64 sequence;
  u32 tile, lane;
  u32 keyNumber;  ///< of the end's key among this rank's
};

LOCKSTEP_INLINE RecordName nameOf(const Moment& now, const End& end) {
  RecordName name;
  for (u32 i = 0; i < sizeof name.digest; ++i) name.digest[i] = now.call->digest[i];
  name.sequence = now.sequence;
  name.count = now.call->count;
  name.tile = now.tile;
  name.index = end.index;
  name.sender = static_cast<short>(end.sender);
  name.receiver = end.receiver == kMaxWorld ? -1 : static_cast<short>(end.receiver);
  return name;
}

// Functions, not text in every operation: they are long, and once per message.

template <Cipher kCipher>
[[nodiscard]] LOCKSTEP_NOINLINE bool openEnd(Moment now, const End& end, u8* plain, u32 bytes,
                                             GcmShared<kCipher>& sealing) {
  const World& world = *now.call->world;
  return openMessage(keyAt(world, now.lane, now.keyNumber), end.counter, nameOf(now, end), end.at,
                     end.at + world.geometry.slotBytes, plain, bytes, sealing);
}
template <bool kCasts, Cipher kCipher>
LOCKSTEP_NOINLINE void sealEnd(Moment now, const End& end, const u8* plain, u32 bytes,
                               GcmShared<kCipher>& sealing) {
  const World& world = *now.call->world;
  SealingKey& key = keyAt(world, now.lane, now.keyNumber);
  const u64 slotBytes = world.geometry.slotBytes;
  if (kCasts && end.kind == End::Kind::cast)
    sealMessage(key, end.counter, nameOf(now, end), plain,
                CastText{world, end.offset, end.offset + slotBytes, world.geometry.world}, bytes,
                sealing);
  else
    sealMessage(key, end.counter, nameOf(now, end), plain, end.at, end.at + slotBytes, bytes,
                sealing);
}

template <class Arithmetic, bool kCasts, Cipher kCipher = Cipher::table>
struct SealedMover {
  using Clear = Mover<Arithmetic, false>;
  using Sealing = GcmShared<kCipher>;

  template <class Lane, u32 kDsts, u32 kSrcs>
  static LOCKSTEP_INLINE void run(Lane& lane, Piece piece, u32 divisor, const End (&dst)[kDsts],
                                  const End (&src)[kSrcs]) {
    End* ends = keep(lane, dst, src);
    awaitAll<kCasts>(lane, ends, kDsts, kSrcs);
    // From here to the next operation nobody waits, so nobody fails but all: `stopped` is uniform.
    if (!lane.stopped() && openAll(lane, ends, kDsts, kSrcs, piece)) {
      const u8* result = reduceAll<Lane, kDsts, kSrcs>(lane, ends, piece, divisor);
      sealAll(lane, ends, kDsts, piece, result);
    }
    syncThreads();
    signalAll<kCasts>(lane, ends, kDsts, kSrcs);
  }

  /// Passes a message on as it arrived, unopened; what goes to memory is opened.
  template <class Lane, u32 kDsts>
  static LOCKSTEP_INLINE void forward(Lane& lane, Piece piece, u32 divisor, const End (&dst)[kDsts],
                                      const End (&src)[1]) {
    End* ends = keep(lane, dst, src);
    awaitAll<kCasts>(lane, ends, kDsts, 1);
    if (!lane.stopped()) {
      copyMessage(lane, ends, kDsts, messageBytes(piece));
      if (anyMemory(ends, kDsts) && openAll(lane, ends, kDsts, 1, piece))
        reduceAll<Lane, kDsts, 1>(lane, ends, piece, divisor);
    }
    syncThreads();
    signalAll<kCasts>(lane, ends, kDsts, 1);
  }

 private:
  template <class Lane>
  static LOCKSTEP_INLINE Sealing& sealingOf(Lane& lane) {
    return *reinterpret_cast<Sealing*>(lane.sealing());
  }
  static LOCKSTEP_INLINE bool isMessage(const End& end) { return end.kind != End::Kind::memory; }
  static LOCKSTEP_INLINE bool anyMemory(const End* ends, u32 n) {
    for (u32 i = 0; i < n; ++i)
      if (!isMessage(ends[i])) return true;
    return false;
  }
  static LOCKSTEP_INLINE u32 messageBytes(Piece piece) {
    return static_cast<u32>(piece.blocks == 1 ? piece.bytes
                                              : piece.blocks * roundUp(piece.bytes, 16));
  }

  template <class Lane>
  static LOCKSTEP_INLINE Moment momentOf(const Lane& lane, const End& end) {
    return {&lane.call(), lane.callNumber(), static_cast<u32>(lane.tile().number), lane.number(),
            lane.keyOf(end.sender, end.receiver)};
  }

  /// Opens every message among the sources, the i-th into staging i. False: one did not verify.
  template <class Lane>
  static LOCKSTEP_INLINE bool openAll(Lane& lane, const End* ends, u32 dsts, u32 srcs,
                                      Piece piece) {
    LOCKSTEP_NO_UNROLL
    for (u32 i = dsts; i < dsts + srcs; ++i) {
      const End& end = ends[i];
      if (!isMessage(end)) continue;
      if (openEnd<kCipher>(momentOf(lane, end), end, lane.staging(i - dsts), messageBytes(piece),
                           sealingOf(lane)))
        continue;
      if (thread() == 0) lane.failToOpen(end);
      return false;
    }
    return true;
  }

  /// The result goes to every destination in memory, and is returned for those that are messages
  /// (in staging, unless a source is the result as it lies).
  template <class Lane, u32 kDsts, u32 kSrcs>
  static LOCKSTEP_INLINE const u8* reduceAll(Lane& lane, const End* ends, Piece piece,
                                             u32 divisor) {
    if (kSrcs == 1 && divisor == 1 && !anyMemory(ends, kDsts)) {
      const End& only = ends[kDsts];
      if (isMessage(only)) return lane.staging(0);
      if (piece.blocks == 1) return only.at;
    }
    u8* result = lane.staging(kSrcs);
    End inner[kDsts + kSrcs];
    u64 skipped = 0;
    bool hasMessage = false;
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kDsts; ++i) {
      inner[i] = ends[i];
      if (!isMessage(ends[i])) continue;
      inner[i].at = result;
      skipped |= hasMessage ? u64{1} << i : 0;
      hasMessage = true;
    }
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kSrcs; ++i) {
      inner[kDsts + i] = ends[kDsts + i];
      if (isMessage(ends[kDsts + i])) inner[kDsts + i].at = lane.staging(i);
    }
    if (hasMessage) clearPadding(result, piece);
    Clear::template moveBlocks<Lane, kDsts, kSrcs>(lane, piece, divisor, inner, skipped);
    syncThreads();
    return result;
  }
  /// Between blocks, so that nothing older crosses, sealed or not.
  static LOCKSTEP_INLINE void clearPadding(u8* message, Piece piece) {
    const u64 stride = roundUp(piece.bytes, 16);
    for (u32 block = thread(); piece.blocks > 1 && block < piece.blocks; block += threads())
      for (u64 i = piece.bytes; i < stride; ++i) message[block * stride + i] = 0;
  }

  template <class Lane>
  static LOCKSTEP_INLINE void sealAll(Lane& lane, const End* ends, u32 dsts, Piece piece,
                                      const u8* result) {
    LOCKSTEP_NO_UNROLL
    for (u32 i = 0; i < dsts; ++i)
      if (isMessage(ends[i]))
        sealEnd<kCasts, kCipher>(momentOf(lane, ends[i]), ends[i], result, messageBytes(piece),
                                 sealingOf(lane));
  }

  /// Ciphertext and tag of the one source, to every destination that is a message.
  template <class Lane>
  static LOCKSTEP_INLINE void copyMessage(Lane& lane, const End* ends, u32 dsts, u32 bytes) {
    const u64 slotBytes = lane.world().geometry.slotBytes;
    const u8* from = ends[dsts].at;
    const u32 blocks = (bytes + 15) / 16;
    for (u32 i = thread(); i <= blocks; i += threads()) {
      const u64 at = i == blocks ? slotBytes : u64{i} * 16;
      const Bits128 v = loadOnce(from + at);
      for (u32 d = 0; d < dsts; ++d)
        if (isMessage(ends[d])) storeOnce(ends[d].at + at, v);
    }
  }
};

}  // namespace lockstep::device
