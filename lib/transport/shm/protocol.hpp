// The channel protocol: who may touch a slot when. Templates over the word type, so that the tests
// model-check this very code under the C++ memory model; there is no second copy of it.
//
// A channel has `slots` slots. Message number `step` (0, 1, 2, .. for the life of the channel) lies
// in slot step % slots. Two kinds of words, each with one writer:
//   flag of a slot            written by the channel's writer: step + 1 of the message that lies
//   there credit of (slot, reader)  written by that reader: step + 1 of the message it last
//   consumed from there
// A flag or credit of 0 means "nothing yet". Both only grow. Messages of different tiles may be
// written and consumed out of order; only the same slot has an order. Release makes the payload
// visible before the flag, and the reader's loads finished before the credit; acquire is the other
// half.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lockstep::shm {

using Step = std::uint64_t;

/// Writer: the payload of `step` is complete.
template <class Word>
void publish(Word& flag, Step step) {
  flag.store(step + 1, std::memory_order_release);
}

/// Reader: is the payload of `step` there? Equality, not order: a slot is never overwritten before
/// its reader has consumed it, so any other value is an older message (or a forged flag).
template <class Word>
bool arrived(const Word& flag, Step step) {
  return flag.load(std::memory_order_acquire) == step + 1;
}

/// Reader: has finished with the payload of `step`.
template <class Word>
void consume(Word& credit, Step step) {
  credit.store(step + 1, std::memory_order_release);
}

/// The credit that slot step % slots must show before `step` may be written there (0: none needed).
constexpr std::uint64_t creditNeeded(Step step, std::size_t slots) {
  return step < slots ? 0 : step - slots + 1;
}

/// Writer: the latest credit of a reader, to be compared with creditNeeded.
template <class Word>
std::uint64_t readCredit(const Word& credit) {
  return credit.load(std::memory_order_acquire);
}

}  // namespace lockstep::shm
