// What a schedule should take, from what it does and from how fast a machine does each part.
#pragma once

#include <cstddef>

#include "collectives/schedule.hpp"

namespace lockstep::schedule {

/// How fast a machine is. Seconds, and bytes per second of one rank while all cores are busy. The
/// defaults are of no machine in particular: enough to order plans roughly.
struct Speeds {
  double signal = 150e-9;  ///< from a rank's store to the load by another that sees it
  double operand = 10e-9;  ///< interpreting one end of an operation
  double attach = 500e-9;  ///< one process_vm_readv, besides the bytes
  double copy = 8e9;
  double reduce = 12e9;  ///< bytes of all sources
  double seal = 3e9;
  double open = 3e9;
  int cores = 2;  ///< ranks beyond them take turns
};

/// How the schedule is run.
struct Lowering {
  bool lines = false;         ///< LL: the flag is in each line of the message
  bool attached = false;      ///< exposed memory is read by process_vm_readv
  std::size_t tileBytes = 0;  ///< of a block; without meaning for exposure
  int depth = 1;              ///< tiles in flight
  std::size_t slotBytes = 0;  ///< what a message may have at most; 0: anything
};

/// Bytes are of the rank that has most of them.
struct Cost {
  double seconds = 0;  ///< until the last rank is done
  double moved = 0;    ///< written to or read from memory that ranks share
  double sealed = 0, opened = 0;
  double reduced = 0;  ///< sources of reductions
  int messages = 0;    ///< of the rank that sends most, in all tiles
};

/// Plays one tile in simulated time, operation by operation: a message is there a signal after it
/// was sent, and a rank does one thing at a time. Further tiles follow at the pace of the busiest
/// rank, or of a tile's own length over `depth`, whichever is longer. `schedule` as it is run:
/// delivered, and secured in sealed modes. `blockBytes`: of a block. Never falls as bytes grow.
/// Throws internal for a schedule that does not end (the verifier refuses those).
Cost predict(const Schedule& schedule, std::size_t blockBytes, const Lowering& how,
             const Speeds& speeds);

}  // namespace lockstep::schedule
