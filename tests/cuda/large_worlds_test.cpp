// Sealed worlds in which what a lane keeps of its operations does not fit beside a cipher's tables:
// it lies in the lane's private state.
#include <algorithm>

#include <gtest/gtest.h>

#include "cuda/generated_calls.hpp"
#include "cuda/real_nvrtc.hpp"
#include "executor/cuda/compiler.hpp"

namespace lockstep::testing {
namespace {

constexpr int kRanks = 18;  // more than lane.cuh's kSealedAtHand

/// Operations of many ends, and of few.
std::vector<GeneratedCase> fewCases(Mode mode) {
  std::vector<GeneratedCase> cases = premultipliedCases(kRanks, mode);
  std::ranges::move(casesApart(kRanks, mode), std::back_inserter(cases));
  std::erase_if(cases, [](const GeneratedCase& c) {
    const Collective collective = c.request.algorithm->collective;
    return collective != Collective::reduceScatter && collective != Collective::barrier;
  });
  return cases;
}

HostWorld worldOf(const HostModule& module) {
  HostWorld world({.world = kRanks,
                   .lanes = 1,
                   .slotBytes = 4096,
                   .llBytes = 1024,
                   .heapBytes = std::size_t{1} << 18});
  world.prepareKeys(module);
  return world;
}

TEST(LargeSealedWorlds, ComputeWhatTheReferenceDoes) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    SCOPED_TRACE(name(mode));
    const std::vector<GeneratedCase> cases = fewCases(mode);
    const HostModule module = compileCases(cases, {.flags = "-O0"});
    HostWorld world = worldOf(module);
    std::uint64_t seed = 1;
    for (const GeneratedCase& c : cases) {
      GeneratedCall call(c, world, 100 * seed, seed % 3, 0, seed);
      ++seed;
      call.run(module);
      call.check();
      if (HasFatalFailure()) return;
    }
  }
}

TEST(LargeSealedWorlds, AKernelThatFindsAnotherInItsLaneLeavesThatOnesStateAlone) {
  std::vector<GeneratedCase> cases = premultipliedCases(kRanks, Mode::cc);
  cases.resize(1);
  const HostModule module = compileCases(cases, {.flags = "-O0"});
  HostWorld world = worldOf(module);
  device::LaneState& lane = world.lane(0, 0);
  lane.busy = 1;
  std::fill(std::begin(lane.ends), std::end(lane.ends), device::u8{0xab});
  const device::World& mine = world.world(0);
  std::fill_n(mine.scratch, mine.scratchBytes, device::u8{0xcd});
  GeneratedCall call(cases.front(), world, 1000, 0, 0, 1);
  call.present = 1;
  call.run(module);
  EXPECT_EQ(static_cast<device::Fault>(world.report(0).fault), device::Fault::overlap);
  EXPECT_EQ(lane.busy, 1U);
  const auto are = [](device::u8 value) { return [value](device::u8 b) { return b == value; }; };
  EXPECT_TRUE(std::ranges::all_of(lane.ends, are(0xab)));
  EXPECT_TRUE(std::all_of(mine.scratch, mine.scratch + mine.scratchBytes, are(0xcd)));
}

/// On a GPU, where the tables are as large as they are fast.
TEST(LargeSealedWorlds, HaveRoomInAGpusSharedMemory) {
  LOCKSTEP_NEEDS_NVRTC();
  for (const int world : {16, 64}) {
    cuda::KernelRequest request{.algorithm = schedule::findAlgorithm(Collective::allToAll, "direct",
                                                                     schedule::Edges::channels),
                                .mode = Mode::cc,
                                .worldSize = world};
    const cuda::Cubin cubin = cuda::compile(cuda::sourceOf(cuda::generateKernel(request)), {9, 0});
    EXPECT_FALSE(cubin.image.empty());
  }
}

}  // namespace
}  // namespace lockstep::testing
