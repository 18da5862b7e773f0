// Running a check once for every instruction set that this CPU has and Lockstep is compiled for.
#pragma once

#include <cstdint>

// The targets are set before Highway reads them.
// clang-format off
#include "base/simd_targets.hpp"
#include <gtest/gtest.h>
#include <hwy/highway.h>
// clang-format on

namespace lockstep::testing {

/// Highway, restricted to one target while this lives.
class OnlyTarget {
 public:
  explicit OnlyTarget(std::int64_t target) { choose(target); }
  ~OnlyTarget() { choose(0); }  // 0: what the CPU has
  OnlyTarget(const OnlyTarget&) = delete;
  OnlyTarget& operator=(const OnlyTarget&) = delete;

 private:
  static void choose(std::int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

template <class F>
void forEachTarget(F f) {
  // One bit each.
  for (std::int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    const std::int64_t target = left & -left;
    SCOPED_TRACE(hwy::TargetName(target));
    const OnlyTarget only(target);
    f();
  }
}

}  // namespace lockstep::testing
