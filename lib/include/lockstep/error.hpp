// The one exception of the library.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include <lockstep/types.hpp>

namespace lockstep {

/// What went wrong. "Poisoned": the communicator has failed, on all ranks; make a new one.
enum class ErrorCode : std::uint8_t {
  invalidArgument,  ///< the caller's arguments; nothing was sent, the communicator lives on
  mismatch,         ///< ranks called different things; poisoned, if data was to move
  timeout,          ///< a deadline passed; poisoned
  aborted,          ///< this or another rank called abort, or failed; poisoned
  peerDied,         ///< a rank's process is gone; poisoned
  integrity,        ///< a record or message did not verify: tampering or corruption; poisoned
  keyExchange,      ///< the handshake failed: wrong pre-shared key, forged or missing messages
  bootstrap,        ///< the ranks could not find each other
  unsupported,      ///< this build or machine cannot do it
  system,           ///< the operating system refused (message has errno)
  internal,         ///< a bug of Lockstep
};

/// "peer died"
constexpr std::string_view name(ErrorCode c) {
  constexpr std::string_view names[] = {
      "invalid argument", "mismatch",  "timeout",     "aborted", "peer died", "integrity",
      "key exchange",     "bootstrap", "unsupported", "system",  "internal"};
  return names[static_cast<std::size_t>(c)];
}

/// Thrown by every entry point of the C++ API. `what()` says what happened and what to do about it.
class LOCKSTEP_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Error(ErrorCode code, int rank, std::string operation, const std::string& message)
      : std::runtime_error(message), code_(code), rank_(rank), operation_(std::move(operation)) {}

  ErrorCode code() const noexcept { return code_; }
  /// The rank to blame, or -1 when no single rank is. Of aborted: not who told, but the rank that
  /// died, did not come, called something else or called abort, as the first to notice says.
  int rank() const noexcept { return rank_; }
  /// The operation that failed ("allreduce #17"), or empty.
  const std::string& operation() const noexcept { return operation_; }

 private:
  ErrorCode code_;
  int rank_ = -1;
  std::string operation_;
};

}  // namespace lockstep
