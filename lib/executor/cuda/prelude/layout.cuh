// What lies where in the memory that ranks share, and what a kernel is told. Read by the kernels
// and by the host code that makes room for them and launches them.
//
// Every rank has one *segment* of device memory that all ranks map: control, channels, heap. It
// has the same layout on every rank, so that a multicast address is a segment's address plus the
// same offset everywhere.
//
// Ranks talk in *lanes*: block b of a rank's kernel runs the schedule's program for tiles b, b + B,
// b + 2B, .. through channels of its own with block b of every other rank. So a lane is a little
// world by itself, in which everything happens in program order: one counter per channel and
// direction says all.
#pragma once

#include "executor/cuda/prelude/platform.cuh"

namespace lockstep::device {

inline constexpr u32 kMaxWorld = 64;
inline constexpr u32 kMaxLanes = 128;
/// Ranks that one launch may play (grid.y), where several share a GPU.
inline constexpr u32 kMaxTogether = 8;
/// Threads of a block at most.
inline constexpr u32 kMaxBlockThreads = 512;
/// Messages that a channel holds.
inline constexpr u32 kSlots = 4;
/// Flags and credits lie so far apart: two L2 sectors' worth of a line, so that no two share one.
inline constexpr u32 kLineBytes = 128;
/// A tag lies behind the payload of a slot.
inline constexpr u32 kTagBytes = 16;

inline constexpr u64 roundUp(u64 n, u64 to) {
  return (n + to - 1) / to * to;
}

/// How a channel edge is lowered: payload and then a flag, or a flag beside every 8 bytes.
enum class Protocol : u8 { simple, ll };
inline constexpr u32 kProtocols = 2;

/// What all ranks agree on when the communicator is created.
struct Geometry {
  u32 world = 1;
  u32 lanes = 1;
  u32 slotBytes = 0;  ///< payload of a message, simple; a multiple of 128
  u32 llBytes = 0;    ///< payload of a message, ll; a multiple of 64
  u64 heapBytes = 0;
};

/// Beside the payload of a slot, in the memory of who reads it.
struct alignas(kLineBytes) SlotFlag {
  u64 step = 0;         ///< step + 1 of the message that lies there
  u64 fingerprint = 0;  ///< of its call
};

/// In the memory of who writes a channel: messages that this reader has consumed.
struct alignas(kLineBytes) Credit {
  u64 consumed = 0;
};

/// In the memory of who exposes, one per lane and peer, written by the peer: its exposures so far,
/// where its buffers are, and how many of mine it is done with.
struct alignas(kLineBytes) Exposure {
  u64 entered = 0;
  u64 fingerprint = 0;
  u64 in = 0, out = 0;  ///< offsets in the peer's segment
  u64 released = 0;
};

/// Why a kernel gave up. Written once, by the first block that did.
enum class Fault : u64 {
  none,
  timeout,
  mismatch,   ///< a peer made another call
  integrity,  ///< a record did not verify
  outside,    ///< a peer exposed what is not of its heap
  aborted,    ///< a peer's kernel, or a host, gave up first
  overlap     ///< another kernel of this rank was in the same lane
};

struct Report {
  u64 fault = 0;  ///< a Fault; the last to be written
  u64 rank = 0;   ///< whom it waited for, or who sent what is wrong
  u64 lane = 0;
  u64 call = 0;         ///< number of the call on that lane, from 0
  u64 step = 0;         ///< of the channel, that did not come
  u64 fingerprint = 0;  ///< of this rank's call
  u64 theirs = 0;       ///< of the peer's, if that is what differs
};

/// How a rank's calls went, in its private memory: what lies in a segment, whoever attacks sealed
/// calls could wipe, and a call that gave up must never look like one that is done.
struct alignas(kLineBytes) Verdict {
  u64 stopped = 0;  ///< not 0: a call ended before its time, for whatever reason
  u64 claimed = 0;  ///< by the block that writes the report
  Report report;    ///< of whoever failed here; none where a call stopped since a peer failed
};

/// At the beginning of every segment.
struct alignas(kLineBytes) Control {
  u64 abort = 0;  ///< not 0: every wait ends. Anyone may set it: the owner's host, a peer's kernel.
  alignas(kLineBytes) Report report;  ///< as the verdict, for the words of other ranks' errors
  /// This rank's latest call, for the message about ranks that are late or call something else.
  alignas(kLineBytes) u64 calls = 0;  ///< so far, of lane 0
  u64 what = 0, count = 0;
  /// By rank, written by its host: it has nothing running any more, and will start nothing.
  alignas(kLineBytes) u8 left[kMaxWorld] = {};
};

/// Channels of a pair: index = the other rank. Channels to everyone: index = world + writer.
inline constexpr u32 channelsPerLane(const Geometry& g) {
  return 2 * g.world;
}

/// Offsets in a segment.
struct Offsets {
  Geometry g;

  constexpr u64 slotStride() const { return roundUp(g.slotBytes + kTagBytes, kLineBytes); }
  constexpr u64 llStride() const { return u64{g.llBytes} * 2; }
  constexpr u64 perLane(u64 each) const { return each * channelsPerLane(g) * g.lanes; }
  constexpr u64 place(u32 lane, u32 channel) const {
    return u64{lane} * channelsPerLane(g) + channel;
  }

  constexpr u64 flags() const { return roundUp(sizeof(Control), 4096); }
  constexpr u64 credits() const { return flags() + perLane(sizeof(SlotFlag) * kSlots); }
  constexpr u64 exposures() const { return credits() + perLane(sizeof(Credit)) * kProtocols; }
  constexpr u64 lines() const {
    return roundUp(exposures() + sizeof(Exposure) * g.world * g.lanes, 4096);
  }
  constexpr u64 slots() const { return roundUp(lines() + perLane(llStride() * kSlots), 4096); }
  constexpr u64 heap() const {
    return roundUp(slots() + perLane(slotStride() * kSlots), u64{2} << 20);
  }
  constexpr u64 bytes() const { return heap() + g.heapBytes; }

  // In the reader's segment. `channel`: the writer, or world + writer.
  constexpr u64 flag(u32 lane, u32 channel, u32 slot) const {
    return flags() + (place(lane, channel) * kSlots + slot) * sizeof(SlotFlag);
  }
  constexpr u64 slot(u32 lane, u32 channel, u32 slot) const {
    return slots() + (place(lane, channel) * kSlots + slot) * slotStride();
  }
  constexpr u64 line(u32 lane, u32 channel, u32 slot) const {
    return lines() + (place(lane, channel) * kSlots + slot) * llStride();
  }
  // In the writer's segment. `channel`: the reader, or world + reader for the channel to everyone.
  constexpr u64 credit(Protocol protocol, u32 lane, u32 channel) const {
    return credits() +
           (static_cast<u64>(protocol) * perLane(1) + place(lane, channel)) * sizeof(Credit);
  }
  // In the segment of who exposes: what `peer` says there.
  constexpr u64 exposure(u32 lane, u32 peer) const {
    return exposures() + (u64{lane} * g.world + peer) * sizeof(Exposure);
  }
};

/// Room for the ends of two operations in a world of kMaxWorld.
inline constexpr u32 kEndsBytes = 2 * (2 * kMaxWorld + 2) * 64;

/// What a lane has done so far; in private memory of its rank. All counters only grow, so calls
/// follow each other without a word to the host, in a replayed CUDA graph too.
struct LaneState {
  u64 busy = 0;  ///< while a kernel is in it: two at once would be a mistake of the caller's
  u64 calls = 0;
  u64 exposures = 0;
  /// Messages so far: out to a reader (kMaxWorld: to everyone), in from a writer (kMaxWorld +
  /// writer: from its channel to everyone).
  u64 out[kProtocols][kMaxWorld + 1] = {};
  u64 in[kProtocols][2 * kMaxWorld] = {};
  /// Nonces taken of the lane's keys: to each peer, from each peer, each one's for the group.
  u64 nonces[3 * kMaxWorld] = {};
  /// Of the kernel that is in the lane, in large sealed worlds: see LaneEnds in lane.cuh.
  alignas(16) u8 ends[kEndsBytes] = {};
};

struct SealingKey;  // gcm.cuh

/// A rank's view of its world, in private device memory.
struct World {
  Geometry geometry;
  u32 rank = 0;
  u8* segments[kMaxWorld] = {};  ///< where this rank sees them, its own too
  u8* multicast = nullptr;       ///< of all segments at once; nullptr: emulated
  LaneState* lanes = nullptr;    ///< `geometry.lanes` of them
  Verdict* verdict = nullptr;
  /// Private scratch of a lane, `scratchBytes` each: Scratch chunks and opened messages.
  u8* scratch = nullptr;
  u64 scratchBytes = 0;
  /// Sealed modes: keys by lane, then by use; see keyOf in gcm.cuh.
  SealingKey* keys = nullptr;
};

/// What a fused all-reduce does with the sum (rms_norm.cuh); rows of `hidden` elements.
struct Norm {
  u8* residual = nullptr;      ///< as `out`; read and written
  const u8* weight = nullptr;  ///< a row
  u32 hidden = 0;
  float epsilon = 0;
};

/// One rank's arguments of one call.
struct Call {
  const World* world = nullptr;
  const u8* in = nullptr;
  u8* out = nullptr;
  u64 count = 0;                ///< elements of a block
  u64 tileElements = 0;         ///< of a block, per tile; a multiple of what 64 bytes hold
  u64 what = 0, described = 0;  ///< the call and its count as its caller gave them, for people
  u64 fingerprint = 0;          ///< of operation, type, reduction, root, count, plan
  u32 root = 0;
  u32 divisor = 1;                  ///< of the finished reduction: the world size for an average
  u64 factor = 0;                   ///< of a premultiplied sum (executor/cuda/call.hpp, packFactor)
  u64 patience = 0;                 ///< nanoseconds that a wait may take
  u64 inOffset = 0, outOffset = 0;  ///< in this rank's segment, of plans that expose
  u64 inBytes = 0, outBytes = 0;    ///< of a rank's buffers where it has them
  Norm norm;                        ///< of kernels that are fused with it
  u8 digest[16] = {};               ///< of the secured plan, for the additional data of records
};

struct Launch {
  Call calls[kMaxTogether];
};

}  // namespace lockstep::device
