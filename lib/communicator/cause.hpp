// Why a communicator has failed. The rank that saw it first tells the others, who pass it on: every
// rank says the same, in every error from then on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "transport/shm/segment.hpp"
#include <lockstep/error.hpp>

namespace lockstep {

struct Cause {
  bool known = false;
  ErrorCode code{};            ///< of what `witness` threw; aborted: it called abort
  std::int8_t culprit = 0;     ///< the rank to blame; the witness, if it blames nobody
  std::int8_t witness = 0;     ///< who saw it first
  std::uint32_t sequence = 0;  ///< calls that the witness had made by then
};
static_assert(sizeof(Cause) == 8 && std::has_unique_object_representations_v<Cause>,
              "an atomic one is a word, without padding to compare");

/// How the errors of a failed communicator end.
inline constexpr std::string_view kGoOn =
    "; this communicator is over: go on with the ranks that are left (shrink), or create a new one";

/// Into my status line. Before its presence says that I have failed.
void tell(shm::StatusLine& mine, const Cause& cause);
/// What the line of `teller`, in a world of `worldSize`, says. In sealed modes it is anybody's
/// word, so whatever it says, ranks are ranks of that world and the code is a code.
Cause hear(const shm::StatusLine& theirs, int teller, int worldSize);
/// "rank 1 gave up at call #17: rank 2 has died or left"
std::string toString(const Cause& cause);

}  // namespace lockstep
