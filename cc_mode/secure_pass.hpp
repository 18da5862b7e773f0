// Turns a schedule into a sealed one: not a second set of algorithms, but a pass over any of them.
#pragma once

#include <cstdint>
#include <map>

#include "collectives/schedule.hpp"

namespace lockstep::cc {

/// Names a key: from `sender` to `receiver`, or to the group.
struct KeyName {
  int sender = 0;
  int receiver = schedule::kEveryone;
  friend auto operator<=>(const KeyName&, const KeyName&) = default;
};

/// Marks every message of every channel with the key and nonce index it is sealed under. A channel
/// to everyone is sealed under its writer's group key; a channel of a pair under the pair's key,
/// unless `groupKeys` and what it carries is forwarded further on: then under the group key of the
/// rank that sealed it first, so that no one on the way has to open and seal again. Without
/// `groupKeys` a forward becomes a recv and a send. Throws invalidArgument for a schedule that
/// exposes memory: plaintext would cross the boundary.
schedule::Schedule secure(schedule::Schedule schedule, bool groupKeys);

/// Sealed messages per tile under each key (the K of nonce = base + tile * K + index).
std::map<KeyName, std::uint32_t> noncesPerTile(const schedule::Schedule& sealed);

}  // namespace lockstep::cc
