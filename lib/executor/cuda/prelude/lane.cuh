// A lane: one block of one rank, and what it does with its peers' blocks of the same number. It
// waits, signals, counts messages and knows where things lie; moving data is move.cuh's.
//
// The channel protocol is the host's (lib/transport/shm/protocol.hpp) with one counter instead of
// one per slot, since a lane does everything in order:
//   flag of a slot   in the reader's segment, written by the writer: step + 1 of what lies there
//   credit           in the writer's segment, written by the reader: messages consumed so far
// The writer stores the payload (all threads), meets in syncThreads(), and one thread stores the
// flag with release; the reader acquires the flag in one thread, meets the others, and they load.
#pragma once

#include "executor/cuda/prelude/layout.cuh"
#include "executor/cuda/prelude/wait.cuh"

namespace lockstep::device {

enum class Buffer : u8 { in, out };

/// Elements of every operand of an operation: the same part of `blocks` blocks.
struct Piece {
  u64 bytes = 0;  ///< of each block
  u32 blocks = 1;
};

/// One end of an operation: memory, or a message of a channel.
struct End {
  enum class Kind : u8 { memory, message, cast };  ///< cast: to everyone
  u8* at = nullptr;  ///< memory, or where the message lies; cast: nullptr
  u64 stride = 0;    ///< memory: from block to block
  u64 offset = 0;    ///< message: of its payload in the reader's segment
  u64 step = 0;      ///< message: its number on its channel
  u32 peer = 0;      ///< message: the other rank
  u32 channel = 0;   ///< message: as layout.cuh numbers them in the reader's segment
  Kind kind = Kind::memory;
  // Sealed messages.
  u16 sender = 0, receiver = 0;  ///< of the key; receiver kMaxWorld: the group
  u32 index = 0;                 ///< of the message under its key in the tile
  u64 counter = 0;               ///< of the key's nonce

  /// Where a block's part begins. In a message each begins at 16 bytes.
  LOCKSTEP_INLINE u64 offsetOf(u32 block, Piece piece) const {
    return block * (kind == Kind::memory ? stride : roundUp(piece.bytes, 16));
  }
};

struct Tile {
  u64 number = 0;  ///< of this lane, from 0
  u64 first = 0;   ///< element of a block
  u64 elements = 0;
  u64 chunkElements = 0;
};

/// A rank's world at hand, in shared memory: whoever acquires empties the L1. Not of kernels that
/// seal, to which their shared memory is dearer than the wait.
template <bool kCopies>
struct WorldAtHand {
  World world;
  LOCKSTEP_INLINE const World& of(const World&) const { return world; }
  /// By the block, before a barrier.
  LOCKSTEP_INLINE void copy(const World& from) {
    for (u32 i = thread(); i < sizeof(World) / sizeof(u64); i += threads())
      storeElement(reinterpret_cast<u64*>(&world) + i,
                   loadElement<u64>(reinterpret_cast<const u64*>(&from) + i));
  }
};
template <>
struct WorldAtHand<false> {
  LOCKSTEP_INLINE const World& of(const World& world) const { return world; }
  LOCKSTEP_INLINE void copy(const World&) {}
};

/// Ends of the operation under way and of the one before, whose signals may still be given: not in
/// registers, which are dear, since few threads need them. In shared memory, but where a cipher's
/// tables leave too little of that: there in the lane's state, which is that kernel's that has
/// entered.
template <u32 kWorld, bool kAtHand>
struct LaneEnds {
  End ends[2][2 * kWorld + 2];
  LOCKSTEP_INLINE End* endsOf(LaneState&, u32 turn) { return ends[turn]; }
};
template <u32 kWorld>
struct LaneEnds<kWorld, false> {
  LOCKSTEP_INLINE End* endsOf(LaneState& state, u32 turn) const {
    static_assert(2 * (2 * kWorld + 2) * sizeof(End) <= kEndsBytes);
    return reinterpret_cast<End*>(state.ends) + turn * (2 * kWorld + 2);
  }
};
/// Largest sealed world whose ends are in shared memory.
inline constexpr u32 kSealedAtHand = 16;

/// Shared memory of a lane, for a world of `kWorld`.
template <u32 kWorld, bool kSealed>
struct LaneShared : WorldAtHand<!kSealed>, LaneEnds<kWorld, !kSealed || kWorld <= kSealedAtHand> {
  u64 out[kWorld + 1];  ///< messages before this call, by reader; kWorld: to everyone
  u64 in[2 * kWorld];   ///< by writer; kWorld + writer: from its channel to everyone
  u64 nonces[3 * kWorld];
  u64 inOffset[kWorld], outOffset[kWorld];  ///< of exposed buffers, in their rank's segment
  u64 calls, exposures;
  u32 entered;  ///< the lane is this kernel's
  u32 stop;     ///< set by whoever fails, at any time
  u32 over;     ///< `stop` as it was between two tiles
};

/// `kChunks`: into how many a tile's part of a block is cut.
template <u32 kWorld, u32 kChunks, u32 kElementBytes, Protocol kProtocol, bool kSealed>
class Lane {
 public:
  using Shared = LaneShared<kWorld, kSealed>;
  static constexpr u32 kWorldSize = kWorld;

  /// `sealing`: shared memory of sealed.cuh. `counts`: messages and seals of a tile. All steps and
  /// nonces of the call are taken here, before anything is sent or sealed, so that no other kernel
  /// can have them, whatever becomes of this one.
  template <class Counts>
  LOCKSTEP_INLINE Lane(const Call& call, Shared& shared, u8* sealing, const Counts& counts)
      : call_(call),
        world_(shared.of(*call.world)),
        shared_(shared),
        sealing_(sealing),
        lane_(blockOfRank()) {
    // All of it by different threads, so that a call waits for memory about once before it begins.
    const World& world = *call.world;
    LaneState& state = world.lanes[lane_];
    shared.copy(world);
    const u64 n = myTiles();
    const u32 who = counts.at(world.rank, call.root);
    for (u32 i = thread(); i < kCounters; i += threads()) takeCounter(state, i, n, counts, who);
    if (thread() == threads() - 1) enterLane(world, state);
    syncThreads();
  }

  LOCKSTEP_INLINE u32 rank() const { return world_.rank; }
  /// The call has failed: nothing more is moved or signalled. (Barriers of the block are met all
  /// the same, since its threads may learn it at different times.)
  LOCKSTEP_INLINE bool stopped() const { return loadShared(&shared_.stop) != 0; }
  const Call& call() const { return call_; }
  const World& world() const { return world_; }
  LOCKSTEP_INLINE u32 number() const { return lane_; }
  LOCKSTEP_INLINE u64 callNumber() const { return shared_.calls; }

  LOCKSTEP_INLINE u8* sealing() const { return sealing_; }
  /// Private memory for one message.
  LOCKSTEP_INLINE u8* staging(u32 index) const {
    return world_.scratch + u64{lane_ + 1} * world_.scratchBytes -
           u64{index + 1} * world_.geometry.slotBytes;
  }

  // ---- tiles ----

  LOCKSTEP_INLINE u64 tiles() const {
    return (call_.count + call_.tileElements - 1) / call_.tileElements;
  }
  /// At least one: an empty call still synchronises.
  LOCKSTEP_INLINE u64 myTiles() const {
    const u64 all = tiles() == 0 ? 1 : tiles();
    return all <= lane_ ? 0 : (all - lane_ - 1) / blocksPerRank() + 1;
  }
  /// False: the call has failed, as all threads see alike; or another kernel is in the lane, of
  /// whose state nothing may be touched.
  LOCKSTEP_INLINE bool enter(u64 number) {
    if (shared_.entered == 0) return false;
    if (number != 0) {
      syncThreads();
      if (thread() == 0) shared_.over = stopped();
      syncThreads();
      if (shared_.over != 0) return false;
    }
    tile_.number = number;
    tile_.first = (number * blocksPerRank() + lane_) * call_.tileElements;
    const u64 left = call_.count - (tile_.first < call_.count ? tile_.first : call_.count);
    tile_.elements = left < call_.tileElements ? left : call_.tileElements;
    tile_.chunkElements = chunkElements(tile_.elements);
    return true;
  }
  const Tile& tile() const { return tile_; }

  /// As schedule::elementsOf cuts: chunks of one size, a multiple of 64 bytes, but for the last.
  LOCKSTEP_INLINE static u64 chunkElements(u64 elements) {
    constexpr u64 line = kElementBytes < 64 ? 64 / kElementBytes : 1;
    return kChunks == 0 ? 0 : roundUp((elements + kChunks - 1) / kChunks, line);
  }

  LOCKSTEP_INLINE Piece piece(u32 chunk, u32 chunks, u32 blocks) const {
    return {(beginOf(chunk + chunks) - beginOf(chunk)) * kElementBytes, blocks};
  }

  // ---- ends ----

  LOCKSTEP_INLINE End own(Buffer buffer, u32 block, u32 chunk) const {
    u8* base = buffer == Buffer::in ? const_cast<u8*>(call_.in) : call_.out;
    return memory(base + at(block, chunk), call_.count * kElementBytes);
  }
  /// Chunks of scratch all have the size of a full one.
  LOCKSTEP_INLINE End scratch(u32 chunk) const {
    const u64 each = fullChunkElements() * kElementBytes;
    return memory(world_.scratch + u64{lane_} * world_.scratchBytes + chunk * each, each);
  }
  /// What premultiply.cuh has made of a chunk of `in`, in scratch from chunk `first` on: blocks of
  /// a full tile's size, in which chunks lie as in `in`.
  LOCKSTEP_INLINE End product(u32 first, u32 block, u32 chunk) const {
    const u64 each = fullChunkElements() * kElementBytes, stride = kChunks * each;
    u8* base = world_.scratch + u64{lane_} * world_.scratchBytes + first * each;
    return memory(base + block * stride + beginOf(chunk) * kElementBytes, stride);
  }
  /// In the memory that `peer` has exposed.
  LOCKSTEP_INLINE End peers(u32 peer, Buffer buffer, u32 block, u32 chunk) const {
    const u64 offset = buffer == Buffer::in ? shared_.inOffset[peer] : shared_.outOffset[peer];
    return memory(world_.segments[peer] + offset + at(block, chunk), call_.count * kElementBytes);
  }
  /// Message `ordinal` of the `perTile` that I write to `reader` in a tile.
  LOCKSTEP_INLINE End departs(u32 reader, u32 ordinal, u32 perTile) const {
    return message(End::Kind::message, reader, reader, world_.rank, shared_.out[reader], ordinal,
                   perTile);
  }
  LOCKSTEP_INLINE End arrives(u32 writer, u32 ordinal, u32 perTile) const {
    return message(End::Kind::message, writer, world_.rank, writer, shared_.in[writer], ordinal,
                   perTile);
  }
  /// To everyone.
  LOCKSTEP_INLINE End casts(u32 ordinal, u32 perTile) const {
    return message(End::Kind::cast, world_.rank, world_.rank, kWorld + world_.rank,
                   shared_.out[kWorld], ordinal, perTile);
  }
  LOCKSTEP_INLINE End caught(u32 writer, u32 ordinal, u32 perTile) const {
    return message(End::Kind::message, writer, world_.rank, kWorld + writer,
                   shared_.in[kWorld + writer], ordinal, perTile);
  }
  /// The same end, sealed under the key of (sender, receiver), `index`-th of `perTile`. `use`:
  /// where the key's counter is.
  LOCKSTEP_INLINE End sealed(End end, u32 sender, u32 receiver, u32 index, u32 perTile) const {
    end.sender = static_cast<u16>(sender);
    end.receiver = static_cast<u16>(receiver);
    end.index = index;
    end.counter = shared_.nonces[keyOf(sender, receiver)] + tile_.number * perTile + index;
    return end;
  }
  /// Number of a key among those of this rank: to each peer, from each peer, each one's for the
  /// group.
  LOCKSTEP_INLINE u32 keyOf(u32 sender, u32 receiver) const {
    if (receiver == kMaxWorld) return 2 * kWorld + sender;
    return sender == world_.rank ? receiver : kWorld + sender;
  }

  /// The ends of the next operation are kept here, each by the thread that will wait for it.
  LOCKSTEP_INLINE End* nextEnds() {
    turn_ ^= 1;
    return shared_.endsOf(mine(), turn_);
  }

  // ---- waiting, by one thread ----

  /// Until the message is there. False: the call has failed.
  LOCKSTEP_INLINE bool awaitArrival(const End& end) {
    const SlotFlag* flag = flagOf(world_.rank, end);
    if (!spin([&] { return sees(&flag->step, end.step + 1); }, end.peer, end.step)) return false;
    if constexpr (!kSealed) {
      const u64 theirs = loadRelaxed(&flag->fingerprint);
      if (theirs != call_.fingerprint) return fail(Fault::mismatch, end.peer, end.step, theirs);
    }
    return true;
  }
  /// Until the slot that the message goes to is free again. `kCasts`: it may go to everyone.
  template <bool kCasts>
  LOCKSTEP_INLINE bool awaitRoom(const End& end) {
    if (end.step < kSlots) return true;
    const u64 needed = end.step - kSlots + 1;
    if constexpr (kCasts) {
      if (end.kind == End::Kind::cast) return awaitCredits(needed);
    }
    return awaitCredit(end.peer, end.peer, needed);
  }

  template <class Ready>
  LOCKSTEP_INLINE bool spin(Ready ready, u32 peer, u64 step) {
    if (stopped()) return false;
    for (Patience patience; !ready();) {
      const Fault fault = patience.lookAgain(world_, call_.patience, [this] { return stopped(); });
      if (fault != Fault::none) return fail(fault, peer, step, 0);
    }
    return true;
  }

  /// Ends this call, here and on all ranks. By any thread; always false.
  LOCKSTEP_INLINE bool fail(Fault fault, u32 peer, u64 step, u64 theirs) {
    storeShared(&shared_.stop, 1);
    if (fault == Fault::aborted) return false;  // whoever began it has reported
    giveUp(*call_.world, fault, peer, lane_, shared_.calls, step, call_.fingerprint, theirs);
    return false;
  }

  /// What came did not verify. Whether the peer made another call or someone changed it on the way,
  /// only the peer's word in the clear can tell, so that is a guess, and changes nothing but the
  /// report.
  LOCKSTEP_INLINE void failToOpen(const End& end) {
    const u64 theirs = loadRelaxed(&flagOf(world_.rank, end)->fingerprint);
    const bool same = theirs == call_.fingerprint;
    fail(same ? Fault::integrity : Fault::mismatch, end.peer, end.step, same ? 0 : theirs);
  }

  // ---- signalling, by one thread, after syncThreads() ----

  template <bool kCasts>
  LOCKSTEP_INLINE void announce(const End& end) {
    if constexpr (kCasts) {
      if (end.kind == End::Kind::cast) {
        announceToAll(end);
        return;
      }
    }
    setFlag(flagOf(end.peer, end), end.step);
  }
  LOCKSTEP_INLINE void consume(const End& end) {
    const bool everyone = end.channel >= kWorld;
    Credit* credit = creditIn(end.peer, everyone ? kWorld + world_.rank : world_.rank);
    // Of lines every value has been looked at before the block's barrier, so its load is done:
    // there is nothing to order, and a release would wait for the stores of other lines.
    if constexpr (kProtocol == Protocol::ll)
      storeRelaxed(&credit->consumed, end.step + 1);
    else
      storeRelease(&credit->consumed, end.step + 1);
  }

  // ---- lines (protocol "ll"), by the thread that takes or puts them ----

  LOCKSTEP_INLINE Line peekLine(const End& end, u32 number) const {
    return loadLine(end.at + u64{number} * sizeof(Line));
  }
  /// What the line holds; `line`: as it was when it was first looked at.
  LOCKSTEP_INLINE u64 takeLine(const End& end, u32 number, Line line) {
    const u64 wanted = lineFlag(end.step);
    if (line.flag == wanted) return line.data;
    const auto there = [&] {
      line = peekLine(end, number);
      return line.flag == wanted || (line.flag ^ wanted) << (64 - kStepBits) == 0;
    };
    if (spin(there, end.peer, end.step) && line.flag != wanted)
      fail(Fault::mismatch, end.peer, end.step, line.flag);
    return line.data;
  }
  LOCKSTEP_INLINE void putLine(const End& end, u32 number, u64 data) {
    const u64 at = end.offset + u64{number} * sizeof(Line);
    const u64 flag = lineFlag(end.step);
    if (end.kind == End::Kind::message) {
      storeLine(world_.segments[end.peer] + at, data, flag);
      return;
    }
    for (u32 reader = 0; reader < kWorld; ++reader)
      if (reader != world_.rank) storeLine(world_.segments[reader] + at, data, flag);
  }

  // ---- exposure ----

  /// Peers may read my `in` and write my `out` from here on.
  LOCKSTEP_INLINE void expose() {
    if (stopped()) return;
    for (u32 peer = thread(); peer < kWorld; peer += threads()) {
      if (peer == world_.rank) continue;
      Exposure* line = exposureIn(peer, world_.rank);
      storeRelaxed(&line->fingerprint, call_.fingerprint);
      storeRelaxed(&line->in, call_.inOffset);
      storeRelaxed(&line->out, call_.outOffset);
      storeRelease(&line->entered, shared_.exposures + 1);
    }
  }
  /// Every peer has exposed; where its buffers are is known.
  LOCKSTEP_INLINE void acquire() {
    for (u32 peer = thread(); peer < kWorld && !stopped(); peer += threads())
      if (peer != world_.rank) learn(peer);
    syncThreads();
  }
  /// Whether every rank has exposed the same places of its segment.
  LOCKSTEP_INLINE bool sameOffsets() const {
    for (u32 peer = 0; peer < kWorld; ++peer)
      if (peer != world_.rank &&
          (shared_.inOffset[peer] != call_.inOffset || shared_.outOffset[peer] != call_.outOffset))
        return false;
    return true;
  }
  /// I shall not touch peers' memory again.
  LOCKSTEP_INLINE void release() {
    syncThreads();
    if (stopped()) return;
    for (u32 peer = thread(); peer < kWorld; peer += threads())
      if (peer != world_.rank)
        storeRelease(&exposureIn(peer, world_.rank)->released, shared_.exposures + 1);
  }
  /// Nobody touches mine any more.
  LOCKSTEP_INLINE void close() {
    for (u32 peer = thread(); peer < kWorld && !stopped(); peer += threads()) {
      if (peer == world_.rank) continue;
      const Exposure* line = exposureIn(world_.rank, peer);
      spin([&] { return sees(&line->released, shared_.exposures + 1); }, peer, shared_.exposures);
    }
    syncThreads();
    if (thread() == 0) ++shared_.exposures;
    syncThreads();
    if (world_.multicast != nullptr) fenceAlias();  // peers may have written by the other address
  }

  // ---- the end of a call ----

  LOCKSTEP_INLINE void leave() {
    syncThreads();
    if (thread() != 0) return;
    if (stopped()) storeRelaxed(&world_.verdict->stopped, 1);
    mine().exposures = shared_.exposures;
    if (shared_.entered != 0) storeReleaseOnDevice(&mine().busy, 0);
  }

  LOCKSTEP_INLINE SlotFlag* flagOf(u32 reader, const End& end) const {
    return reinterpret_cast<SlotFlag*>(world_.segments[reader] + flagOffset(end));
  }
  LOCKSTEP_INLINE u64 fullChunkElements() const { return chunkElements(call_.tileElements); }

 private:
  static constexpr u32 kOuts = kWorld + 1, kIns = 2 * kWorld, kNonces = kSealed ? 3 * kWorld : 0;
  static constexpr u32 kCounters = kOuts + kIns + kNonces;

  /// Of the lane's counters the i-th: messages out, messages in, nonces. `who`: among the counts.
  template <class Counts>
  LOCKSTEP_INLINE void takeCounter(LaneState& state, u32 i, u64 tiles, const Counts& counts,
                                   u32 who) {
    constexpr u32 p = static_cast<u32>(kProtocol);
    if (i < kOuts) {
      shared_.out[i] = take(&state.out[p][i == kWorld ? kMaxWorld : i], tiles * counts.out(who, i));
    } else if (const u32 in = i - kOuts; in < kIns) {
      shared_.in[in] = take(&state.in[p][in < kWorld ? in : kMaxWorld + in - kWorld],
                            tiles * counts.in(who, in));
    } else {
      const u32 nonce = in - kIns;
      shared_.nonces[nonce] = take(&state.nonces[nonce], tiles * counts.nonces(who, nonce));
    }
  }

  /// By one thread, which asks for everything before it looks at an answer.
  LOCKSTEP_INLINE void enterLane(const World& world, LaneState& state) {
    const bool entered = claimReport(&state.busy);
    const u64 calls = take(&state.calls, 1);
    const u64 exposures = state.exposures;
    const bool begins = mayBegin(world);
    shared_.calls = calls;
    shared_.exposures = exposures;
    shared_.entered = entered;
    shared_.stop = begins ? 0 : 1;
    if (lane_ == 0) {
      Control& control = controlOf(world, world.rank);
      storeRelaxed(&control.what, call_.what);
      storeRelaxed(&control.count, call_.described);
      storeRelaxed(&control.calls, calls + 1);
    }
    if (!entered) fail(Fault::overlap, world.rank, 0, 0);
  }

  LOCKSTEP_INLINE LaneState& mine() const { return world_.lanes[lane_]; }
  LOCKSTEP_INLINE Offsets offsets() const { return {world_.geometry}; }

  LOCKSTEP_INLINE static End memory(u8* at, u64 stride) {
    End end;
    end.at = at;
    end.stride = stride;
    return end;
  }
  LOCKSTEP_INLINE End message(End::Kind kind, u32 peer, u32 reader, u32 channel, u64 before,
                              u32 ordinal, u32 perTile) const {
    End end;
    end.kind = kind;
    end.peer = peer;
    end.channel = channel;
    end.step = before + tile_.number * perTile + ordinal;
    const auto slot = static_cast<u32>(end.step % kSlots);
    end.offset = kProtocol == Protocol::simple ? offsets().slot(lane_, channel, slot)
                                               : offsets().line(lane_, channel, slot);
    end.at = kind == End::Kind::cast ? nullptr : world_.segments[reader] + end.offset;
    return end;
  }
  LOCKSTEP_INLINE u64 flagOffset(const End& end) const {
    return offsets().flag(lane_, end.channel, static_cast<u32>(end.step % kSlots));
  }
  LOCKSTEP_INLINE Credit* creditIn(u32 writer, u32 channel) const {
    return reinterpret_cast<Credit*>(world_.segments[writer] +
                                     offsets().credit(kProtocol, lane_, channel));
  }
  LOCKSTEP_INLINE Exposure* exposureIn(u32 rank, u32 by) const {
    return reinterpret_cast<Exposure*>(world_.segments[rank] + offsets().exposure(lane_, by));
  }
  LOCKSTEP_INLINE bool awaitCredit(u32 reader, u32 channel, u64 needed) {
    const Credit* credit = creditIn(world_.rank, channel);
    return spin([&] { return seesAtLeast(&credit->consumed, needed); }, reader, needed - 1);
  }
  LOCKSTEP_INLINE bool awaitCredits(u64 needed) {
    for (u32 reader = 0; reader < kWorld; ++reader)
      if (reader != world_.rank && !awaitCredit(reader, kWorld + reader, needed)) return false;
    return true;
  }
  /// A line has no room for a fingerprint beside its flag, so the flag has 20 bits of it. A line
  /// could be taken for one of an earlier round after 2^44 messages: at one a microsecond, half a
  /// year, if nothing was written to that line meanwhile.
  static constexpr u32 kStepBits = 44;
  LOCKSTEP_INLINE u64 lineFlag(u64 step) const {
    return ((step + 1) & ((u64{1} << kStepBits) - 1)) | call_.fingerprint << kStepBits;
  }
  LOCKSTEP_INLINE void announceToAll(const End& end) {
    if (world_.multicast != nullptr) {
      SlotFlag* flag = reinterpret_cast<SlotFlag*>(world_.multicast + flagOffset(end));
      fenceAlias();
      multicastStoreRelaxed(&flag->fingerprint, call_.fingerprint);
      multicastStoreRelease(&flag->step, end.step + 1);
      return;
    }
    for (u32 reader = 0; reader < kWorld; ++reader)
      if (reader != world_.rank) setFlag(flagOf(reader, end), end.step);
  }
  LOCKSTEP_INLINE void setFlag(SlotFlag* flag, u64 step) { raise(flag, step, call_.fingerprint); }

  LOCKSTEP_INLINE void learn(u32 peer) {
    const Exposure* line = exposureIn(world_.rank, peer);
    if (!spin([&] { return sees(&line->entered, shared_.exposures + 1); }, peer, shared_.exposures))
      return;
    const u64 theirs = loadRelaxed(&line->fingerprint);
    if (theirs != call_.fingerprint) {
      fail(Fault::mismatch, peer, shared_.exposures, theirs);
      return;
    }
    shared_.inOffset[peer] = bounded(loadRelaxed(&line->in), call_.inBytes, peer);
    shared_.outOffset[peer] = bounded(loadRelaxed(&line->out), call_.outBytes, peer);
  }
  /// A peer's word is no address: it must name memory of its heap.
  LOCKSTEP_INLINE u64 bounded(u64 offset, u64 bytes, u32 peer) {
    if (offset >= offsets().heap() && offset <= offsets().bytes() &&
        bytes <= offsets().bytes() - offset)
      return offset;
    fail(Fault::outside, peer, shared_.exposures, offset);
    return offsets().heap();
  }

  LOCKSTEP_INLINE u64 beginOf(u32 chunk) const {
    const u64 begin = chunk * tile_.chunkElements;
    return begin < tile_.elements ? begin : tile_.elements;
  }
  LOCKSTEP_INLINE u64 at(u32 block, u32 chunk) const {
    return (block * call_.count + tile_.first + beginOf(chunk)) * kElementBytes;
  }

  const Call& call_;
  const World& world_;
  Shared& shared_;
  u8* sealing_;
  u32 lane_;
  u32 turn_ = 0;
  Tile tile_;
};

}  // namespace lockstep::device
