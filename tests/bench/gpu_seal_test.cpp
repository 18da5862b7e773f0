// The kernels that `ccbench seal` runs, as NVRTC takes them: of both ciphers, so that the one that
// communicators do not use is compiled, too.
#include "bench/gpu_seal.hpp"

#include <gtest/gtest.h>

#include "cuda/nvrtc_matrix.hpp"
#include "cuda/real_nvrtc.hpp"

namespace lockstep::bench {
namespace {

TEST(GpuSeal, CompilesWithoutSpills) {
  LOCKSTEP_NEEDS_NVRTC();
  std::vector<cuda::KernelSource> sources;
  for (const char* cipher : {"table", "bitsliced"})
    for (const auto does : {SealKernel::Does::seal, SealKernel::Does::open})
      sources.push_back(sourceOf(SealKernel{cipher, does}));
  // Of 65536 registers three blocks of 256 threads get 80 each.
  const cuda::Limits ceiling{.registers = 80, .spillBytes = 0, .stackBytes = 128};
  for (std::size_t i = 0; i < cuda::kChips.size(); ++i)
    EXPECT_EQ(cuda::nvrtcMatrix({sources[i]}, {cuda::kChips[i]}, ceiling).faults, "");
}

}  // namespace
}  // namespace lockstep::bench
