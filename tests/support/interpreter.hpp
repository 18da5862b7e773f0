// What a schedule computes, by plain loops over ordinary vectors: all ranks in one thread, channels
// as queues, nothing clever. The reference that generators and executors are tested against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "collectives/schedule.hpp"

namespace lockstep::test {

/// A message as its writer put it into a channel: which destination of which operation it is.
struct SentMessage {
  int rank = 0;
  std::size_t lane = 0, op = 0, dst = 0, tile = 0;
  std::span<const std::byte> payload;  ///< until the call returns
};

struct InterpretOptions {
  /// Every block is cut into so many tiles, the last ones short or empty. Ignored where memory is
  /// exposed: there one tile is the whole message.
  std::size_t tiles = 1;
  /// Messages that a channel holds before its writer waits for its slowest reader; 0: any number.
  std::size_t slots = 0;
  /// What a finishing move divides by: the world size for an average.
  int divisor = 1;
  /// 0: ranks take turns; else each turn goes around in a random order drawn from it.
  std::uint32_t seed = 0;
  /// Is told of every message (once, if it is to everyone).
  std::function<void(const SentMessage&)> onSend = {};
};

/// Messages (and the elements in them) that one rank wrote to or took from channels. A message to
/// everyone is written once.
struct Traffic {
  std::size_t messages = 0;
  std::size_t elements = 0;
};

template <class T>
struct Interpreted {
  std::vector<std::vector<T>> out;  ///< by rank; empty where it has none
  std::vector<Traffic> sent, received;
  std::string deadlock;         ///< empty, or the operations that wait for ever, a line each
  std::size_t undelivered = 0;  ///< messages left in channels at the end
};

/// Runs the schedule on `inputs`: by rank, as many blocks as blocksOf says, all of one length. What
/// it reduces, it sums. T: double or std::int64_t. Throws std::logic_error for an operation that
/// makes no sense: ends of different lengths, a channel that is not this rank's, memory of a peer
/// that is not exposed, a block that a rank does not have.
template <class T>
Interpreted<T> interpret(const schedule::Schedule& schedule,
                         const std::vector<std::vector<T>>& inputs,
                         const InterpretOptions& options = {});

}  // namespace lockstep::test
