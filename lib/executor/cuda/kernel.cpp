#include "executor/cuda/kernel.hpp"

#include <string_view>

#include <fmt/format.h>

namespace lockstep::cuda {

std::string Resources::exceeds(const Limits& limits) const {
  std::string said;
  const auto judge = [&](std::string_view what, const std::optional<int>& taken, int limit) {
    if (taken && *taken <= limit) return;
    said += said.empty() ? "" : ", ";
    said += taken ? fmt::format("{} {} (limit {})", what, *taken, limit)
                  : fmt::format("{} unknown", what);
  };
  judge("registers", registers, limits.registers);
  judge("spilled bytes", spillBytes, limits.spillBytes);
  judge("stack bytes", stackBytes, limits.stackBytes);
  judge("shared bytes", sharedBytes, limits.sharedBytes);
  return said;
}

}  // namespace lockstep::cuda
