// What an attacker forges, by class, and one trial of it: ranks make a call, then a second one that
// is attacked.
#pragma once

#include <span>

#include "attack/stepped_world.hpp"

namespace lockstep::testing {

struct Forgery {
  const char* name;
  /// Without the check of tags it gives wrong results: it changes more than tags and what is not
  /// sealed anyway.
  bool misleads;
  struct Play;
  void (*play)(Play&);
};
std::span<const Forgery> forgeries();

/// How a trial went.
struct Trial {
  Scene scene;
  bool live = false;  ///< what was forged was read
  std::vector<Fate> fates;
  std::vector<ErrorCode> errors;
  bool has(Fate fate) const;
};
/// The same for the same seed.
Trial play(const Forgery& forgery, unsigned seed, TagCheck check);

}  // namespace lockstep::testing
