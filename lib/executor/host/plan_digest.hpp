// What records are bound to of a plan: everything that all ranks must agree on, as one number.
#pragma once

#include <array>
#include <cstddef>

#include "collectives/schedule.hpp"
#include "executor/host/plan.hpp"

namespace lockstep::host {

/// SHA-256, truncated, of a plan's request and tile and of its whole sealed schedule: every
/// operation of every rank that touches a message, with its operands, their order, their seals. Not
/// of those on a rank's own memory alone: a rank that works in place has fewer, and that is nobody
/// else's business.
std::array<std::byte, 16> digestOf(const Plan& plan, const schedule::Schedule& schedule);

}  // namespace lockstep::host
