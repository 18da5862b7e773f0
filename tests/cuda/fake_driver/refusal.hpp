// How the functions of the fake refuse: they throw, and the border (exports.hpp) makes it a result.
#pragma once

#include "base/cuda/types.hpp"

namespace lockstep::cuda::fake {

struct Refused {
  Result result;
};

[[noreturn]] inline void refuse(Result result) {
  throw Refused{result};
}
inline void require(bool holds, Result otherwise = Result::invalidValue) {
  if (!holds) refuse(otherwise);
}

/// Results that the library does not tell apart.
inline constexpr Result kCaptureMerge{902};
inline constexpr Result kCaptureUnjoined{904};
inline constexpr Result kCaptureIsolation{905};
inline constexpr Result kCapturedEvent{907};
inline constexpr Result kCaptureWrongThread{908};

}  // namespace lockstep::cuda::fake
