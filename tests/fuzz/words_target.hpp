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

inline void callLine(Input& input) {
  shm::CallLine line;
  line.version.store(input.byte());
  line.sequence.store(wordOf(input));
  line.what.store(wordOf(input));
  line.count.store(wordOf(input));
  demandSound(shm::mismatchText(1, line, 0, {}));
  const auto call = shm::read(line);
  if (!call) return;
  shm::CallLine same;
  shm::announce(same, *call);
  demand(same.sequence == line.sequence && same.what == line.what && same.count == line.count);
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
  callLine(input);
  stamp(input);
  deviceWords(input);
}

}  // namespace lockstep::fuzz
