// Kernels from text to machine code.
#include "executor/cuda/compiler.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cuda/kernels.hpp"
#include "cuda/nvrtc_matrix.hpp"
#include "cuda/real_nvrtc.hpp"
#include "cuda/temporary_folder.hpp"
#include "executor/cuda/compile_all.hpp"
#include "executor/cuda/in_parallel.hpp"

namespace lockstep::cuda {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What it throws. Fails where it throws nothing.
template <class F>
Error errorOf(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::internal, ""};
}

// ---- what NVRTC is told ----

constexpr int kKnown[] = {80, 86, 89, 90, 100, 103, 120};

TEST(Target, IsTheChipsOwnWhereNvrtcKnowsIt) {
  for (const Chip chip : {Chip{8, 0}, Chip{9, 0}, Chip{10, 3}, Chip{12, 0}}) {
    const Target target = targetFor(chip, 13, 0, kKnown);
    EXPECT_EQ(target.architecture, "sm_" + std::to_string(chip.number()));
    EXPECT_EQ(target.note, "");
  }
}

TEST(Target, IsPtxOfTheNewestOlderOneForAChipThatNvrtcDoesNotKnow) {
  const Target newer = targetFor({13, 0}, 13, 0, kKnown);
  EXPECT_EQ(newer.architecture, "compute_120");
  EXPECT_THAT(newer.note, HasSubstr("NVRTC 13.0 does not know sm_130"));
  EXPECT_EQ(targetFor({8, 7}, 13, 0, kKnown).architecture, "compute_86");
}

TEST(Target, OfWhatIsTooOldIsAnError) {
  const Error chip = errorOf([] { targetFor({7, 5}, 13, 0, kKnown); });
  EXPECT_EQ(chip.code(), ErrorCode::unsupported);
  EXPECT_THAT(chip.what(), HasSubstr("sm_75"));
  const Error nvrtc = errorOf([] { targetFor({9, 0}, 12, 2, kKnown); });
  EXPECT_EQ(nvrtc.code(), ErrorCode::unsupported);
  EXPECT_THAT(nvrtc.what(), HasSubstr("NVRTC 12.2 is too old"));
}

TEST(CompilerOptions, NeitherContractNorApproximate) {
  const Target target{"sm_90", ""};
  const auto options = compilerOptions({"k", "", {"A=1", "B"}}, target, 12, 8);
  EXPECT_THAT(options, ElementsAre("--gpu-architecture=sm_90", "--std=c++20",
                                   "--device-as-default-execution-space", "--fmad=false",
                                   "--ptxas-options=--verbose", "-DA=1", "-DB"));
  const auto newer = compilerOptions({"k", "", {}}, target, 12, 9);
  EXPECT_EQ(newer.back(), "--no-cache") << "without its own cache, of which 12.8 knows nothing";
}

// ---- with NVRTC ----

TEST(Compiler, ASmallKernelCompilesForEveryChip) {
  LOCKSTEP_NEEDS_NVRTC();
  for (const Chip chip : kChips) {
    SCOPED_TRACE(chip.number());
    const Cubin cubin = compile(copyKernel(), chip);
    EXPECT_EQ(cubin.name, "copy");
    EXPECT_EQ(cubin.architecture, "sm_" + std::to_string(chip.number()));
    EXPECT_FALSE(cubin.isPtx());
    ASSERT_GE(cubin.image.size(), 4u);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(cubin.image.data()), 4),
              "\x7f"
              "ELF");
    EXPECT_GT(cubin.resources.registers.value_or(0), 0);
    EXPECT_EQ(cubin.resources.exceeds({.registers = 64}), "");
    EXPECT_THAT(cubin.resources.exceeds({.registers = 4}), HasSubstr("(limit 4)"));
  }
}

TEST(Compiler, AChipThatIsNewerThanNvrtcGetsPtx) {
  LOCKSTEP_NEEDS_NVRTC();
  const Cubin cubin = compile(copyKernel(), {99, 0});
  EXPECT_TRUE(cubin.isPtx());
  const std::string text(reinterpret_cast<const char*>(cubin.image.data()), cubin.image.size());
  EXPECT_THAT(text, HasSubstr(".entry copy"));
  EXPECT_TRUE(text.ends_with('\0'));
  EXPECT_EQ(cubin.resources, Resources{}) << "nobody knows yet";
}

TEST(Compiler, AKernelThatSpillsIsFoundOut) {
  LOCKSTEP_NEEDS_NVRTC();
  for (const Chip chip : kChips) {
    SCOPED_TRACE(chip.number());
    const Cubin cubin = compile(greedyKernel(), chip);
    EXPECT_EQ(cubin.resources.registers, 64);
    EXPECT_EQ(cubin.resources.sharedBytes, 80);
    EXPECT_GT(cubin.resources.spillBytes.value_or(0), 0);
    EXPECT_GT(cubin.resources.stackBytes.value_or(0), 0);
    EXPECT_THAT(cubin.resources.exceeds({}), HasSubstr("spilled bytes"));
  }
}

TEST(Compiler, AProductAndASumAreTwoRoundings) {
  LOCKSTEP_NEEDS_NVRTC();
  const KernelSource source{
      "axpy", "extern \"C\" __global__ void axpy(float* x) { x[0] = x[1] * x[2] + x[3]; }\n", {}};
  const Cubin ptx = compile(source, {99, 0});
  const std::string text(reinterpret_cast<const char*>(ptx.image.data()), ptx.image.size());
  EXPECT_THAT(text, HasSubstr("mul.rn.f32"));
  EXPECT_EQ(text.find("fma.rn"), std::string::npos);
}

TEST(Compiler, AnErrorNamesTheKernelAndSaysWhatTheCompilerSaid) {
  LOCKSTEP_NEEDS_NVRTC();
  KernelSource source = wrongKernel();
  for (int i = 0; i < 200; ++i) source.text += "int again() { return noSuchName; }\n";
  const Error error = errorOf([&] { compile(source, {9, 0}); });
  EXPECT_EQ(error.code(), ErrorCode::internal);
  const std::string what = error.what();
  EXPECT_THAT(what, HasSubstr("wrong does not compile for sm_90"));
  EXPECT_THAT(what, HasSubstr("wrong.cu(1): error: identifier \"noSuchName\" is undefined"));
  EXPECT_LE(std::ranges::count(what, '\n'), 20) << what;
}

TEST(CompileAll, FindsTheSecondTimeWhatItMadeTheFirst) {
  LOCKSTEP_NEEDS_NVRTC();
  const TemporaryFolder folder;
  const Cache cache(folder.path() / "cache");
  std::vector<KernelSource> sources;
  for (int i = 0; i < 6; ++i) sources.push_back(copyKernel("copy" + std::to_string(i)));
  const CompiledKernels made = compileAll(sources, {9, 0}, {.threads = 3, .cache = &cache});
  ASSERT_EQ(made.cubins.size(), sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) EXPECT_EQ(made.cubins[i].name, sources[i].name);
  EXPECT_EQ(made.hits, 0);
  EXPECT_EQ(made.misses, 6);
  EXPECT_EQ(made.notCached, "");
  EXPECT_GT(made.seconds, 0);

  sources.push_back(copyKernel("another"));
  const CompiledKernels again = compileAll(sources, {9, 0}, {.threads = 2, .cache = &cache});
  EXPECT_EQ(again.hits, 6);
  EXPECT_EQ(again.misses, 1);
  EXPECT_TRUE(std::equal(made.cubins.begin(), made.cubins.end(), again.cubins.begin()));

  const CompiledKernels alone = compileAll(sources, {9, 0});
  EXPECT_EQ(alone.hits, 0);
  EXPECT_NE(alone.notCached, "");
}

TEST(CompileAll, ThrowsOfTheFirstSourceThatIsWrong) {
  LOCKSTEP_NEEDS_NVRTC();
  const std::vector<KernelSource> sources{copyKernel(), wrongKernel("first"),
                                          wrongKernel("second")};
  for (const int threads : {1, 3}) {
    const Error error = errorOf([&] { compileAll(sources, {9, 0}, {.threads = threads}); });
    EXPECT_THAT(error.what(), HasSubstr("first does not compile"));
  }
}

TEST(CacheKey, ChangesWithAllThatDecides) {
  LOCKSTEP_NEEDS_NVRTC();
  const KernelSource source = copyKernel();
  const cc::Digest key = cacheKey(source, {9, 0}, 13000);
  EXPECT_EQ(cacheKey(source, {9, 0}, 13000), key);
  EXPECT_NE(cacheKey(source, {10, 0}, 13000), key);
  EXPECT_NE(cacheKey(source, {9, 0}, 13010), key);
  KernelSource other = source;
  other.text += ' ';
  EXPECT_NE(cacheKey(other, {9, 0}, 13000), key);
  other = source;
  other.defines = {"LOCKSTEP_THREADS=512"};
  EXPECT_NE(cacheKey(other, {9, 0}, 13000), key);
  other = source;
  other.name += '2';
  EXPECT_NE(cacheKey(other, {9, 0}, 13000), key);
}

TEST(NvrtcMatrix, SaysWhatIsWrongAndWhere) {
  LOCKSTEP_NEEDS_NVRTC();
  const MatrixReport report =
      nvrtcMatrix({copyKernel(), wrongKernel(), greedyKernel()}, {{8, 0}, {9, 0}}, {});
  EXPECT_EQ(report.compiled, 4);
  EXPECT_EQ(report.mostRegisters, 64);
  EXPECT_EQ(report.faults.find("copy "), std::string::npos) << report.text();
  for (const char* said : {"sm_80", "sm_90", "noSuchName", "spilled bytes"})
    EXPECT_THAT(report.faults, HasSubstr(said));
}

TEST(NvrtcMatrix, EveryOrderHasEachNumberOnce) {
  const std::vector<std::size_t> plain = matrixOrder(100, 0), mixed = matrixOrder(100, 7);
  EXPECT_TRUE(std::ranges::is_sorted(plain));
  EXPECT_NE(mixed, plain);
  EXPECT_NE(mixed, matrixOrder(100, 8));
  EXPECT_EQ(mixed, matrixOrder(100, 7)) << "else nobody could go on with it";
  EXPECT_TRUE(std::ranges::is_permutation(mixed, plain));
}

TEST(NvrtcMatrix, GoesOnWhereItStopped) {
  LOCKSTEP_NEEDS_NVRTC();
  const std::vector<KernelSource> sources{copyKernel("a"), wrongKernel("b"), copyKernel("c")};
  const auto slice = [&](std::size_t first, Deadline until) {
    return nvrtcMatrix(sources, {{8, 0}}, {}, {.first = first, .until = until, .threads = 2});
  };
  const MatrixReport none = slice(1, Deadline::in(Clock::duration::zero()));
  EXPECT_EQ(none.cells, 3u);
  EXPECT_EQ(none.next, 1u) << "no time, nothing done";
  EXPECT_EQ(none.text(), "0 kernels compiled, 0 registers at most\n");
  const MatrixReport rest = slice(2, {});
  EXPECT_EQ(rest.next, 3u);
  EXPECT_EQ(rest.compiled, 1);
  EXPECT_EQ(rest.faults, "") << "the wrong one was before";
  EXPECT_EQ(slice(7, {}).compiled, 0);
}

}  // namespace
}  // namespace lockstep::cuda
