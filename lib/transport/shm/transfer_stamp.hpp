// What the first message of a transfer says of it, in the word where a call's message has the
// call's fingerprint: a send that meets another receive is named, with both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "transport/shm/call.hpp"
#include <lockstep/types.hpp>

namespace lockstep::shm {

/// One send or receive as both ends must describe it.
struct TransferDescription {
  std::uint64_t sequence = 0;  ///< 1 for the first from this sender to this receiver
  std::uint64_t count = 0;     ///< elements
  DataType type = DataType::u8;
};

/// Bit 0 is left for kDirect: the message says where the payload is instead of carrying it. Then 40
/// bits of count, 5 of type, 10 of sequence, and a mark. Equal exactly if the descriptions are, as
/// far as the counts go; what is longer differs in its number of messages.
std::uint64_t stampOf(const TransferDescription& transfer);
/// What a stamp says, if it has the mark: the count and the sequence as far as they go.
std::optional<TransferDescription> transferOf(std::uint64_t stamp);

}  // namespace lockstep::shm
