// Sends and receives: what one rank exchanges with others, all of it side by side. No schedule says
// who does so when; the two ends of a way agree on its messages by its size alone.
//
// Block b has lane b of every transfer, as in collectives, with the same channels and the same
// counters; so there is one block per lane, however many transfers there are, and whoever made room
// for a collective has made room for this. A block goes round: every thread looks whether the next
// message of a transfer can move, the block moves those that can, one after the other, and signals.
#pragma once

#include "executor/cuda/prelude/kernel.cuh"
#include "executor/cuda/prelude/move.cuh"
#include "executor/cuda/prelude/transfer_call.cuh"
#include "executor/cuda/prelude/wait.cuh"

namespace lockstep::device {

/// The message of a transfer that is next in a lane.
struct TransferMessage {
  const World& world;
  u32 lane;
  const Transfer& transfer;
  u64 step;     ///< on its channel
  u64 counter;  ///< of its key's nonce
  u64 number;   ///< of the transfer's, from 0

  LOCKSTEP_INLINE u32 reader() const { return transfer.sends != 0 ? transfer.peer : world.rank; }
  LOCKSTEP_INLINE u32 writer() const { return transfer.sends != 0 ? world.rank : transfer.peer; }

  LOCKSTEP_INLINE u8* data() const { return transfer.data + number * transfer.messageBytes; }
  LOCKSTEP_INLINE u32 bytes() const {
    const u64 left = transfer.bytes - number * transfer.messageBytes;
    return left < transfer.messageBytes ? static_cast<u32>(left) : transfer.messageBytes;
  }

  LOCKSTEP_INLINE u8* slot() const {
    return world.segments[reader()] + offsets().slot(lane, writer(), slotNumber());
  }
  LOCKSTEP_INLINE SlotFlag* flag() const {
    return reinterpret_cast<SlotFlag*>(world.segments[reader()] +
                                       offsets().flag(lane, writer(), slotNumber()));
  }
  LOCKSTEP_INLINE Credit* credit() const {
    return reinterpret_cast<Credit*>(world.segments[writer()] +
                                     offsets().credit(Protocol::simple, lane, reader()));
  }

  /// Its slot is free, or it has come. By one thread.
  LOCKSTEP_INLINE bool canMove() const {
    if (transfer.sends == 0) return sees(&flag()->step, step + 1);
    return step < kSlots || seesAtLeast(&credit()->consumed, step - kSlots + 1);
  }
  /// It has moved. By one thread, after syncThreads().
  LOCKSTEP_INLINE void signal() const {
    if (transfer.sends != 0)
      raise(flag(), step, transfer.fingerprint());
    else
      storeRelease(&credit()->consumed, step + 1);
  }

 private:
  LOCKSTEP_INLINE Offsets offsets() const { return {world.geometry}; }
  LOCKSTEP_INLINE u32 slotNumber() const { return static_cast<u32>(step % kSlots); }
};

/// Moves messages as they are.
struct ClearCarrier {
  using Shared = NoSealing;
  static constexpr bool kSealed = false;

  LOCKSTEP_INLINE ClearCarrier(const TransferLaunch&, Shared&) {}
  /// By the block.
  LOCKSTEP_INLINE bool carry(const TransferMessage& message) {
    End ends[2];
    ends[0].at = message.data();
    ends[1].at = message.slot();
    if (message.transfer.sends != 0) {
      ends[0].at = message.slot();
      ends[1].at = message.data();
    }
    const NoLane lane{message.world};
    Mover<Arithmetic<U8, Sum, false>, false>::moveBlocks<const NoLane, 1, 1>(
        lane, {message.bytes(), 1}, 1, ends);
    return true;
  }

 private:
  /// What Mover asks of a lane when it casts, which it does not here.
  struct NoLane {
    static constexpr u32 kWorldSize = 1;
    const World& of;
    const World& world() const { return of; }
  };
};

/// What a lane knows of the transfers; each is looked after by one thread.
struct TransferShared {
  enum class Turn : u8 { waits, moves, over };
  u64 first[kMaxTransfers];   ///< messages of the channel before this call
  u64 nonces[kMaxTransfers];  ///< of the key before this call
  u64 mine[kMaxTransfers];    ///< messages in this lane
  u64 done[kMaxTransfers];    ///< of those
  Turn turn[kMaxTransfers];
  u32 entered;  ///< the lane is this kernel's
  u32 stop;     ///< read only between a barrier and the next, written only outside
};

template <class Carrier>
class TransferLane {
 public:
  using Turn = TransferShared::Turn;

  LOCKSTEP_INLINE TransferLane(const TransferLaunch& launch, TransferShared& shared,
                               typename Carrier::Shared& carrying)
      : launch_(launch),
        world_(*launch.world),
        shared_(shared),
        carrier_(launch, carrying),
        lane_(blockOfRank()) {}

  LOCKSTEP_INLINE void run() {
    enter();
    while (look() && carry()) {
      syncThreads();
      forMine([&](u32 i) {
        if (shared_.turn[i] != Turn::moves) return;
        messageOf(i).signal();
        ++shared_.done[i];
      });
    }
    leave();
  }

 private:
  template <class F>
  LOCKSTEP_INLINE void forMine(F f) {
    for (u32 i = thread(); i < launch_.count; i += threads()) f(i);
  }
  LOCKSTEP_INLINE LaneState& state() const { return world_.lanes[lane_]; }
  LOCKSTEP_INLINE u64& steps(const Transfer& t) const {
    constexpr u32 p = static_cast<u32>(Protocol::simple);
    return t.sends != 0 ? state().out[p][t.peer] : state().in[p][t.peer];
  }
  LOCKSTEP_INLINE u64& nonces(const Transfer& t) const {
    return state().nonces[t.sends != 0 ? t.peer : world_.geometry.world + t.peer];
  }
  LOCKSTEP_INLINE TransferMessage messageOf(u32 i) const {
    const u64 done = shared_.done[i];
    return {world_,
            lane_,
            launch_.list[i],
            shared_.first[i] + done,
            shared_.nonces[i] + done,
            done * world_.geometry.lanes + lane_};
  }

  LOCKSTEP_INLINE void enter() {
    forMine([&](u32 i) {
      const Transfer& t = launch_.list[i];
      const u64 all = t.messages();
      const u64 mine = all <= lane_ ? 0 : (all - lane_ - 1) / world_.geometry.lanes + 1;
      // Taken before anything is sent or sealed: no other kernel can have them.
      shared_.first[i] = take(&steps(t), mine);
      shared_.nonces[i] = Carrier::kSealed ? take(&nonces(t), mine) : 0;
      shared_.mine[i] = mine;
      shared_.done[i] = 0;
    });
    if (thread() == 0) {
      Control& control = controlOf(world_, world_.rank);
      shared_.stop = mayBegin(world_) ? 0 : 1;
      shared_.entered = claimReport(&state().busy);
      if (lane_ == 0) storeRelaxed(&control.what, launch_.what);
      if (shared_.entered == 0 && launch_.count != 0) fail(Fault::overlap, messageOf(0), 0);
    }
    syncThreads();
  }

  /// Until some message can move. False, for all threads: there is none left, or the call has
  /// failed.
  LOCKSTEP_INLINE bool look() {
    Patience patience;
    for (bool idle = false;; idle = true) {
      forMine([&](u32 i) { shared_.turn[i] = turnOf(i); });
      if (idle && thread() == 0) waitOn(patience);
      syncThreads();
      bool moves = false, over = true;
      for (u32 i = 0; i < launch_.count; ++i) {
        moves |= shared_.turn[i] == Turn::moves;
        over &= shared_.turn[i] == Turn::over;
      }
      if (over || shared_.stop != 0) return false;
      if (moves) return true;
      syncThreads();
    }
  }
  LOCKSTEP_INLINE Turn turnOf(u32 i) {
    if (shared_.done[i] == shared_.mine[i]) return Turn::over;
    const TransferMessage message = messageOf(i);
    if (!message.canMove()) return Turn::waits;
    if (!Carrier::kSealed && message.transfer.sends == 0) {
      const u64 theirs = loadRelaxed(&message.flag()->fingerprint);
      if (theirs != message.transfer.fingerprint()) fail(Fault::mismatch, message, theirs);
    }
    return Turn::moves;
  }
  LOCKSTEP_INLINE void waitOn(Patience& patience) {
    const Fault fault = patience.lookAgain(world_, launch_.patience, [] { return false; });
    if (fault == Fault::none) return;
    u32 late = 0;  // one that has not ended: the block would not be here else
    while (late + 1 < launch_.count && shared_.done[late] == shared_.mine[late]) ++late;
    fail(fault, messageOf(late), 0);
  }

  /// All that can move. False, for all threads: one did not verify.
  LOCKSTEP_INLINE bool carry() {
    LOCKSTEP_NO_UNROLL
    for (u32 i = 0; i < launch_.count; ++i) {
      if (shared_.turn[i] != Turn::moves) continue;
      const TransferMessage message = messageOf(i);
      if (carrier_.carry(message)) continue;
      if (thread() == 0) blame(message);
      return false;
    }
    return true;
  }
  /// A record is bound to the size, so another size does not verify either; what the other side
  /// says it sent is no proof of that, but a better word for people.
  LOCKSTEP_INLINE void blame(const TransferMessage& message) {
    const u64 theirs = loadRelaxed(&message.flag()->fingerprint);
    const bool same = theirs == message.transfer.fingerprint();
    fail(same ? Fault::integrity : Fault::mismatch, message, theirs);
  }
  LOCKSTEP_INLINE void fail(Fault fault, const TransferMessage& message, u64 theirs) {
    storeShared(&shared_.stop, 1);
    if (fault == Fault::aborted) return;  // whoever began it has reported
    giveUp(world_, fault, message.transfer.peer, lane_, state().calls, message.step,
           message.transfer.fingerprint(), theirs);
  }

  LOCKSTEP_INLINE void leave() {
    syncThreads();
    if (thread() != 0) return;
    if (shared_.stop != 0) storeRelaxed(&world_.verdict->stopped, 1);
    if (shared_.entered != 0) storeReleaseOnDevice(&state().busy, 0);
  }

  const TransferLaunch& launch_;
  const World& world_;
  TransferShared& shared_;
  Carrier carrier_;
  u32 lane_;
};

template <class Carrier>
LOCKSTEP_INLINE void runTransfers(const TransferLaunch& launch) {
  struct Shared {
    TransferShared transfers;
    alignas(128) typename Carrier::Shared carrying;
  };
  static_assert(sizeof(Shared) <= LOCKSTEP_SHARED_BYTES);
  auto& shared = *reinterpret_cast<Shared*>(sharedMemory());
  prepareShared(shared.carrying);
  TransferLane<Carrier>(launch, shared.transfers, shared.carrying).run();
  wipeShared(shared.carrying);
}

}  // namespace lockstep::device
