// An all-gather over links, with no meeting point.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "bootstrap/frame.hpp"
#include "bootstrap/unix_mesh.hpp"

namespace lockstep {

/// Sends `mine` to every other rank and returns what each sent, by rank. `sequence` counts the
/// calls, and is compared. `check` is called now and then while it waits, and may throw. Throws
/// invalidArgument (more than kMaxContribution), timeout (the same ranks named by all), peerDied,
/// bootstrap.
std::vector<Bytes> gatherOverLinks(std::span<const Link> links, int rank, std::uint32_t sequence,
                                   std::span<const std::byte> mine,
                                   const std::function<void()>& check, Deadline deadline);

}  // namespace lockstep
