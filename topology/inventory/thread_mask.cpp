#include "topology/inventory/thread_mask.hpp"

#include <fmt/format.h>

namespace lockstep::topology {

std::string maskOfGroups(std::span<const std::uint32_t> groups) {
  std::string mask;
  for (auto group = groups.rbegin(); group != groups.rend(); ++group)
    mask += fmt::format("{}{:08x}", mask.empty() ? "" : ",", *group);
  return mask;
}

std::string threadMask(const std::vector<bool>& inSet) {
  constexpr std::size_t kGroup = 32;
  std::vector<std::uint32_t> groups((inSet.size() + kGroup - 1) / kGroup);
  for (std::size_t thread = 0; thread < inSet.size(); ++thread)
    if (inSet[thread]) groups[thread / kGroup] |= 1U << (thread % kGroup);
  return maskOfGroups(groups);
}

}  // namespace lockstep::topology
