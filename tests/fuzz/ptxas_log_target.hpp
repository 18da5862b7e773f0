// Any text as what ptxas says: numbers that are none of them negative, or unknown.
#pragma once

#include <optional>
#include <string_view>

#include "executor/cuda/ptxas_log.hpp"
#include "fuzz/input.hpp"

namespace lockstep::fuzz {

inline void ptxasLog(std::string_view log) {
  const auto found = cuda::resourcesIn(log, "k");
  for (const std::optional<int>& number :
       {found.registers, found.spillBytes, found.stackBytes, found.sharedBytes})
    demand(number.value_or(0) >= 0);
}

}  // namespace lockstep::fuzz
