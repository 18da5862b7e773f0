// Steps that all ranks take together or not at all: each does its part, tells the others how it
// went, and all draw the same conclusion.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/clock.hpp"
#include "bootstrap/peers.hpp"
#include <lockstep/error.hpp>

namespace lockstep::cuda {

/// Ranks are on devices that cannot read each other's memory; nothing else is wrong. Its code is
/// unsupported.
class PeersUnreachable : public Error {
 public:
  PeersUnreachable(int rank, const std::string& message)
      : Error(ErrorCode::unsupported, rank, {}, message) {}
};

/// Why a step was not taken.
struct Refusal {
  int rank = -1;  ///< the lowest that could not do its part
  ErrorCode code = ErrorCode::internal;
  bool unreachable = false;  ///< it threw PeersUnreachable
  std::string text;          ///< "rank 1: .."

  /// Throws it as the Error that all ranks throw.
  [[noreturn]] void raise() const;
};

/// Of a rank whose answer is none.
Refusal malformed(int rank);

/// What came of a step on all ranks.
struct Outcome {
  std::optional<Refusal> refusal;            ///< the same on all ranks; none: all did their part
  std::vector<std::vector<std::byte>> said;  ///< what their parts returned, by rank, if all did
};

/// Collective. `part` is this rank's share of the step; it must not call the peers. What it throws
/// is the refusal that every rank gets. Throws only what Peers::allGather does.
Outcome attempt(Peers& peers, Deadline deadline,
                const std::function<std::vector<std::byte>()>& part);

/// For a part that has nothing to say.
std::optional<Refusal> together(Peers& peers, Deadline deadline, const std::function<void()>& part);

/// For a part that says a T; `all` has every rank's if there is no refusal.
template <class T>
std::optional<Refusal> togetherTell(Peers& peers, Deadline deadline, const std::function<T()>& part,
                                    std::vector<T>& all) {
  static_assert(std::has_unique_object_representations_v<T>, "padding is nobody's business");
  Outcome outcome = attempt(peers, deadline, [&] {
    const T mine = part();
    std::vector<std::byte> bytes(sizeof mine);
    std::memcpy(bytes.data(), &mine, sizeof mine);
    return bytes;
  });
  if (outcome.refusal) return std::move(outcome.refusal);
  all.resize(outcome.said.size());
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (outcome.said[r].size() != sizeof(T)) return malformed(static_cast<int>(r));
    std::memcpy(&all[r], outcome.said[r].data(), sizeof(T));
  }
  return std::nullopt;
}

/// Collective: every rank has the same refusal and throws it here, but not before all ranks have
/// got it: who throws may be gone in a moment, and the others' connections with it.
[[noreturn]] void raiseTogether(Peers& peers, Deadline deadline, const Refusal& refusal);

}  // namespace lockstep::cuda
