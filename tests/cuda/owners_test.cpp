#include "base/cuda/owners.hpp"

#include <array>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/cuda/devices.hpp"
#include "cuda/recording_driver.hpp"
#include <lockstep/error.hpp>

namespace lockstep::cuda {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t kBytes = std::size_t{2} << 20;

/// A device with all that can be made on it; what fails, throws.
struct Everything {
  PrimaryContext context = PrimaryContext::retain(1);
  Stream stream = Stream::create(context);
  Event start = Event::create(context, Event::Timing::on);
  Event end = Event::create(context, Event::Timing::on);
  DeviceMemory memory = DeviceMemory::allocate(context, kBytes);
  HostMemory host = HostMemory::allocate(context, 64);
  IpcMemory ipc = IpcMemory::open(context, memory.exportIpc());
  std::shared_ptr<const Allocation> allocation =
      Allocation::create(context, kBytes, ShareableHandle::posixDescriptor);
  std::shared_ptr<const Allocation> imported =
      Allocation::importFd(context, allocation->exportFd(), kBytes);
  std::shared_ptr<const Allocation> fromFabric =
      Allocation::importFabric(context, allocation->exportFabric(), kBytes);
  MappedMemory mapped = MappedMemory::map(context, imported);
  std::shared_ptr<const MulticastObject> multicast =
      MulticastObject::create(context, 2, kBytes, ShareableHandle::posixDescriptor);
  MulticastBinding binding;
  MappedMemory switched;
  Function kernel = Function::find(Module::load(context, "image"), "kernel");
  Graph graph;
  GraphExec exec;

  void use() {
    multicast->addDevice();
    binding = MulticastBinding::bind(multicast, 0, allocation);
    switched = MappedMemory::map(context, multicast->object());
    Allocation::granularity(context, ShareableHandle::none);
    MulticastObject::granularity(context, 2, kBytes);
    start.record(stream.handle());
    stream.wait(start);
    end.synchronize();
    end.reached();
    end.microsecondsSince(start);
    stream.idle();
    stream.synchronize();
    isCapturing(context, stream.handle());
    graph = Graph::capture(context, stream.handle(),
                           [&] { kernel.launch({}, stream.handle(), nullptr); });
    exec = GraphExec::instantiate(graph);
    exec.launch(stream.handle());
    kernel.attribute(FunctionAttribute::registers);
    kernel.setDynamicShared(100 << 10);
    kernel.blocksPerMultiprocessor(256, 0);
    std::array<std::byte, 8> bytes{};
    copyToDevice(context, memory.address(), bytes);
    copyToHost(context, bytes, memory.address());
    zero(context, memory.address(), kBytes);
    deviceInfo(0);
    uuid(0);
    canReach(0, 1);
  }
};

TEST(CudaOwners, EachGivesBackOnce) {
  Recording recording;
  {
    Everything everything;
    everything.use();
    Everything other = std::move(everything);
    EXPECT_FALSE(recording->alive.empty());
  }
  EXPECT_THAT(recording->alive, IsEmpty());
  EXPECT_THAT(recording->problems, IsEmpty());
  EXPECT_THAT(recording->contexts, IsEmpty());
  EXPECT_EQ(std::ranges::count(recording->calls, "primaryCtxRelease"), 1);
  EXPECT_EQ(recording->calls.back(), "primaryCtxRelease");
}

/// Fails one call that Everything makes.
void expectCleanRefusal(const char* name) {
  SCOPED_TRACE(name);
  Recording recording;
  recording->failures[name] = Result::outOfMemory;
  try {
    Everything everything;
    everything.use();
    ADD_FAILURE() << "it failed, and nobody noticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::system);
    EXPECT_THAT(error.what(), ::testing::StartsWith("cannot "));
    EXPECT_THAT(error.what(),
                HasSubstr(": CUDA_ERROR_OUT_OF_MEMORY (the driver's words); ask for less"));
  }
  EXPECT_THAT(recording->alive, IsEmpty());
  EXPECT_THAT(recording->problems, IsEmpty());
  EXPECT_THAT(recording->contexts, IsEmpty());
}

TEST(CudaOwners, RefusalsCarryTheDriversWordsAndLeaveNothing) {
  for (const char* name : {"deviceGetCount",
                           "deviceGet",
                           "deviceGetName",
                           "deviceGetUuid",
                           "deviceGetAttribute",
                           "deviceTotalMem",
                           "deviceCanAccessPeer",
                           "primaryCtxRetain",
                           "ctxPushCurrent",
                           "streamCreate",
                           "streamSynchronize",
                           "streamQuery",
                           "streamWaitEvent",
                           "streamIsCapturing",
                           "streamBeginCapture",
                           "streamEndCapture",
                           "eventCreate",
                           "eventRecord",
                           "eventQuery",
                           "eventSynchronize",
                           "eventElapsedTime",
                           "moduleLoadDataEx",
                           "moduleGetFunction",
                           "funcGetAttribute",
                           "funcSetAttribute",
                           "occupancyMaxActiveBlocks",
                           "launchKernelEx",
                           "memAlloc",
                           "memsetD8Async",
                           "memcpyHtoDAsync",
                           "memcpyDtoHAsync",
                           "memHostAlloc",
                           "memHostGetDevicePointer",
                           "ipcGetMemHandle",
                           "ipcOpenMemHandle",
                           "memAddressReserve",
                           "memCreate",
                           "memMap",
                           "memSetAccess",
                           "memGetAllocationGranularity",
                           "memExportToShareableHandle",
                           "memImportFromShareableHandle",
                           "multicastCreate",
                           "multicastAddDevice",
                           "multicastBindMem",
                           "multicastGetGranularity",
                           "graphInstantiate",
                           "graphLaunch"})
    expectCleanRefusal(name);
}

/// Giving back is nobody's to hear of: a context that a kernel has killed refuses all of it.
TEST(CudaOwners, RefusalsToTakeBackAreNotThrown) {
  Recording recording;
  {
    Everything everything;
    everything.use();
    for (const char* name :
         {"ctxPushCurrent", "streamDestroy", "eventDestroy", "moduleUnload", "memFree",
          "memFreeHost", "memRelease", "memUnmap", "memAddressFree", "ipcCloseMemHandle",
          "graphDestroy", "graphExecDestroy", "multicastUnbind", "primaryCtxRelease"})
      recording->failures[name] = Result::illegalAddress;
  }
  EXPECT_THAT(recording->alive, IsEmpty());
  EXPECT_THAT(recording->problems, IsEmpty());
}

TEST(CudaOwners, ChildrenKeepTheirParents) {
  Recording recording;
  MappedMemory mapped;
  {
    const PrimaryContext context = PrimaryContext::retain(0);
    auto range = AddressRange::reserve(context, 2 * kBytes);
    mapped = MappedMemory::map(std::move(range), kBytes,
                               Allocation::create(context, kBytes, ShareableHandle::none));
  }
  recording->calls.clear();
  { const MappedMemory gone = std::move(mapped); }
  EXPECT_THAT(recording->work(),
              ElementsAre("memUnmap", "memRelease", "memAddressFree", "primaryCtxRelease"));
}

TEST(CudaOwners, MulticastIsUnmappedThenUnboundThenReleased) {
  Recording recording;
  MulticastBinding binding;
  {
    const PrimaryContext context = PrimaryContext::retain(0);
    auto object = MulticastObject::create(context, 2, kBytes, ShareableHandle::posixDescriptor);
    binding = MulticastBinding::bind(
        object, 0, Allocation::create(context, kBytes, ShareableHandle::posixDescriptor));
    const MappedMemory mapped = MappedMemory::map(context, object->object());
    recording->calls.clear();
  }
  EXPECT_THAT(recording->work(), ElementsAre("memUnmap", "memAddressFree"));
  recording->calls.clear();
  binding = {};
  EXPECT_THAT(recording->work(),
              ElementsAre("multicastUnbind", "memRelease", "memRelease", "primaryCtxRelease"));
}

TEST(CudaOwners, FunctionKeepsItsModule) {
  Recording recording;
  Function kernel = Function::find(Module::load(PrimaryContext::retain(0), "image"), "kernel");
  EXPECT_TRUE(kernel);
  recording->calls.clear();
  kernel = {};
  EXPECT_THAT(recording->work(), ElementsAre("moduleUnload", "primaryCtxRelease"));
}

TEST(CudaOwners, AssignmentGivesBackWhatWasThere) {
  Recording recording;
  const PrimaryContext context = PrimaryContext::retain(0);
  Stream stream = Stream::create(context);
  const Stream* same = &stream;
  stream = std::move(*const_cast<Stream*>(same));
  EXPECT_NE(stream.handle(), nullptr);
  recording->calls.clear();
  stream = Stream::create(context);
  EXPECT_THAT(recording->work(), ElementsAre("streamCreate", "streamDestroy"));
}

TEST(CudaOwners, CurrentContextIsEnteredOnceAndLeft) {
  Recording recording;
  const PrimaryContext zero = PrimaryContext::retain(0);
  const PrimaryContext one = PrimaryContext::retain(1);
  {
    const Current outer(zero);
    {
      const Current same(zero);
      EXPECT_EQ(recording->contexts.size(), 1U);
      const Current inner(one);
      EXPECT_THAT(recording->contexts, ElementsAre(zero.handle(), one.handle()));
    }
    EXPECT_THAT(recording->contexts, ElementsAre(zero.handle()));
  }
  EXPECT_THAT(recording->contexts, IsEmpty());
}

TEST(CudaOwners, CaptureEndsWhenItsWorkThrows) {
  Recording recording;
  const PrimaryContext context = PrimaryContext::retain(0);
  const Stream stream = Stream::create(context);
  EXPECT_THROW(
      Graph::capture(context, stream.handle(), [] { throw std::runtime_error("no more"); }),
      std::runtime_error);
  EXPECT_EQ(std::ranges::count(recording->calls, "streamEndCapture"), 1);
  EXPECT_EQ(std::ranges::count(recording->calls, "graphDestroy"), 1);
  EXPECT_THAT(recording->problems, IsEmpty());
}

TEST(CudaOwners, QueriesTellBusyFromBroken) {
  Recording recording;
  const PrimaryContext context = PrimaryContext::retain(0);
  const Stream stream = Stream::create(context);
  EXPECT_TRUE(stream.idle());
  recording->query = Result::notReady;
  EXPECT_FALSE(stream.idle());
  EXPECT_FALSE(idle(context, nullptr));
  EXPECT_FALSE(Event::create(context).reached());
  recording->query = Result::illegalAddress;
  EXPECT_THROW(static_cast<void>(stream.idle()), Error);
}

TEST(CudaOwners, CooperativeLaunchSaysSo) {
  Recording recording;
  static LaunchConfig seen;
  static int cooperative;
  recording.driver().launchKernelEx = [](const LaunchConfig* config, FunctionHandle, void**,
                                         void**) {
    seen = *config;
    cooperative = config->attributeCount == 1 &&
                  config->attributes[0].id == LaunchAttributeId::cooperative &&
                  config->attributes[0].value.cooperative == 1;
    return Result::success;
  };
  const Function kernel =
      Function::find(Module::load(PrimaryContext::retain(0), "image"), "kernel");
  kernel.launch({.gridX = 3, .gridY = 2, .threads = 256, .sharedBytes = 64, .cooperative = true},
                nullptr, nullptr);
  EXPECT_TRUE(cooperative);
  EXPECT_EQ(seen.gridX, 3U);
  EXPECT_EQ(seen.gridY, 2U);
  EXPECT_EQ(seen.blockX, 256U);
  EXPECT_EQ(seen.sharedBytes, 64U);
  kernel.launch({.gridX = 1}, nullptr, nullptr);
  EXPECT_FALSE(cooperative);
}

TEST(CudaOwners, LoaderSaysWhyItRefusesAnImage) {
  Recording recording;
  const PrimaryContext context = PrimaryContext::retain(0);
  recording->failures["moduleLoadDataEx"] = Result::noBinaryForGpu;
  try {
    Module::load(context, "image");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("said the loader"));
    EXPECT_THAT(error.what(), HasSubstr("compiled for another GPU"));
  }
}

TEST(CudaOwners, MappingMustFitItsRange) {
  Recording recording;
  const PrimaryContext context = PrimaryContext::retain(0);
  const auto range = AddressRange::reserve(context, kBytes);
  const auto memory = Allocation::create(context, kBytes, ShareableHandle::none);
  for (const std::size_t offset : {std::size_t{1}, kBytes, kBytes + 1, ~std::size_t{0}})
    EXPECT_THROW(MappedMemory::map(range, offset, memory), Error) << offset;
  EXPECT_EQ(std::ranges::count(recording->calls, "memMap"), 0);
}

TEST(CudaOwners, NothingIsAllocatedOnGpusThatAreNotThere) {
  Recording recording;
  for (const int ordinal : {-1, 2}) {
    try {
      PrimaryContext::retain(ordinal);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    }
  }
  const PrimaryContext context = PrimaryContext::retain(0);
  EXPECT_THROW(DeviceMemory::allocate(context, 0), Error);
  EXPECT_THROW(HostMemory::allocate(context, 0), Error);
}

TEST(CudaOwners, MulticastNeedsADriverThatHasIt) {
  Recording recording;
  recording.driver().multicastBindMem = nullptr;
  recording.driver().version = 11080;
  const PrimaryContext context = PrimaryContext::retain(0);
  try {
    MulticastObject::create(context, 2, kBytes, ShareableHandle::posixDescriptor);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_THAT(error.what(), HasSubstr("of CUDA 11.8"));
  }
}

}  // namespace
}  // namespace lockstep::cuda
