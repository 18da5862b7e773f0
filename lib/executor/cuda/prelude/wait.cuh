// How a wait ends when nothing comes, and how all ranks hear of it.
#pragma once

#include "executor/cuda/prelude/layout.cuh"

namespace lockstep::device {

/// Looks at a word before a glance at the clock and at the abort word: tens of microseconds, so it
/// costs nothing measurable and ends a wait soon enough.
inline constexpr u32 kLooks = 256;

LOCKSTEP_INLINE Control& controlOf(const World& world, u32 rank) {
  return *reinterpret_cast<Control*>(world.segments[rank]);
}

// An acquire empties the L1, so only what is there is acquired: a poll is none.

LOCKSTEP_INLINE bool sees(const u64* word, u64 wanted) {
  return loadRelaxed(word) == wanted && loadAcquire(word) == wanted;
}
LOCKSTEP_INLINE bool seesAtLeast(const u64* word, u64 least) {
  return loadRelaxed(word) >= least && loadAcquire(word) >= least;
}

/// One wait, by one thread.
class Patience {
 public:
  /// After a look in vain. Fault::none: look again. `most`: nanoseconds that a wait may take;
  /// `stopped`: says whether the block has failed meanwhile.
  template <class Stopped>
  LOCKSTEP_INLINE Fault lookAgain(const World& world, u64 most, Stopped stopped) {
    relax();
    if (++looks_ % kLooks != 0) return Fault::none;
    const u64 now = nanoseconds();
    if (began_ == 0) began_ = now;
    if (stopped() || loadRelaxed(&controlOf(world, world.rank).abort) != 0) return Fault::aborted;
    return now - began_ > most ? Fault::timeout : Fault::none;
  }

 private:
  u32 looks_ = 0;
  u64 began_ = 0;
};

/// The fault last: who sees it sees the rest.
LOCKSTEP_INLINE void write(Report& to, const Report& why) {
  storeRelaxed(&to.rank, why.rank);
  storeRelaxed(&to.lane, why.lane);
  storeRelaxed(&to.call, why.call);
  storeRelaxed(&to.step, why.step);
  storeRelaxed(&to.fingerprint, why.fingerprint);
  storeRelaxed(&to.theirs, why.theirs);
  storeRelease(&to.fault, why.fault);
}

/// Whether a kernel may begin: who has failed stays failed, in a replayed graph too.
LOCKSTEP_INLINE bool mayBegin(const World& world) {
  const u64 abort = loadRelaxed(&controlOf(world, world.rank).abort);
  const u64 stopped = loadRelaxed(&world.verdict->stopped);
  const u64 claimed = loadRelaxed(&world.verdict->claimed);
  return (abort | stopped | claimed) == 0;
}

/// Ends the calls of all ranks. The first block of a rank to do so says why. A function, and its
/// arguments words: it is called from wherever something can fail, and hardly ever, so its text
/// should not lie among that of what goes well.
LOCKSTEP_NOINLINE void giveUp(const World& world, Fault fault, u32 rank, u32 lane, u64 call,
                              u64 step, u64 fingerprint, u64 theirs) {
  const Report why{static_cast<u64>(fault), rank, lane, call, step, fingerprint, theirs};
  if (claimReport(&world.verdict->claimed)) {
    write(world.verdict->report, why);
    write(controlOf(world, world.rank).report, why);
  }
  for (u32 r = 0; r < world.geometry.world; ++r)
    storeRelaxed(&controlOf(world, r).abort, world.rank + 1);
}

/// Says that message `step` is in its slot, with release; what `fingerprint` says comes before it.
LOCKSTEP_INLINE void raise(SlotFlag* flag, u64 step, u64 fingerprint) {
  storeRelaxed(&flag->fingerprint, fingerprint);
  storeRelease(&flag->step, step + 1);
}

}  // namespace lockstep::device
