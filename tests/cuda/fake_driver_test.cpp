// The fake driver is as strict as a driver: devices, contexts, memory, failures on request.
#include <csignal>
#include <cstring>
#include <future>
#include <thread>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda/fake_gpu.hpp"
#include "cuda/fresh_process.hpp"

namespace lockstep::testing {
namespace {

using namespace cuda;

constexpr std::size_t kUnit = std::size_t{2} << 20;

AllocationProperties properties(int device = 0,
                                ShareableHandle types = ShareableHandle::posixDescriptor) {
  AllocationProperties made;
  made.requestedHandleTypes = types;
  made.location.id = device;
  return made;
}

AccessDescriptor accessOf(int device) {
  AccessDescriptor access;
  access.location.id = device;
  return access;
}

TEST(FakeDriver, ShowsTheDevicesItIsToldToHave) {
  if (fresh("default")) {
    FakeDriver driver;
    int value = 0;
    EXPECT_EQ(driver.deviceGetCount(&value), Result::notInitialized);
    ASSERT_OK(driver.init(0));
    ASSERT_OK(driver.deviceGetCount(&value));
    EXPECT_EQ(value, 2);
    char name[100];
    ASSERT_OK(driver.deviceGetName(name, sizeof name, 1));
    EXPECT_STREQ(name, "Lockstep emulated GPU");
    ASSERT_OK(driver.deviceGetName(name, 9, 1));
    EXPECT_STREQ(name, "Lockstep");
    ASSERT_OK(driver.deviceGetAttribute(&value, DeviceAttribute::computeCapabilityMajor, 0));
    EXPECT_EQ(value, 9);
    ASSERT_OK(driver.deviceGetAttribute(&value, DeviceAttribute::multicastSupported, 0));
    EXPECT_EQ(value, 0);
    EXPECT_EQ(driver.deviceGetAttribute(&value, DeviceAttribute{9999}, 0), Result::invalidValue);
    EXPECT_EQ(driver.deviceGetAttribute(nullptr, DeviceAttribute::computeMode, 0),
              Result::invalidValue);
    Device device = -1;
    EXPECT_EQ(driver.deviceGet(&device, 2), Result::invalidDevice);
    ASSERT_OK(driver.deviceCanAccessPeer(&value, 0, 1));
    EXPECT_EQ(value, 1);
    Uuid one, two;
    ASSERT_OK(driver.deviceGetUuid(&one, 0));
    ASSERT_OK(driver.deviceGetUuid(&two, 1));
    EXPECT_NE(std::memcmp(&one, &two, sizeof one), 0);
    const char* words = nullptr;
    ASSERT_OK(driver.getErrorString(Result::outOfMemory, &words));
    EXPECT_STREQ(words, "out of memory");
    EXPECT_EQ(driver.getErrorName(Result{12345}, &words), Result::invalidValue);
  }
  if (fresh("other", {{"LOCKSTEP_FAKE_GPUS", "5"},
                      {"LOCKSTEP_FAKE_NO_PEER", "1"},
                      {"LOCKSTEP_FAKE_SM", "120"}})) {
    FakeDriver driver;
    ASSERT_OK(driver.init(0));
    int value = 0;
    ASSERT_OK(driver.deviceGetAttribute(&value, DeviceAttribute::computeCapabilityMajor, 4));
    EXPECT_EQ(value, 12);
    ASSERT_OK(driver.deviceCanAccessPeer(&value, 0, 1));
    EXPECT_EQ(value, 0);
  }
  if (fresh("none", {{"LOCKSTEP_FAKE_GPUS", "0"}})) {
    EXPECT_EQ(FakeDriver().init(0), Result::noDevice);
  }
}

TEST(FakeDriver, CanLackAnySymbol) {
  if (fresh("optional", {{"LOCKSTEP_FAKE_MISSING", "cuMulticastCreate,cuStreamWriteValue64_v2"}})) {
    FakeDriver driver;
    EXPECT_EQ(driver.missing, "");
    EXPECT_EQ(driver.multicastCreate, nullptr);
    EXPECT_EQ(driver.streamWriteValue64, nullptr);
    EXPECT_NE(driver.multicastAddDevice, nullptr);
  }
  if (fresh("required", {{"LOCKSTEP_FAKE_MISSING", "cuMemMap"}})) {
    FakeDriver driver;
    EXPECT_EQ(driver.memMap, nullptr);
    EXPECT_NE(driver.missing.find("cuMemMap"), std::string::npos) << driver.missing;
  }
}

TEST(FakeDriver, FailsWhereItIsTold) {
  if (fresh("nth", {{"LOCKSTEP_FAKE_FAIL", "cuDeviceGetCount=46@2,cuInit=999"}})) {
    FakeDriver driver;
    EXPECT_EQ(driver.init(0), Result::unknown);
    ::setenv("LOCKSTEP_FAKE_FAIL", "cuDeviceGetCount=46@2,cuDriverGetVersion=3", 1);
    ASSERT_OK(driver.init(0));
    int value = 0;
    EXPECT_OK(driver.deviceGetCount(&value));
    EXPECT_EQ(driver.deviceGetCount(&value), Result::deviceUnavailable);
    EXPECT_OK(driver.deviceGetCount(&value));
    EXPECT_EQ(driver.driverGetVersion(&value), Result::notInitialized);
    EXPECT_EQ(driver.driverGetVersion(&value), Result::notInitialized);
  }
  if (fresh("device", {{"LOCKSTEP_FAKE_FAIL", "cuMemAlloc_v2/1=2"}})) {
    FakeGpu first(0);
    first.allocate(8);
    FakeGpu second(1);
    DevicePtr memory = 0;
    EXPECT_EQ(second.memAlloc(&memory, 8), Result::outOfMemory);
  }
}

TEST(FakeDriver, DoesNotSurviveAFork) {
  if (!fresh("fork")) return;
  FakeGpu gpu;
  const pid_t child = ::fork();
  if (child == 0) {
    int count = 0;
    const bool refused = gpu.deviceGetCount(&count) == Result::notInitialized &&
                         gpu.init(0) == Result::notInitialized;
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(FakeDriver, ContextsAreCountedAndCurrentPerThread) {
  if (!fresh("contexts")) return;
  FakeDriver driver;
  ASSERT_OK(driver.init(0));
  ContextHandle first = nullptr, again = nullptr, current = nullptr;
  EXPECT_EQ(driver.primaryCtxRelease(0), Result::invalidContext);
  ASSERT_OK(driver.primaryCtxRetain(&first, 0));
  ASSERT_OK(driver.primaryCtxRetain(&again, 0));
  EXPECT_EQ(first, again);
  StreamHandle stream = nullptr;
  EXPECT_EQ(driver.streamCreate(&stream, 1), Result::invalidContext);
  ASSERT_OK(driver.ctxPushCurrent(first));
  ASSERT_OK(driver.streamCreate(&stream, 1));
  std::thread([&] {
    EXPECT_OK(driver.ctxGetCurrent(&current));
    EXPECT_EQ(current, nullptr);
    EXPECT_EQ(driver.ctxPopCurrent(&current), Result::invalidContext);
  }).join();
  ASSERT_OK(driver.streamDestroy(stream));
  ASSERT_OK(driver.primaryCtxRelease(0));
  ASSERT_OK(driver.primaryCtxRelease(0));
  DevicePtr memory = 0;
  EXPECT_EQ(driver.memAlloc(&memory, 8), Result::contextIsDestroyed);
  EXPECT_EQ(driver.ctxPushCurrent(first), Result::invalidContext);
  ASSERT_OK(driver.ctxPopCurrent(&current));
  EXPECT_EQ(current, first);
}

TEST(FakeDriver, SaysWhatIsStillAlive) {
  if (fresh("alive", {}, 99)) {
    FakeDriver driver;
    EXPECT_OK(driver.init(0));
    ContextHandle context = nullptr;
    EXPECT_OK(driver.primaryCtxRetain(&context, 0));
    EXPECT_OK(driver.ctxPushCurrent(context));
    EXPECT_EQ(driver.alive(), "1 contexts");
    StreamHandle stream = nullptr;
    DevicePtr memory = 0;
    EXPECT_OK(driver.streamCreate(&stream, 1));
    EXPECT_OK(driver.memAlloc(&memory, 8));
    EXPECT_EQ(driver.alive(), "1 contexts, 1 streams, 1 pieces of memory");
  }
}

TEST(FakeMemory, IsNothingForTheHost) {
  if (!hasProtectionKeys()) GTEST_SKIP() << "this processor or kernel has no protection keys";
  if (fresh("follow", kNoCrashHandlers, -SIGSEGV)) {
    FakeGpu gpu;
    const DevicePtr memory = gpu.allocate(8);
    *reinterpret_cast<volatile int*>(memory) = 1;
  }
  if (fresh("copy")) {
    FakeGpu gpu;
    const DevicePtr memory = gpu.allocate(8);
    const std::uint64_t value = 12345;
    ASSERT_OK(gpu.memcpyHtoD(memory, &value, sizeof value));
    EXPECT_EQ(gpu.read<std::uint64_t>(memory), value);
  }
}

TEST(FakeMemory, AllocationsAreJunkAtFirstAndBounded) {
  if (!fresh("bounds", {{"LOCKSTEP_FAKE_MEMORY_MIB", "8"}})) return;
  FakeGpu gpu;
  const DevicePtr memory = gpu.allocate(1000);
  EXPECT_EQ(gpu.read<unsigned char>(memory + 999), 0xdb);
  char bytes[2000] = {};
  EXPECT_EQ(gpu.memcpyHtoD(memory, bytes, 1001), Result::invalidValue);
  EXPECT_EQ(gpu.memcpyDtoH(bytes, memory - 1, 8), Result::invalidValue);
  EXPECT_EQ(gpu.memcpyDtoD(memory, memory + 990, 11), Result::invalidValue);
  EXPECT_EQ(gpu.memsetD8Async(0, 0, 8, nullptr), Result::invalidValue);
  EXPECT_EQ(gpu.memFree(memory + 8), Result::invalidValue);
  DevicePtr more = 0;
  EXPECT_EQ(gpu.memAlloc(&more, 0), Result::invalidValue);
  EXPECT_EQ(gpu.memAlloc(nullptr, 8), Result::invalidValue);
  EXPECT_EQ(gpu.memAlloc(&more, std::size_t{8} << 20), Result::outOfMemory);
  ASSERT_OK(gpu.memAlloc(&more, std::size_t{7} << 20));
  ASSERT_OK(gpu.memFree(more));
  EXPECT_EQ(gpu.memFree(more), Result::invalidValue);
}

TEST(FakeMemory, PinnedHostMemoryIsForBoth) {
  if (!fresh("pinned")) return;
  FakeGpu gpu;
  void* pinned = nullptr;
  ASSERT_OK(gpu.memHostAlloc(&pinned, 100, kHostPortable | kHostDeviceMap));
  std::memset(pinned, 7, 100);
  DevicePtr device = 0;
  ASSERT_OK(gpu.memHostGetDevicePointer(&device, pinned, 0));
  EXPECT_EQ(gpu.read<unsigned char>(device + 99), 7);
  EXPECT_EQ(gpu.memHostGetDevicePointer(&device, &gpu, 0), Result::invalidValue);
  ASSERT_OK(gpu.memFreeHost(pinned));
  EXPECT_EQ(gpu.memFreeHost(pinned), Result::invalidValue);
}

TEST(FakeMemory, IsMappedByTheRules) {
  if (!fresh("rules")) return;
  FakeGpu gpu;
  const AllocationProperties mine = properties();
  AllocationHandle handle = 0;
  EXPECT_EQ(gpu.memCreate(&handle, kUnit + 1, &mine, 0), Result::invalidValue);
  const AllocationProperties nobodys = properties(9);
  EXPECT_EQ(gpu.memCreate(&handle, kUnit, &nobodys, 0), Result::invalidDevice);
  const AllocationProperties fabric = properties(0, ShareableHandle::fabric);
  EXPECT_EQ(gpu.memCreate(&handle, kUnit, &fabric, 0), Result::notSupported);
  std::size_t granularity = 0;
  ASSERT_OK(gpu.memGetAllocationGranularity(&granularity, &mine, Granularity::recommended));
  EXPECT_EQ(granularity, kUnit);
  ASSERT_OK(gpu.memCreate(&handle, 2 * kUnit, &mine, 0));

  DevicePtr range = 0;
  EXPECT_EQ(gpu.memAddressReserve(&range, 100, 0, 0, 0), Result::invalidValue);
  ASSERT_OK(gpu.memAddressReserve(&range, 4 * kUnit, 8 * kUnit, 0, 0));
  EXPECT_EQ(range % (8 * kUnit), 0u);
  EXPECT_EQ(gpu.memMap(range + 3 * kUnit, 2 * kUnit, 0, handle, 0), Result::invalidValue);
  EXPECT_EQ(gpu.memMap(range, 3 * kUnit, 0, handle, 0), Result::invalidValue);
  EXPECT_EQ(gpu.memMap(range, 2 * kUnit, 0, handle + 1, 0), Result::invalidValue);
  ASSERT_OK(gpu.memMap(range, 2 * kUnit, 0, handle, 0));
  EXPECT_EQ(gpu.memMap(range + kUnit, kUnit, 0, handle, 0), Result::invalidValue);
  ASSERT_OK(gpu.memMap(range + 2 * kUnit, 2 * kUnit, 0, handle, 0));  // the same memory twice

  EXPECT_EQ(gpu.memsetD8Async(range, 1, 8, nullptr), Result::invalidValue);  // no access yet
  const AccessDescriptor access = accessOf(0);
  EXPECT_EQ(gpu.memSetAccess(range, kUnit, &access, 1), Result::invalidValue);  // half of it
  ASSERT_OK(gpu.memSetAccess(range, 4 * kUnit, &access, 1));
  ASSERT_OK(gpu.memsetD8Async(range + 8, 0x55, 8, nullptr));
  EXPECT_EQ(gpu.read<unsigned char>(range + 2 * kUnit + 8), 0x55);

  AllocationHandle same = 0;
  ASSERT_OK(gpu.memRetainAllocationHandle(&same, reinterpret_cast<void*>(range + 9)));
  EXPECT_EQ(same, handle);
  ASSERT_OK(gpu.memRelease(handle));
  ASSERT_OK(gpu.memRelease(handle));
  EXPECT_EQ(gpu.memRelease(handle), Result::invalidValue);
  EXPECT_EQ(gpu.read<unsigned char>(range + 8), 0x55);  // mappings keep it

  EXPECT_EQ(gpu.memAddressFree(range, 4 * kUnit), Result::invalidValue);  // still mapped
  EXPECT_EQ(gpu.memUnmap(range, kUnit), Result::invalidValue);
  ASSERT_OK(gpu.memUnmap(range, 4 * kUnit));
  EXPECT_EQ(gpu.memUnmap(range, 4 * kUnit), Result::invalidValue);
  EXPECT_EQ(gpu.memAddressFree(range, kUnit), Result::invalidValue);
  ASSERT_OK(gpu.memAddressFree(range, 4 * kUnit));
  EXPECT_EQ(gpu.memAddressFree(range, 4 * kUnit), Result::invalidValue);
}

TEST(FakeMemory, RefusesPeersAndExportsWhereItIsTold) {
  if (fresh("peers", {{"LOCKSTEP_FAKE_NO_PEER", "1"}})) {
    FakeGpu gpu;
    const AllocationProperties theirs = properties(1);
    AllocationHandle handle = 0;
    DevicePtr range = 0;
    ASSERT_OK(gpu.memCreate(&handle, kUnit, &theirs, 0));
    ASSERT_OK(gpu.memAddressReserve(&range, kUnit, 0, 0, 0));
    ASSERT_OK(gpu.memMap(range, kUnit, 0, handle, 0));
    const AccessDescriptor mine = accessOf(0), own = accessOf(1);
    EXPECT_EQ(gpu.memSetAccess(range, kUnit, &mine, 1), Result::peerAccessUnsupported);
    EXPECT_OK(gpu.memSetAccess(range, kUnit, &own, 1));
    EXPECT_OK(gpu.memUnmap(range, kUnit));
    EXPECT_OK(gpu.memAddressFree(range, kUnit));
    EXPECT_OK(gpu.memRelease(handle));
  }
  if (fresh("exports", {{"LOCKSTEP_FAKE_NO_FD_EXPORT", "1"}})) {
    FakeGpu gpu;
    int value = 1;
    ASSERT_OK(gpu.deviceGetAttribute(&value, DeviceAttribute::handleTypePosixFileDescriptor, 0));
    EXPECT_EQ(value, 0);
    const AllocationProperties shared = properties();
    const AllocationProperties own = properties(0, ShareableHandle::none);
    AllocationHandle handle = 0;
    EXPECT_EQ(gpu.memCreate(&handle, kUnit, &shared, 0), Result::notSupported);
    ASSERT_OK(gpu.memCreate(&handle, kUnit, &own, 0));
    EXPECT_EQ(gpu.memExportToShareableHandle(&value, handle, ShareableHandle::posixDescriptor, 0),
              Result::notSupported);
    EXPECT_OK(gpu.memRelease(handle));
  }
}

TEST(FakeMemory, HasFabricHandlesWhereItIsTold) {
  if (fresh("fabric", {{"LOCKSTEP_FAKE_FABRIC", "1"}})) {
    FakeGpu gpu;
    int value = 0;
    ASSERT_OK(gpu.deviceGetAttribute(&value, DeviceAttribute::handleTypeFabric, 0));
    EXPECT_EQ(value, 1);
    const AllocationProperties shared = properties(0, ShareableHandle::fabric);
    AllocationHandle handle = 0, imported = 0;
    ASSERT_OK(gpu.memCreate(&handle, kUnit, &shared, 0));
    EXPECT_EQ(gpu.memExportToShareableHandle(&value, handle, ShareableHandle::posixDescriptor, 0),
              Result::invalidValue);
    FabricHandle fabric{};
    const auto import = [&] {
      return gpu.memImportFromShareableHandle(&imported, &fabric, ShareableHandle::fabric);
    };
    EXPECT_EQ(import(), Result::invalidValue);
    ASSERT_OK(gpu.memExportToShareableHandle(&fabric, handle, ShareableHandle::fabric, 0));
    EXPECT_OK(import());
    EXPECT_OK(gpu.memRelease(imported));
    EXPECT_OK(gpu.memRelease(handle));
    EXPECT_EQ(import(), Result::invalidValue);  // there is nothing any more
  }
  if (fresh("channel", {{"LOCKSTEP_FAKE_FABRIC", "1"}, {"LOCKSTEP_FAKE_NO_IMEX", "1"}})) {
    FakeGpu gpu;
    const AllocationProperties shared = properties(0, ShareableHandle::fabric);
    AllocationHandle handle = 0;
    EXPECT_EQ(gpu.memCreate(&handle, kUnit, &shared, 0), Result::notPermitted);
  }
}

TEST(FakeMemory, ImportsOnlyWhatIsMemory) {
  if (!fresh("imports")) return;
  FakeGpu gpu;
  const int wrong = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  AllocationHandle handle = 0;
  const auto import = [&](int fd) {
    return gpu.memImportFromShareableHandle(&handle, reinterpret_cast<void*>(std::intptr_t{fd}),
                                            ShareableHandle::posixDescriptor);
  };
  EXPECT_EQ(import(wrong), Result::invalidValue);
  EXPECT_EQ(import(-1), Result::invalidValue);
  ::close(wrong);
}

TEST(FakeMulticast, IsMadeJoinedAndBoundButNotOffered) {
  if (fresh("objects")) {
    FakeGpu gpu;
    MulticastProperties wanted;
    wanted.numDevices = 1;
    wanted.size = 2 * kUnit;
    wanted.handleTypes = 1;
    AllocationHandle object = 0, memory = 0, imported = 0;
    EXPECT_EQ(gpu.multicastCreate(&object, &wanted), Result::invalidValue);
    wanted.numDevices = 2;
    std::size_t granularity = 0;
    ASSERT_OK(gpu.multicastGetGranularity(&granularity, &wanted, Granularity::minimum));
    EXPECT_EQ(granularity, kUnit);
    ASSERT_OK(gpu.multicastCreate(&object, &wanted));
    int fd = -1;
    ASSERT_OK(gpu.memExportToShareableHandle(&fd, object, ShareableHandle::posixDescriptor, 0));
    ASSERT_OK(gpu.memImportFromShareableHandle(
        &imported, reinterpret_cast<void*>(std::intptr_t{fd}), ShareableHandle::posixDescriptor));
    ::close(fd);
    const AllocationProperties mine = properties();
    ASSERT_OK(gpu.memCreate(&memory, 2 * kUnit, &mine, 0));
    ASSERT_OK(gpu.multicastAddDevice(object, 0));
    EXPECT_EQ(gpu.multicastAddDevice(imported, 0), Result::invalidValue);  // already in
    EXPECT_EQ(gpu.multicastBindMem(object, 0, memory, 0, 2 * kUnit, 0), Result::illegalState);
    ASSERT_OK(gpu.multicastAddDevice(imported, 1));
    EXPECT_EQ(gpu.multicastBindMem(object, 0, memory, 0, kUnit + 1, 0), Result::invalidValue);
    EXPECT_EQ(gpu.multicastBindMem(memory, 0, memory, 0, kUnit, 0), Result::invalidValue);
    ASSERT_OK(gpu.multicastBindMem(object, 0, memory, 0, 2 * kUnit, 0));
    EXPECT_EQ(gpu.multicastUnbind(object, 1, 0, 2 * kUnit), Result::invalidValue);
    ASSERT_OK(gpu.multicastUnbind(object, 0, 0, 2 * kUnit));
    for (const auto handle : {object, imported, memory}) EXPECT_OK(gpu.memRelease(handle));
  }
  // The process ends with the call under way.
  if (fresh("blocks", {{"LOCKSTEP_FAKE_BIND_BLOCKS", "1"}})) {
    FakeDriver driver;
    ASSERT_OK(driver.init(0));
    std::promise<void> begun;
    auto* const bound = new std::promise<void>;
    const auto done = bound->get_future();
    std::thread([&begun, bound, bind = driver.multicastBindMem] {
      begun.set_value();
      bind(0, 0, 0, 0, 0, 0);
      bound->set_value();
    }).detach();
    begun.get_future().wait();
    EXPECT_EQ(done.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  }
}

}  // namespace
}  // namespace lockstep::testing
