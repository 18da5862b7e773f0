#include "transport/shm/transfer_stamp.hpp"

namespace lockstep::shm {

namespace {

constexpr unsigned kCountShift = 1, kTypeShift = 41, kSequenceShift = 46, kMarkShift = 56;
constexpr std::uint64_t kCounts = (std::uint64_t{1} << 40) - 1, kTypes = 31, kSequences = 1023;
constexpr std::uint64_t kMark = 0x5a;
static_assert(kDirect == 1 && kDataTypes <= kTypes);

}  // namespace

std::uint64_t stampOf(const TransferDescription& transfer) {
  return (transfer.count & kCounts) << kCountShift |
         static_cast<std::uint64_t>(transfer.type) << kTypeShift |
         (transfer.sequence & kSequences) << kSequenceShift | kMark << kMarkShift;
}

std::optional<TransferDescription> transferOf(std::uint64_t stamp) {
  const std::uint64_t type = stamp >> kTypeShift & kTypes;
  if (stamp >> kMarkShift != kMark || type >= kDataTypes) return std::nullopt;
  return TransferDescription{.sequence = stamp >> kSequenceShift & kSequences,
                             .count = stamp >> kCountShift & kCounts,
                             .type = static_cast<DataType>(type)};
}

}  // namespace lockstep::shm
