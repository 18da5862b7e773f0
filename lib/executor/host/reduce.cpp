#include "executor/host/reduce.hpp"

#include <cstdint>

#include "base/fail.hpp"
#include "executor/host/reduce_folds.hpp"
// The targets are set before Highway reads them.
// clang-format off
#include "base/simd_targets.hpp"
#include <hwy/highway.h>
// clang-format on

namespace lockstep::host {

namespace {

/// One bit each, the better the lower.
std::int64_t targets() {
  return hwy::SupportedTargets() & HWY_TARGETS;
}

}  // namespace

ReduceFunction reduceFunction(DataType type, Reduction reduction) {
  if (targets() == 0)
    fail(ErrorCode::unsupported, "this CPU has no SSE4.2, the least that Lockstep runs on");
  switch (reduction) {
    case Reduction::prod:
      return productFunction(type);
    case Reduction::min:
      return minimumFunction(type);
    case Reduction::max:
      return maximumFunction(type);
    case Reduction::sum:
    case Reduction::avg:
    case Reduction::preMulSum:
      break;
  }
  return sumFunction(type);
}

const char* reduceTarget() {
  return hwy::TargetName(targets() & -targets());
}

}  // namespace lockstep::host
