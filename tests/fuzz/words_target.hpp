// Any words where ranks say in shared memory what they call, send and receive: a call that would be
// said by the same words, or none; never a name beyond a table.
#pragma once

#include <cstdint>

#include "executor/cuda/call.hpp"
#include "executor/cuda/transfer.hpp"
#include "fuzz/played_peers.hpp"
#include "transport/shm/call.hpp"
#include "transport/shm/transfer_stamp.hpp"

namespace lockstep::fuzz {

inline std::uint64_t wordOf(Input& input) {
  std::uint64_t word = 0;
  for (const std::byte b : input.bytes(sizeof word))
    word = word << 8 | std::to_integer<unsigned>(b);
  return word;
}

inline void fill(shm::CallLine& line, Input& input) {
  line.version.store(input.byte());
  line.sequence.store(input.byte() % 2 == 0 ? input.byte() : wordOf(input));
  for (shm::CallLine::Call& call : line.calls) {
    call.what.store(wordOf(input));
    call.count.store(wordOf(input));
  }
}

inline void callLines(Input& input) {
  shm::CallLine theirs, mine;
  fill(theirs, input);
  fill(mine, input);
  demandSound(shm::mismatchText(1, theirs, 0, mine, {}));
  if (const auto differ = shm::firstDifference(theirs, mine))
    demand(differ->theirs != differ->mine && differ->theirs.sequence == differ->mine.sequence);
  const auto call = shm::read(theirs);
  if (!call) return;
  shm::CallLine same;
  shm::announce(same, *call);
  const auto& said = theirs.calls[call->sequence % shm::kCallsKept];
  const auto& again = same.calls[call->sequence % shm::kCallsKept];
  demand(same.sequence == theirs.sequence && again.what == said.what && again.count == said.count);
  demandSound(shm::toString(*call));
}

inline void deviceWords(Input& input) {
  const std::uint64_t what = wordOf(input), count = wordOf(input);
  const auto call = cuda::unpack(what, count);
  if (call) {
    demand(cuda::pack(*call) == (what & ~cuda::kReadInPlace) && call->count == count);
    demandSound(cuda::toString(*call) + cuda::buffersOf(what));
  }
  const auto transfers = cuda::describeTransfers(what);
  demand(!call || !transfers);
  demandSound(transfers.value_or(""));
  demandSound(cuda::describeTransfer(what).value_or(""));
}

inline void stamp(Input& input) {
  // With its mark, mostly.
  const std::uint64_t word =
      input.byte() % 4 == 0 ? wordOf(input) : shm::stampOf({}) ^ wordOf(input) >> input.byte() % 64;
  const auto transfer = shm::transferOf(word);
  if (!transfer) return;
  demand(shm::stampOf(*transfer) == (word & ~shm::kDirect));
  demandSound(name(transfer->type));
}

inline void words(std::span<const std::byte> bytes) {
  Input input(bytes);
  callLines(input);
  stamp(input);
  deviceWords(input);
}

}  // namespace lockstep::fuzz
