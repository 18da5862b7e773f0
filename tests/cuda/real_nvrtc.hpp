// NVRTC as NVIDIA makes it. It needs no GPU, but a machine may have none.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "base/cuda/nvrtc.hpp"

namespace lockstep::cuda {

/// Empty if the NVRTC that is found compiles for GPUs; else why not, as a test that needs it says.
inline std::string noRealNvrtc() {
  if (findNvrtc() == nullptr) return nvrtcWhyNot();
  if (findNvrtc()->file.find("lockstep_fake") != std::string::npos)
    return "NVRTC is that of the tests, which makes no code for GPUs";
  return {};
}

}  // namespace lockstep::cuda

/// In a test that compiles for GPUs.
#define LOCKSTEP_NEEDS_NVRTC() \
  if (const std::string why = ::lockstep::cuda::noRealNvrtc(); !why.empty()) GTEST_SKIP() << why
