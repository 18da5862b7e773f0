// How communicators come out of communicators: who wants which child, and who is in it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "bootstrap/peers.hpp"

namespace lockstep::family {

enum class How : std::uint32_t { split, duplicate, shrink };
/// "split"
std::string_view name(How how);

/// What a rank asks for.
struct Wish {
  How how = How::split;
  std::int32_t color = 0;  ///< ranks of one color get one child; negative: this rank gets none
  std::int32_t key = 0;    ///< orders the ranks of a color; those of one key stay as they were
  std::uint32_t spare = 0;
  std::uint64_t number = 0;  ///< of the child that it would be
};

/// Collective: all wishes, by rank. Throws mismatch, on all ranks alike, if they do not ask for the
/// same thing.
std::vector<Wish> exchange(Peers& peers, const Wish& mine, Deadline deadline);

/// The ranks in the child of `rank`, in their order there; empty if it gets none.
std::vector<int> membersWith(std::span<const Wish> wishes, int rank);

/// Collective: the number that each rank gives, by rank. Nothing vouches for others': to be bound
/// into the child's keys.
std::vector<std::uint64_t> countsOf(Peers& peers, std::uint64_t mine, Deadline deadline);

}  // namespace lockstep::family
