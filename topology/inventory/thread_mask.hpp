// Sets of threads, as the kernel writes them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lockstep::topology {

/// "00000000,00ffffff": hexadecimal, 32 threads a group, the highest first. `groups`: the lowest
/// first.
std::string maskOfGroups(std::span<const std::uint32_t> groups);
/// The same; `inSet` by thread.
std::string threadMask(const std::vector<bool>& inSet);

}  // namespace lockstep::topology
