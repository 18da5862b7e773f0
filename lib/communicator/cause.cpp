#include "communicator/cause.hpp"

#include <fmt/format.h>

namespace lockstep {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

/// As words of a status line have ranks: 0 is none.
std::uint64_t worded(std::int8_t rank) {
  return static_cast<std::uint64_t>(rank) + 1;
}

std::int8_t rankOf(std::uint64_t word, int worldSize, std::int8_t otherwise) {
  return word == 0 || word > static_cast<std::uint64_t>(worldSize)
             ? otherwise
             : static_cast<std::int8_t>(word - 1);
}

std::string whatHappened(const Cause& cause) {
  if (cause.code == ErrorCode::aborted) return "it called abort";
  if (cause.culprit == cause.witness) return fmt::format("it reported: {}", name(cause.code));
  switch (cause.code) {
    case ErrorCode::peerDied:
      return fmt::format("rank {} has died or left", cause.culprit);
    case ErrorCode::timeout:
      return fmt::format("it waited too long for rank {}", cause.culprit);
    case ErrorCode::mismatch:
      return fmt::format("rank {} called something else", cause.culprit);
    case ErrorCode::integrity:
      return fmt::format("what came from rank {} did not verify", cause.culprit);
    default:
      return fmt::format("it reported: {}, and blames rank {}", name(cause.code), cause.culprit);
  }
}

}  // namespace

void tell(shm::StatusLine& mine, const Cause& cause) {
  mine.errorCode.store(static_cast<std::uint64_t>(cause.code), kRelaxed);
  mine.culprit.store(worded(cause.culprit), kRelaxed);
  mine.witness.store(worded(cause.witness), kRelaxed);
  mine.sequence.store(cause.sequence, kRelaxed);
}

Cause hear(const shm::StatusLine& theirs, int teller, int worldSize) {
  const std::uint64_t code = theirs.errorCode.load(kRelaxed);
  const bool isCode = code <= static_cast<std::uint64_t>(ErrorCode::internal);
  const std::int8_t witness =
      rankOf(theirs.witness.load(kRelaxed), worldSize, static_cast<std::int8_t>(teller));
  return {.known = true,
          .code = isCode ? static_cast<ErrorCode>(code) : ErrorCode::internal,
          .culprit = rankOf(theirs.culprit.load(kRelaxed), worldSize, witness),
          .witness = witness,
          .sequence = static_cast<std::uint32_t>(theirs.sequence.load(kRelaxed))};
}

std::string toString(const Cause& cause) {
  const std::string when =
      cause.sequence == 0 ? "before any call" : fmt::format("at call #{}", cause.sequence);
  return fmt::format("rank {} gave up {}: {}", cause.witness, when, whatHappened(cause));
}

}  // namespace lockstep
