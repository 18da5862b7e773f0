#include "executor/cuda/kernel.hpp"

#include <string_view>

#include <fmt/format.h>

#include "executor/cuda/generate.hpp"

namespace lockstep::cuda {

KernelSource sourceOf(const Kernel& kernel) {
  // What lanes keep in shared memory grows with the world; a GPU's cipher takes most of 48 KiB.
  const int shared = kernel.sealed ? 48 << 10 : kernel.worldSize <= 8 ? 6 << 10 : 40 << 10;
  return {.name = kernel.name,
          .text = kernel.text,
          .defines = {fmt::format("LOCKSTEP_THREADS={}", kernel.threads),
                      fmt::format("LOCKSTEP_SHARED_BYTES={}", shared)}};
}

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
