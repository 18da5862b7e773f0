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

/// What the covering set is to cover, by the names of its kernels.
TEST(GeneratedKernels, CoverEachAlgorithmModeProtocolTypeAndReduction) {
  std::string names;
  for (const KernelSource& source : coveringKernels()) names += source.name + " ";
  std::vector<std::string> wanted{"_ll_",      "_simple_",         "_one_nan",
                                  "_rms_norm", "_transfer_sealed", "_prepare_keys"};
  for (const schedule::Algorithm* algorithm : schedule::algorithms())
    wanted.push_back(fmt::format("lockstep_{}_{}", name(algorithm->collective), algorithm->name) +
                     (algorithm->edges == schedule::Edges::exposure ? "_exposed_" : "_"));
  for (const DataType type : kEveryType) wanted.push_back(fmt::format("_{}_", name(type)));
  for (const char* word :
       {"_Sum", "_Prod", "_Min", "_Max", "_p2p_", "_multicast_", "_cc_simple_", "_cc_multicast_"})
    wanted.emplace_back(word);
  for (const std::string& word : wanted) EXPECT_THAT(names, ::testing::HasSubstr(word));
}

INSTANTIATE_TEST_SUITE_P(Chips, CoveringKernels, ::testing::Range(std::size_t{0}, kChips.size()),
                         [](const auto& chip) {
                           return "sm_" + std::to_string(kChips[chip.param].number());
                         });

}  // namespace
}  // namespace lockstep::cuda
