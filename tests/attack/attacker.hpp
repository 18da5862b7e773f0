// An attacker process: forked off a rank, whose keys the fork has wiped, it holds that rank's
// segment read-write and the others' to read. One beside each rank has all of shared memory.
#pragma once

#include <cstddef>
#include <string_view>

#include <sys/types.h>

#include "support/shared_segments.hpp"

namespace lockstep::testing {

/// What it does, over and over.
enum class Assault : std::uint8_t {
  flip,         ///< a bit of a message
  replay,       ///< what a slot held before
  swap,         ///< two slots
  splice,       ///< what another channel or rank has
  cut,          ///< the end of a message
  flags,        ///< messages that have not come
  credits,      ///< messages that nobody has read
  fingerprint,  ///< what the clear part of a message says
  call,         ///< what a rank says it calls
  status,       ///< who is there, who has failed and why
  sleep,        ///< who sleeps
  anything,     ///< any byte
  holdFlag,     ///< a flag stays what it was
  holdCredit,   ///< a credit does
  holdStatus,   ///< whoever fails or leaves is still there
};
inline constexpr std::size_t kAssaults = 15;
std::string_view name(Assault assault);
/// Changes what is opened, so that without a check of tags there are wrong results.
bool misleads(Assault assault);

/// Ends with this object, and with the process that made it.
class Attacker {
 public:
  Attacker(const Segments& segments, int rank, int world, Assault assault, unsigned seed);
  Attacker(const Attacker&) = delete;
  Attacker& operator=(const Attacker&) = delete;
  ~Attacker();

 private:
  pid_t pid_ = -1;
};

}  // namespace lockstep::testing
