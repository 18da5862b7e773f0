// The fake driver runs kernels: compiling, launching, streams, events, graphs.
#include <atomic>
#include <filesystem>
#include <thread>

#include "cuda/fake_gpu.hpp"
#include "cuda/fresh_process.hpp"

namespace lockstep::testing {
namespace {

using namespace cuda;

/// What a kernel's text begins with here: the platform, and a parameter of the test's own.
const std::string kHead = R"(
#include "executor/cuda/prelude/platform.cuh"
namespace lockstep::device {
struct Launch { const float* a; const float* b; float* out; u64* word; u64 count; u64 value; };
}
using namespace lockstep::device;
)";

struct Launch {
  DevicePtr a = 0, b = 0, out = 0, word = 0;
  std::uint64_t count = 0, value = 0;
};

const std::string kAdd = kHead + R"(
LOCKSTEP_KERNEL(add) {
  for (u64 i = blockOfRank(); i < launch.count; i += blocksPerRank())
    launch.out[i] = launch.a[i] + launch.b[i];
})";

/// Turns the word from one value into the next, so that an order shows.
const std::string kStep = kHead + R"(
LOCKSTEP_KERNEL(step) { if (*launch.word == launch.value) ++*launch.word; }
LOCKSTEP_KERNEL(increase) { ++*launch.word; })";

const std::string kMeet = kHead + R"(
LOCKSTEP_KERNEL(meet) {
  __atomic_fetch_add(launch.word, 1, __ATOMIC_ACQ_REL);
  while (loadAcquire(launch.word) < blocksPerRank()) relax();
}
LOCKSTEP_KERNEL(await) { while (loadAcquire(launch.word) != launch.value) relax(); })";

std::vector<float> counting(std::size_t count, float from) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = from + static_cast<float>(i);
  return values;
}

TEST(FakeGpu, AddsVectorsWithEightBlocks) {
  if (!fresh("add")) return;
  FakeGpu gpu;
  const FunctionHandle add = gpu.load(kAdd, "add");
  const StreamHandle stream = gpu.makeStream();
  constexpr std::size_t kCount = 1000;
  const auto a = counting(kCount, 1), b = counting(kCount, 500);
  const std::size_t bytes = kCount * sizeof(float);
  Launch launch{gpu.allocate(bytes), gpu.allocate(bytes), gpu.allocate(bytes), 0, kCount, 0};
  ASSERT_OK(gpu.memcpyHtoDAsync(launch.a, a.data(), bytes, stream));
  ASSERT_OK(gpu.memcpyHtoDAsync(launch.b, b.data(), bytes, stream));
  ASSERT_OK(gpu.launch(add, launch, 8, stream));
  std::vector<float> out(kCount);
  ASSERT_OK(gpu.memcpyDtoHAsync(out.data(), launch.out, bytes, stream));
  ASSERT_OK(gpu.streamSynchronize(stream));
  for (std::size_t i = 0; i < kCount; ++i) ASSERT_EQ(out[i], a[i] + b[i]) << i;
}

TEST(FakeGpu, BlocksOfALaunchAreAllThereAtOnce) {
  if (!fresh("meet")) return;
  FakeGpu gpu;
  const FunctionHandle meet = gpu.load(kMeet, "meet");
  const StreamHandle stream = gpu.makeStream();
  Launch launch;
  launch.word = gpu.allocate(8);
  ASSERT_OK(gpu.memsetD8Async(launch.word, 0, 8, stream));
  ASSERT_OK(gpu.launch(meet, launch, 16, stream));
  ASSERT_OK(gpu.streamSynchronize(stream));
  EXPECT_EQ(gpu.read<std::uint64_t>(launch.word), 16u);
}

TEST(FakeGpu, RefusesLaunchesThatDoNotFit) {
  if (!fresh("fit", {{"LOCKSTEP_FAKE_SMS", "2"}})) return;
  FakeGpu gpu;
  const FunctionHandle add = gpu.load(kAdd, "add");
  Launch launch;
  void* parameters[] = {&launch};
  int most = 0;
  ASSERT_OK(gpu.occupancyMaxActiveBlocks(&most, add, 1024, 0));
  EXPECT_EQ(most, 2);
  const auto cooperative = [&](unsigned blocks, unsigned shared) {
    return gpu.launchCooperativeKernel(add, blocks, 1, 1, 1024, 1, 1, shared, nullptr, parameters);
  };
  EXPECT_EQ(cooperative(5, 0), Result::cooperativeLaunchTooLarge);
  EXPECT_OK(cooperative(4, 0));
  EXPECT_EQ(cooperative(1, 64 << 10), Result::invalidValue);
  EXPECT_EQ(gpu.funcSetAttribute(add, FunctionAttribute::maxDynamicSharedBytes, 1 << 20),
            Result::invalidValue);
  ASSERT_OK(gpu.funcSetAttribute(add, FunctionAttribute::maxDynamicSharedBytes, 64 << 10));
  EXPECT_OK(cooperative(1, 64 << 10));
  EXPECT_EQ(gpu.launch(add, launch, 0, nullptr), Result::invalidValue);
}

TEST(FakeGpu, AStreamKeepsItsOrder) {
  if (!fresh("order")) return;
  FakeGpu gpu;
  const FunctionHandle step = gpu.load(kStep, "step");
  const StreamHandle stream = gpu.makeStream();
  Launch launch;
  launch.word = gpu.allocate(8);
  ASSERT_OK(gpu.memsetD8Async(launch.word, 0, 8, stream));
  for (launch.value = 0; launch.value < 50; ++launch.value)
    ASSERT_OK(gpu.launch(step, launch, 1, stream));
  ASSERT_OK(gpu.streamWriteValue64(stream, launch.word + 0, 7, kStreamWriteValueDefault));
  launch.value = 7;
  ASSERT_OK(gpu.launch(step, launch, 1, stream));
  ASSERT_OK(gpu.streamSynchronize(stream));
  EXPECT_EQ(gpu.read<std::uint64_t>(launch.word), 8u);
}

TEST(FakeGpu, EventsOrderStreamsAndTellTheTime) {
  if (!fresh("events")) return;
  FakeGpu gpu;
  const FunctionHandle await = gpu.load(kMeet, "await");
  const StreamHandle one = gpu.makeStream(), two = gpu.makeStream(), three = gpu.makeStream();
  Launch launch;
  launch.word = gpu.allocate(8);
  launch.value = 5;
  EventHandle begin = nullptr, end = nullptr;
  ASSERT_OK(gpu.eventCreate(&begin, kEventDefault));
  ASSERT_OK(gpu.eventCreate(&end, kEventDefault));
  float milliseconds = -1;
  EXPECT_EQ(gpu.eventElapsedTime(&milliseconds, begin, end), Result::invalidHandle);
  ASSERT_OK(gpu.memsetD8Async(launch.word, 0, 8, one));
  ASSERT_OK(gpu.eventRecord(begin, one));
  ASSERT_OK(gpu.launch(await, launch, 1, one));
  ASSERT_OK(gpu.eventRecord(end, one));
  EXPECT_EQ(gpu.streamQuery(one), Result::notReady);
  EXPECT_EQ(gpu.eventQuery(end), Result::notReady);
  // Behind the kernel that waits: 9. Before it: what it waits for.
  ASSERT_OK(gpu.streamWaitEvent(two, end, 0));
  ASSERT_OK(gpu.streamWriteValue64(two, launch.word, 9, kStreamWriteValueDefault));
  ASSERT_OK(gpu.streamWaitEvent(three, begin, 0));
  ASSERT_OK(gpu.streamWriteValue64(three, launch.word, 5, kStreamWriteValueDefault));
  ASSERT_OK(gpu.streamSynchronize(two));
  EXPECT_EQ(gpu.read<std::uint64_t>(launch.word), 9u);
  EXPECT_OK(gpu.eventQuery(end));
  EXPECT_OK(gpu.eventElapsedTime(&milliseconds, begin, end));
  EXPECT_GE(milliseconds, 0);
  EXPECT_OK(gpu.eventDestroy(begin));
  EXPECT_OK(gpu.eventDestroy(end));
  EXPECT_EQ(gpu.eventDestroy(end), Result::invalidHandle);
}

TEST(FakeGpu, TheDefaultStreamWaitsForBlockingStreams) {
  if (!fresh("default")) return;
  FakeGpu gpu;
  const FunctionHandle step = gpu.load(kStep, "step");
  const StreamHandle blocking = gpu.makeStream(0);
  Launch launch;
  launch.word = gpu.allocate(8);
  ASSERT_OK(gpu.memsetD8Async(launch.word, 0, 8, blocking));
  for (launch.value = 0; launch.value < 20; ++launch.value)
    ASSERT_OK(gpu.launch(step, launch, 1, launch.value % 2 == 0 ? nullptr : blocking));
  EXPECT_EQ(gpu.read<std::uint64_t>(launch.word), 20u);
}

TEST(FakeGpu, AGraphRepeatsWhatWasCaptured) {
  if (!fresh("graph")) return;
  FakeGpu gpu;
  const FunctionHandle increase = gpu.load(kStep, "increase");
  const StreamHandle stream = gpu.makeStream();
  Launch launch;
  launch.word = gpu.allocate(8);
  ASSERT_OK(gpu.memsetD8Async(launch.word, 0, 8, stream));
  ASSERT_OK(gpu.streamSynchronize(stream));
  ASSERT_OK(gpu.streamBeginCapture(stream, CaptureMode::global));
  CaptureStatus status = CaptureStatus::none;
  ASSERT_OK(gpu.streamIsCapturing(stream, &status));
  EXPECT_EQ(status, CaptureStatus::active);
  for (int i = 0; i < 3; ++i) ASSERT_OK(gpu.launch(increase, launch, 1, stream));
  GraphHandle graph = nullptr;
  ASSERT_OK(gpu.streamEndCapture(stream, &graph));
  EXPECT_EQ(gpu.read<std::uint64_t>(launch.word), 0u);  // captured, not run
  GraphExecHandle executable = nullptr;
  ASSERT_OK(gpu.graphInstantiate(&executable, graph, 0));
  ASSERT_OK(gpu.graphDestroy(graph));
  for (int i = 0; i < 40; ++i) ASSERT_OK(gpu.graphLaunch(executable, stream));
  ASSERT_OK(gpu.streamSynchronize(stream));
  EXPECT_EQ(gpu.read<std::uint64_t>(launch.word), 120u);
  ASSERT_OK(gpu.graphExecDestroy(executable));
  EXPECT_EQ(gpu.graphLaunch(executable, stream), Result::invalidValue);
}

TEST(FakeGpu, BranchesOfAGraphRunSideBySide) {
  if (!fresh("branches")) return;
  FakeGpu gpu;
  const FunctionHandle meet = gpu.load(kMeet, "await");
  const StreamHandle stream = gpu.makeStream(), branch = gpu.makeStream();
  EventHandle fork = nullptr, join = nullptr;
  ASSERT_OK(gpu.eventCreate(&fork, kEventDisableTiming));
  ASSERT_OK(gpu.eventCreate(&join, kEventDisableTiming));
  Launch launch;
  launch.word = gpu.allocate(8);
  launch.value = 3;
  ASSERT_OK(gpu.streamBeginCapture(stream, CaptureMode::threadLocal));
  ASSERT_OK(gpu.memsetD8Async(launch.word, 0, 8, stream));
  ASSERT_OK(gpu.eventRecord(fork, stream));
  ASSERT_OK(gpu.streamWaitEvent(branch, fork, 0));
  ASSERT_OK(gpu.launch(meet, launch, 1, stream));  // waits for the other branch
  ASSERT_OK(gpu.streamWriteValue64(branch, launch.word, 3, kStreamWriteValueDefault));
  ASSERT_OK(gpu.eventRecord(join, branch));
  EXPECT_NE(gpu.eventSynchronize(join), Result::success);
  ASSERT_OK(gpu.streamWaitEvent(stream, join, 0));
  GraphHandle graph = nullptr;
  ASSERT_OK(gpu.streamEndCapture(stream, &graph));
  GraphExecHandle executable = nullptr;
  ASSERT_OK(gpu.graphInstantiate(&executable, graph, 0));
  ASSERT_OK(gpu.graphLaunch(executable, stream));
  ASSERT_OK(gpu.graphLaunch(executable, stream));
  ASSERT_OK(gpu.streamSynchronize(stream));
  EXPECT_EQ(gpu.read<std::uint64_t>(launch.word), 3u);
  EXPECT_OK(gpu.graphExecDestroy(executable));
  EXPECT_OK(gpu.graphDestroy(graph));
  EXPECT_OK(gpu.eventDestroy(fork));
  EXPECT_OK(gpu.eventDestroy(join));
}

TEST(FakeGpu, WhatAGraphCannotHoldSpoilsTheCapture) {
  if (!fresh("spoilt")) return;
  FakeGpu gpu;
  const StreamHandle stream = gpu.makeStream(), other = gpu.makeStream();
  const DevicePtr memory = gpu.allocate(8);
  EventHandle event = nullptr;
  ASSERT_OK(gpu.eventCreate(&event, kEventDisableTiming));
  GraphHandle graph = nullptr;
  EXPECT_EQ(gpu.streamEndCapture(stream, &graph), Result::illegalState);
  EXPECT_EQ(gpu.streamBeginCapture(nullptr, CaptureMode::global), Result::streamCaptureUnsupported);
  const auto spoils = [&](Result result, auto call) {
    ASSERT_OK(gpu.streamBeginCapture(stream, CaptureMode::global));
    EXPECT_EQ(call(), result);
    CaptureStatus status = CaptureStatus::none;
    EXPECT_OK(gpu.streamIsCapturing(stream, &status));
    EXPECT_EQ(status, CaptureStatus::invalidated);
    EXPECT_EQ(gpu.memsetD8Async(memory, 0, 8, stream), Result::streamCaptureInvalidated);
    EXPECT_EQ(gpu.streamEndCapture(stream, &graph), Result::streamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
  };
  constexpr Result kUnsupported = Result::streamCaptureUnsupported;
  std::uint64_t word = 0;
  DevicePtr more = 0;
  spoils(kUnsupported, [&] { return gpu.streamSynchronize(stream); });
  spoils(kUnsupported, [&] { return gpu.streamQuery(stream); });
  spoils(kUnsupported, [&] { return gpu.memAlloc(&more, 8); });
  spoils(kUnsupported, [&] { return gpu.memcpyDtoH(&word, memory, 8); });
  ASSERT_OK(gpu.eventRecord(event, other));
  spoils(Result{905}, [&] { return gpu.streamWaitEvent(stream, event, 0); });
  // A branch that never comes back.
  ASSERT_OK(gpu.streamBeginCapture(stream, CaptureMode::relaxed));
  ASSERT_OK(gpu.eventRecord(event, stream));
  ASSERT_OK(gpu.streamWaitEvent(other, event, 0));
  ASSERT_OK(gpu.memsetD8Async(memory, 0, 8, other));
  EXPECT_OK(gpu.memAlloc(&more, 8));
  EXPECT_EQ(gpu.streamEndCapture(stream, &graph), Result{904});
  EXPECT_OK(gpu.memFree(more));
  EXPECT_OK(gpu.eventDestroy(event));
}

TEST(FakeGpu, ThreadsUseTheirOwnStreamsAndContexts) {
  if (!fresh("threads")) return;
  FakeDriver driver;
  ASSERT_OK(driver.init(0));
  std::vector<std::jthread> ranks;
  for (int rank = 0; rank < 4; ++rank)
    ranks.emplace_back([rank] {
      FakeGpu gpu(rank % 2);
      const FunctionHandle increase = gpu.load(kStep, "increase");
      const StreamHandle stream = gpu.makeStream();
      Launch launch;
      launch.word = gpu.allocate(8);
      EXPECT_OK(gpu.memsetD8Async(launch.word, 0, 8, stream));
      for (int i = 0; i < 20; ++i) EXPECT_OK(gpu.launch(increase, launch, 1, stream));
      EXPECT_OK(gpu.streamSynchronize(stream));
      EXPECT_EQ(gpu.read<std::uint64_t>(launch.word), 20u);
    });
}

TEST(FakeGpu, RefusesModulesThatAreNotItsOwn) {
  if (!fresh("modules", {{"LOCKSTEP_FAKE_SM", "80"}})) return;
  FakeGpu gpu;
  FakeNvrtc nvrtc;
  ASSERT_EQ(nvrtc.compile(kStep), NvrtcResult::success) << nvrtc.log;
  ModuleHandle module = nullptr;
  const auto load = [&](const void* image) {
    return gpu.moduleLoadDataEx(&module, image, 0, nullptr, nullptr);
  };
  EXPECT_EQ(load(nvrtc.cubin.data()), Result::noBinaryForGpu);  // it is for sm_90
  EXPECT_EQ(load("no image"), Result::invalidImage);
  EXPECT_EQ(load(nullptr), Result::invalidValue);
  ASSERT_EQ(nvrtc.compile(kStep, {"-arch=sm_75"}), NvrtcResult::success);
  ::setenv("LOCKSTEP_FAKE_SM", "90", 1);
  ASSERT_EQ(nvrtc.compile(kStep), NvrtcResult::success);
  ASSERT_OK(load(nvrtc.cubin.data()));
  FunctionHandle function = nullptr, again = nullptr;
  EXPECT_EQ(gpu.moduleGetFunction(&function, module, "no_such_kernel"), Result::notFound);
  ASSERT_OK(gpu.moduleGetFunction(&function, module, "step"));
  ASSERT_OK(gpu.moduleGetFunction(&again, module, "step"));
  EXPECT_EQ(function, again);
  ASSERT_OK(gpu.moduleUnload(module));
  EXPECT_EQ(gpu.launch(function, Launch{}, 1, nullptr), Result::invalidHandle);
  EXPECT_EQ(gpu.moduleUnload(module), Result::invalidHandle);
}

TEST(FakeNvrtc, GivesTheCompilersWords) {
  const std::string folder = ::testing::TempDir() + "fake-nvrtc." + std::to_string(::getpid());
  std::filesystem::create_directory(folder);
  if (fresh("words", {{"TMPDIR", folder}})) {
    FakeNvrtc nvrtc;
    EXPECT_EQ(nvrtc.compile("int broken(\n"), NvrtcResult::compilation);
    EXPECT_NE(nvrtc.log.find("error"), std::string::npos) << nvrtc.log;
    EXPECT_EQ(nvrtc.log.find("lockstep-fake-nvrtc"), std::string::npos) << nvrtc.log;
    EXPECT_EQ(nvrtc.compile("#if SIZE != 3\n#error no size\n#endif\n", {"-DSIZE=3"}),
              NvrtcResult::success)
        << nvrtc.log;
    EXPECT_EQ(nvrtc.compile("", {"--no-cache"}), NvrtcResult::success) << "what compile() gives";
    EXPECT_EQ(nvrtc.compile("", {"--no-such-option"}), NvrtcResult::invalidOption);
    EXPECT_EQ(nvrtc.compile("", {"--gpu-architecture=sm_12"}), NvrtcResult::invalidOption);
    EXPECT_EQ(nvrtc.compile("#include <no_such_header>\n"), NvrtcResult::compilation);
    ::setenv("LOCKSTEP_FAKE_CXX", "/no/such/compiler", 1);
    EXPECT_EQ(nvrtc.compile(""), NvrtcResult::internalError);
    ::setenv("LOCKSTEP_FAKE_FAIL", "nvrtcCompileProgram=1", 1);
    EXPECT_EQ(nvrtc.compile(""), NvrtcResult::outOfMemory);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder)) << "something was left in " << folder;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace lockstep::testing
