// New links among some of the ranks that have links already.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "bootstrap/unix_mesh.hpp"

namespace lockstep {

/// Where `rank` stands among `members`: its number in the group.
int placeIn(std::span<const int> members, int rank);

/// Connects `members` (ranks of `links`, in their new order; `rank` is one) with each other anew:
/// of every two, the first makes a pair of sockets and passes one over the old link. Returns links
/// by new rank, which share the pidfds and live on their own. Every member calls it alike; others
/// are not needed. `number` tells groups over the same links apart and grows. `check` is called now
/// and then while it waits, and may throw. Throws peerDied (its rank counts in `links`), aborted (a
/// member has given up making it), timeout, system.
std::vector<Link> connectGroup(std::span<const Link> links, int rank, std::span<const int> members,
                               std::uint64_t number, const std::function<void()>& check,
                               Deadline deadline);

}  // namespace lockstep
