// A new group of the ranks that are left.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "bootstrap/unix_mesh.hpp"

namespace lockstep {

/// Makes something out of links to `members`.
using LinksBuild = std::function<void(std::vector<Link> links, std::span<const int> members)>;

/// Peers::shrink over the links of a world, whatever lies in them unread. `calls` counts the calls
/// of this rank; ranks that have made different numbers of them, because some failed, go by the
/// highest.
void shrinkOverLinks(std::span<const Link> links, int rank, std::uint32_t& calls,
                     const LinksBuild& build, const std::function<void()>& check,
                     Deadline deadline);

}  // namespace lockstep
