// What the generator writes, as NVRTC takes it: it compiles, and no thread needs more than it gets.
#include "cuda/generated_kernels.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cuda/nvrtc_matrix.hpp"
#include "cuda/real_nvrtc.hpp"

namespace lockstep::cuda {
namespace {

/// The chips take turns with the kernels. `nvrtc_matrix` compiles all for all.
class CoveringKernels : public ::testing::TestWithParam<std::size_t> {};

TEST_P(CoveringKernels, CompileWithoutSpills) {
  LOCKSTEP_NEEDS_NVRTC();
  std::vector<KernelSource> turn;
  const std::vector<KernelSource> all = coveringKernels();
  for (std::size_t i = GetParam(); i < all.size(); i += kChips.size()) turn.push_back(all[i]);
  const MatrixReport report = nvrtcMatrix(turn, {kChips[GetParam()]}, kCeiling);
  EXPECT_EQ(report.compiled, static_cast<int>(turn.size()));
  EXPECT_EQ(report.faults, "") << report.text();
  RecordProperty("registers", report.mostRegisters);
}

/// 512 threads leave each 128 registers, where 256 leave all: it matters for how many it is
/// compiled.
TEST(GeneratedKernels, AreCompiledForTheThreadsTheyAreLaunchedWith) {
  for (const bool sealed : {false, true}) {
    const Kernel kernel = transferKernel(sealed);
    KernelSources sources;
    sources.add(kernel);
    EXPECT_THAT(sources.take().front().defines,
                ::testing::Contains(fmt::format("LOCKSTEP_THREADS={}", kernel.threads)));
  }
}

INSTANTIATE_TEST_SUITE_P(Chips, CoveringKernels, ::testing::Range(std::size_t{0}, kChips.size()),
                         [](const auto& chip) {
                           return "sm_" + std::to_string(kChips[chip.param].number());
                         });

}  // namespace
}  // namespace lockstep::cuda
