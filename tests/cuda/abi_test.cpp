// Holds what base/cuda declares by hand against CUDA's own headers, where the machine has them. The
// build is the test.
#include <gtest/gtest.h>

#include "base/cuda/driver.hpp"
#include "base/cuda/nvrtc.hpp"

#if __has_include(<cuda.h>)
#include <cuda.h>
#endif
#if __has_include(<nvrtc.h>)
#include <nvrtc.h>
#endif

namespace lockstep::cuda {
namespace {

/// Whether arguments of these types are passed alike and, for pointers, point to things alike.
template <class Ours, class Theirs>
constexpr bool alike() {
  if constexpr (sizeof(Ours) != sizeof(Theirs) ||
                std::is_pointer_v<Ours> != std::is_pointer_v<Theirs>) {
    return false;
  } else if constexpr (std::is_pointer_v<Ours>) {
    using Our = std::remove_pointer_t<Ours>;
    using Their = std::remove_pointer_t<Theirs>;
    if constexpr (requires { sizeof(Our) > 0, sizeof(Their) > 0; } && std::is_object_v<Our> &&
                  std::is_object_v<Their>)
      return alike<Our, Their>();
    else
      return true;
  } else {
    return std::is_class_v<Ours> == std::is_class_v<Theirs>;
  }
}

template <class Ours, class Theirs>
struct SameCall : std::false_type {};
template <class R, class... Args, class S, class... Brgs>
requires(sizeof...(Args) == sizeof...(Brgs)) struct SameCall<R(Args...), S(Brgs...)>
    : std::bool_constant<alike<R, S>() && (alike<Args, Brgs>() && ...)> {
};

static_assert(SameCall<int(int, char*), int(unsigned, const char*)>::value);
static_assert(!SameCall<int(int), int(int, int)>::value);
static_assert(!SameCall<int(int), int(long)>::value);
static_assert(!SameCall<int(int*), int(long*)>::value);

#if defined(CUDA_VERSION) && CUDA_VERSION >= 12010

#define LOCKSTEP_SAME(member, symbol, since, ...) \
  static_assert(SameCall<__VA_ARGS__, decltype(::symbol)>::value, #member);
LOCKSTEP_CUDA_REQUIRED(LOCKSTEP_SAME)
LOCKSTEP_CUDA_OPTIONAL(LOCKSTEP_SAME)
#undef LOCKSTEP_SAME

template <auto ours, auto theirs>
constexpr bool kSame = static_cast<long long>(ours) == static_cast<long long>(theirs);

static_assert(kSame<Result::success, CUDA_SUCCESS>);
static_assert(kSame<Result::invalidValue, CUDA_ERROR_INVALID_VALUE>);
static_assert(kSame<Result::outOfMemory, CUDA_ERROR_OUT_OF_MEMORY>);
static_assert(kSame<Result::notInitialized, CUDA_ERROR_NOT_INITIALIZED>);
static_assert(kSame<Result::deinitialized, CUDA_ERROR_DEINITIALIZED>);
static_assert(kSame<Result::stubLibrary, CUDA_ERROR_STUB_LIBRARY>);
static_assert(kSame<Result::deviceUnavailable, CUDA_ERROR_DEVICE_UNAVAILABLE>);
static_assert(kSame<Result::noDevice, CUDA_ERROR_NO_DEVICE>);
static_assert(kSame<Result::invalidDevice, CUDA_ERROR_INVALID_DEVICE>);
static_assert(kSame<Result::invalidImage, CUDA_ERROR_INVALID_IMAGE>);
static_assert(kSame<Result::invalidContext, CUDA_ERROR_INVALID_CONTEXT>);
static_assert(kSame<Result::mapFailed, CUDA_ERROR_MAP_FAILED>);
static_assert(kSame<Result::alreadyMapped, CUDA_ERROR_ALREADY_MAPPED>);
static_assert(kSame<Result::noBinaryForGpu, CUDA_ERROR_NO_BINARY_FOR_GPU>);
static_assert(kSame<Result::notMapped, CUDA_ERROR_NOT_MAPPED>);
static_assert(kSame<Result::eccUncorrectable, CUDA_ERROR_ECC_UNCORRECTABLE>);
static_assert(kSame<Result::peerAccessUnsupported, CUDA_ERROR_PEER_ACCESS_UNSUPPORTED>);
static_assert(kSame<Result::nvlinkUncorrectable, CUDA_ERROR_NVLINK_UNCORRECTABLE>);
static_assert(kSame<Result::fileNotFound, CUDA_ERROR_FILE_NOT_FOUND>);
static_assert(kSame<Result::operatingSystem, CUDA_ERROR_OPERATING_SYSTEM>);
static_assert(kSame<Result::invalidHandle, CUDA_ERROR_INVALID_HANDLE>);
static_assert(kSame<Result::illegalState, CUDA_ERROR_ILLEGAL_STATE>);
static_assert(kSame<Result::notFound, CUDA_ERROR_NOT_FOUND>);
static_assert(kSame<Result::notReady, CUDA_ERROR_NOT_READY>);
static_assert(kSame<Result::illegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS>);
static_assert(kSame<Result::launchOutOfResources, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES>);
static_assert(kSame<Result::launchTimeout, CUDA_ERROR_LAUNCH_TIMEOUT>);
static_assert(kSame<Result::contextIsDestroyed, CUDA_ERROR_CONTEXT_IS_DESTROYED>);
static_assert(kSame<Result::launchFailed, CUDA_ERROR_LAUNCH_FAILED>);
static_assert(kSame<Result::cooperativeLaunchTooLarge, CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE>);
static_assert(kSame<Result::notPermitted, CUDA_ERROR_NOT_PERMITTED>);
static_assert(kSame<Result::notSupported, CUDA_ERROR_NOT_SUPPORTED>);
static_assert(kSame<Result::systemNotReady, CUDA_ERROR_SYSTEM_NOT_READY>);
static_assert(kSame<Result::systemDriverMismatch, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH>);
static_assert(kSame<Result::compatNotSupportedOnDevice, CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE>);
static_assert(kSame<Result::streamCaptureUnsupported, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED>);
static_assert(kSame<Result::streamCaptureInvalidated, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED>);
static_assert(kSame<Result::streamCaptureUnmatched, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED>);
static_assert(kSame<Result::streamCaptureImplicit, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT>);
static_assert(kSame<Result::timeout, CUDA_ERROR_TIMEOUT>);
static_assert(kSame<Result::unknown, CUDA_ERROR_UNKNOWN>);

using Attribute = DeviceAttribute;
static_assert(kSame<Attribute::maxThreadsPerBlock, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK>);
static_assert(kSame<Attribute::multiprocessorCount, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT>);
static_assert(kSame<Attribute::computeMode, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE>);
static_assert(kSame<Attribute::pciBusId, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID>);
static_assert(kSame<Attribute::pciDeviceId, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID>);
static_assert(kSame<Attribute::l2CacheSize, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE>);
static_assert(kSame<Attribute::maxThreadsPerMultiprocessor,
                    CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR>);
static_assert(kSame<Attribute::unifiedAddressing, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING>);
static_assert(kSame<Attribute::pciDomainId, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID>);
static_assert(
    kSame<Attribute::computeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR>);
static_assert(
    kSame<Attribute::computeCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR>);
static_assert(kSame<Attribute::maxSharedPerMultiprocessor,
                    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR>);
static_assert(kSame<Attribute::cooperativeLaunch, CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH>);
static_assert(kSame<Attribute::maxSharedPerBlockOptin,
                    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN>);
static_assert(kSame<Attribute::virtualMemoryManagement,
                    CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED>);
static_assert(kSame<Attribute::handleTypePosixFileDescriptor,
                    CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED>);
static_assert(kSame<Attribute::multicastSupported, CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED>);
#if CUDA_VERSION >= 12040
static_assert(kSame<Attribute::handleTypeFabric, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED>);
static_assert(kSame<ShareableHandle::fabric, CU_MEM_HANDLE_TYPE_FABRIC>);
static_assert(sizeof(FabricHandle) == sizeof(CUmemFabricHandle));
#endif

static_assert(
    kSame<FunctionAttribute::maxThreadsPerBlock, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK>);
static_assert(kSame<FunctionAttribute::sharedBytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES>);
static_assert(kSame<FunctionAttribute::localBytes, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES>);
static_assert(kSame<FunctionAttribute::registers, CU_FUNC_ATTRIBUTE_NUM_REGS>);
static_assert(kSame<FunctionAttribute::maxDynamicSharedBytes,
                    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES>);
static_assert(kSame<JitOption::errorLogBuffer, CU_JIT_ERROR_LOG_BUFFER>);
static_assert(kSame<JitOption::errorLogBufferSize, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES>);
static_assert(kSame<kStreamNonBlocking, CU_STREAM_NON_BLOCKING>);
static_assert(kSame<kEventDefault, CU_EVENT_DEFAULT>);
static_assert(kSame<kEventDisableTiming, CU_EVENT_DISABLE_TIMING>);
static_assert(kSame<kHostPortable, CU_MEMHOSTALLOC_PORTABLE>);
static_assert(kSame<kHostDeviceMap, CU_MEMHOSTALLOC_DEVICEMAP>);
static_assert(kSame<kIpcLazyEnablePeerAccess, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS>);
static_assert(kSame<kStreamWriteValueDefault, CU_STREAM_WRITE_VALUE_DEFAULT>);
static_assert(kSame<CaptureMode::global, CU_STREAM_CAPTURE_MODE_GLOBAL>);
static_assert(kSame<CaptureMode::threadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL>);
static_assert(kSame<CaptureMode::relaxed, CU_STREAM_CAPTURE_MODE_RELAXED>);
static_assert(kSame<CaptureStatus::none, CU_STREAM_CAPTURE_STATUS_NONE>);
static_assert(kSame<CaptureStatus::active, CU_STREAM_CAPTURE_STATUS_ACTIVE>);
static_assert(kSame<CaptureStatus::invalidated, CU_STREAM_CAPTURE_STATUS_INVALIDATED>);
static_assert(kSame<LocationType::device, CU_MEM_LOCATION_TYPE_DEVICE>);
static_assert(kSame<AllocationType::pinned, CU_MEM_ALLOCATION_TYPE_PINNED>);
static_assert(kSame<ShareableHandle::none, CU_MEM_HANDLE_TYPE_NONE>);
static_assert(kSame<ShareableHandle::posixDescriptor, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR>);
static_assert(kSame<AccessFlags::none, CU_MEM_ACCESS_FLAGS_PROT_NONE>);
static_assert(kSame<AccessFlags::read, CU_MEM_ACCESS_FLAGS_PROT_READ>);
static_assert(kSame<AccessFlags::readWrite, CU_MEM_ACCESS_FLAGS_PROT_READWRITE>);
static_assert(kSame<Granularity::minimum, CU_MEM_ALLOC_GRANULARITY_MINIMUM>);
static_assert(kSame<Granularity::recommended, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED>);
static_assert(kSame<Granularity::minimum, CU_MULTICAST_GRANULARITY_MINIMUM>);
static_assert(kSame<Granularity::recommended, CU_MULTICAST_GRANULARITY_RECOMMENDED>);
static_assert(kSame<LaunchAttributeId::ignore, CU_LAUNCH_ATTRIBUTE_IGNORE>);
static_assert(kSame<LaunchAttributeId::cooperative, CU_LAUNCH_ATTRIBUTE_COOPERATIVE>);

#define LOCKSTEP_LAYOUT(Ours, Theirs)            \
  static_assert(sizeof(Ours) == sizeof(Theirs)); \
  static_assert(alignof(Ours) == alignof(Theirs))
#define LOCKSTEP_MEMBER(Ours, ours, Theirs, theirs)                \
  static_assert(offsetof(Ours, ours) == offsetof(Theirs, theirs)); \
  static_assert(sizeof(Ours::ours) == sizeof(Theirs::theirs))

LOCKSTEP_LAYOUT(Device, CUdevice);
LOCKSTEP_LAYOUT(DevicePtr, CUdeviceptr);
LOCKSTEP_LAYOUT(AllocationHandle, CUmemGenericAllocationHandle);
LOCKSTEP_LAYOUT(Uuid, CUuuid);
LOCKSTEP_LAYOUT(IpcMemoryHandle, CUipcMemHandle);

LOCKSTEP_LAYOUT(MemoryLocation, CUmemLocation);
LOCKSTEP_MEMBER(MemoryLocation, type, CUmemLocation, type);
LOCKSTEP_MEMBER(MemoryLocation, id, CUmemLocation, id);

LOCKSTEP_LAYOUT(AllocationProperties, CUmemAllocationProp);
LOCKSTEP_MEMBER(AllocationProperties, type, CUmemAllocationProp, type);
LOCKSTEP_MEMBER(AllocationProperties, requestedHandleTypes, CUmemAllocationProp,
                requestedHandleTypes);
LOCKSTEP_MEMBER(AllocationProperties, location, CUmemAllocationProp, location);
LOCKSTEP_MEMBER(AllocationProperties, win32HandleMetaData, CUmemAllocationProp,
                win32HandleMetaData);
LOCKSTEP_MEMBER(AllocationProperties, allocFlags, CUmemAllocationProp, allocFlags);
LOCKSTEP_MEMBER(AllocationProperties, allocFlags.compressionType, CUmemAllocationProp,
                allocFlags.compressionType);
LOCKSTEP_MEMBER(AllocationProperties, allocFlags.gpuDirectRdmaCapable, CUmemAllocationProp,
                allocFlags.gpuDirectRDMACapable);
LOCKSTEP_MEMBER(AllocationProperties, allocFlags.usage, CUmemAllocationProp, allocFlags.usage);

LOCKSTEP_LAYOUT(AccessDescriptor, CUmemAccessDesc);
LOCKSTEP_MEMBER(AccessDescriptor, location, CUmemAccessDesc, location);
LOCKSTEP_MEMBER(AccessDescriptor, flags, CUmemAccessDesc, flags);

LOCKSTEP_LAYOUT(MulticastProperties, CUmulticastObjectProp);
LOCKSTEP_MEMBER(MulticastProperties, numDevices, CUmulticastObjectProp, numDevices);
LOCKSTEP_MEMBER(MulticastProperties, size, CUmulticastObjectProp, size);
LOCKSTEP_MEMBER(MulticastProperties, handleTypes, CUmulticastObjectProp, handleTypes);
LOCKSTEP_MEMBER(MulticastProperties, flags, CUmulticastObjectProp, flags);

LOCKSTEP_LAYOUT(LaunchAttributeValue, CUlaunchAttributeValue);
LOCKSTEP_LAYOUT(LaunchAttribute, CUlaunchAttribute);
LOCKSTEP_MEMBER(LaunchAttribute, id, CUlaunchAttribute, id);
LOCKSTEP_MEMBER(LaunchAttribute, value, CUlaunchAttribute, value);

LOCKSTEP_LAYOUT(LaunchConfig, CUlaunchConfig);
LOCKSTEP_MEMBER(LaunchConfig, gridX, CUlaunchConfig, gridDimX);
LOCKSTEP_MEMBER(LaunchConfig, gridY, CUlaunchConfig, gridDimY);
LOCKSTEP_MEMBER(LaunchConfig, gridZ, CUlaunchConfig, gridDimZ);
LOCKSTEP_MEMBER(LaunchConfig, blockX, CUlaunchConfig, blockDimX);
LOCKSTEP_MEMBER(LaunchConfig, blockY, CUlaunchConfig, blockDimY);
LOCKSTEP_MEMBER(LaunchConfig, blockZ, CUlaunchConfig, blockDimZ);
LOCKSTEP_MEMBER(LaunchConfig, sharedBytes, CUlaunchConfig, sharedMemBytes);
LOCKSTEP_MEMBER(LaunchConfig, stream, CUlaunchConfig, hStream);
LOCKSTEP_MEMBER(LaunchConfig, attributes, CUlaunchConfig, attrs);
LOCKSTEP_MEMBER(LaunchConfig, attributeCount, CUlaunchConfig, numAttrs);

TEST(CudaAbi, IsThatOfCudaH) {}  // compiled, so it is

#else

TEST(CudaAbi, IsThatOfCudaH) {
  GTEST_SKIP() << "this machine had no cuda.h of CUDA 12.1 or later when the test was built";
}

#endif

#if __has_include(<nvrtc.h>)

#define LOCKSTEP_SAME(member, symbol, since, ...) \
  static_assert(SameCall<__VA_ARGS__, decltype(::symbol)>::value, #member);
LOCKSTEP_NVRTC_REQUIRED(LOCKSTEP_SAME)
#undef LOCKSTEP_SAME

static_assert(int(NvrtcResult::success) == NVRTC_SUCCESS);
static_assert(int(NvrtcResult::outOfMemory) == NVRTC_ERROR_OUT_OF_MEMORY);
static_assert(int(NvrtcResult::invalidInput) == NVRTC_ERROR_INVALID_INPUT);
static_assert(int(NvrtcResult::invalidProgram) == NVRTC_ERROR_INVALID_PROGRAM);
static_assert(int(NvrtcResult::invalidOption) == NVRTC_ERROR_INVALID_OPTION);
static_assert(int(NvrtcResult::compilation) == NVRTC_ERROR_COMPILATION);
static_assert(int(NvrtcResult::internalError) == NVRTC_ERROR_INTERNAL_ERROR);

TEST(CudaAbi, IsThatOfNvrtcH) {}  // compiled, so it is

#else

TEST(CudaAbi, IsThatOfNvrtcH) {
  GTEST_SKIP() << "this machine had no nvrtc.h when the test was built";
}

#endif

}  // namespace
}  // namespace lockstep::cuda
