// The part of the CUDA driver's binary interface that we use, declared by hand, so that neither
// building nor running needs a CUDA header. tests/cuda/abi_test.cpp holds it against cuda.h where
// there is one.
//
// What ends in Handle is the driver's; its owner (owners.hpp) bears the name without.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lockstep::cuda {

/// CUresult. Only the ones that we tell apart; any other value can occur.
enum class Result : int {
  success = 0,                       // CUDA_SUCCESS
  invalidValue = 1,                  // CUDA_ERROR_INVALID_VALUE
  outOfMemory = 2,                   // CUDA_ERROR_OUT_OF_MEMORY
  notInitialized = 3,                // CUDA_ERROR_NOT_INITIALIZED
  deinitialized = 4,                 // CUDA_ERROR_DEINITIALIZED
  stubLibrary = 34,                  // CUDA_ERROR_STUB_LIBRARY
  deviceUnavailable = 46,            // CUDA_ERROR_DEVICE_UNAVAILABLE
  noDevice = 100,                    // CUDA_ERROR_NO_DEVICE
  invalidDevice = 101,               // CUDA_ERROR_INVALID_DEVICE
  invalidImage = 200,                // CUDA_ERROR_INVALID_IMAGE
  invalidContext = 201,              // CUDA_ERROR_INVALID_CONTEXT
  mapFailed = 205,                   // CUDA_ERROR_MAP_FAILED
  alreadyMapped = 208,               // CUDA_ERROR_ALREADY_MAPPED
  noBinaryForGpu = 209,              // CUDA_ERROR_NO_BINARY_FOR_GPU
  notMapped = 211,                   // CUDA_ERROR_NOT_MAPPED
  eccUncorrectable = 214,            // CUDA_ERROR_ECC_UNCORRECTABLE
  peerAccessUnsupported = 217,       // CUDA_ERROR_PEER_ACCESS_UNSUPPORTED
  nvlinkUncorrectable = 220,         // CUDA_ERROR_NVLINK_UNCORRECTABLE
  fileNotFound = 301,                // CUDA_ERROR_FILE_NOT_FOUND
  operatingSystem = 304,             // CUDA_ERROR_OPERATING_SYSTEM
  invalidHandle = 400,               // CUDA_ERROR_INVALID_HANDLE
  illegalState = 401,                // CUDA_ERROR_ILLEGAL_STATE
  notFound = 500,                    // CUDA_ERROR_NOT_FOUND
  notReady = 600,                    // CUDA_ERROR_NOT_READY
  illegalAddress = 700,              // CUDA_ERROR_ILLEGAL_ADDRESS
  launchOutOfResources = 701,        // CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
  launchTimeout = 702,               // CUDA_ERROR_LAUNCH_TIMEOUT
  contextIsDestroyed = 709,          // CUDA_ERROR_CONTEXT_IS_DESTROYED
  launchFailed = 719,                // CUDA_ERROR_LAUNCH_FAILED
  cooperativeLaunchTooLarge = 720,   // CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE
  notPermitted = 800,                // CUDA_ERROR_NOT_PERMITTED
  notSupported = 801,                // CUDA_ERROR_NOT_SUPPORTED
  systemNotReady = 802,              // CUDA_ERROR_SYSTEM_NOT_READY
  systemDriverMismatch = 803,        // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
  compatNotSupportedOnDevice = 804,  // CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE
  streamCaptureUnsupported = 900,    // CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
  streamCaptureInvalidated = 901,    // CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
  streamCaptureUnmatched = 903,      // CUDA_ERROR_STREAM_CAPTURE_UNMATCHED
  streamCaptureImplicit = 906,       // CUDA_ERROR_STREAM_CAPTURE_IMPLICIT
  timeout = 909,                     // CUDA_ERROR_TIMEOUT
  unknown = 999,                     // CUDA_ERROR_UNKNOWN
};

using Device = int;                      // CUdevice
using DevicePtr = std::uint64_t;         // CUdeviceptr
using AllocationHandle = std::uint64_t;  // CUmemGenericAllocationHandle

// Opaque.
using ContextHandle = struct OpaqueContext*;      // CUcontext
using StreamHandle = struct OpaqueStream*;        // CUstream; nullptr is the default stream
using EventHandle = struct OpaqueEvent*;          // CUevent
using ModuleHandle = struct OpaqueModule*;        // CUmodule
using FunctionHandle = struct OpaqueFunction*;    // CUfunction
using GraphHandle = struct OpaqueGraph*;          // CUgraph
using GraphExecHandle = struct OpaqueGraphExec*;  // CUgraphExec

/// CUdevice_attribute
enum class DeviceAttribute : int {
  maxThreadsPerBlock = 1,               // CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK
  multiprocessorCount = 16,             // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
  computeMode = 20,                     // CU_DEVICE_ATTRIBUTE_COMPUTE_MODE
  pciBusId = 33,                        // CU_DEVICE_ATTRIBUTE_PCI_BUS_ID
  pciDeviceId = 34,                     // CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID
  l2CacheSize = 38,                     // CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE
  maxThreadsPerMultiprocessor = 39,     // CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR
  unifiedAddressing = 41,               // CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING
  pciDomainId = 50,                     // CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID
  computeCapabilityMajor = 75,          // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
  computeCapabilityMinor = 76,          // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
  maxSharedPerMultiprocessor = 81,      // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
  cooperativeLaunch = 95,               // CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH
  maxSharedPerBlockOptin = 97,          // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
  virtualMemoryManagement = 102,        // CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED
  handleTypePosixFileDescriptor = 103,  // CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_..
  handleTypeFabric = 128,               // CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED
  multicastSupported = 132,             // CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED
};

/// CUfunction_attribute
enum class FunctionAttribute : int {
  maxThreadsPerBlock = 0,     // CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK
  sharedBytes = 1,            // CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES
  localBytes = 3,             // CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: stack and spills
  registers = 4,              // CU_FUNC_ATTRIBUTE_NUM_REGS
  maxDynamicSharedBytes = 8,  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
};

/// CUjit_option. Values are passed as void*: a pointer, or a number cast to one.
enum class JitOption : int {
  errorLogBuffer = 5,      // CU_JIT_ERROR_LOG_BUFFER
  errorLogBufferSize = 6,  // CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES
};

/// CUstream_flags
inline constexpr unsigned kStreamNonBlocking = 1;  // CU_STREAM_NON_BLOCKING
/// CUevent_flags
inline constexpr unsigned kEventDefault = 0;        // CU_EVENT_DEFAULT
inline constexpr unsigned kEventDisableTiming = 2;  // CU_EVENT_DISABLE_TIMING
/// Flags of cuMemHostAlloc
inline constexpr unsigned kHostPortable = 1;   // CU_MEMHOSTALLOC_PORTABLE
inline constexpr unsigned kHostDeviceMap = 2;  // CU_MEMHOSTALLOC_DEVICEMAP
/// CUipcMem_flags
inline constexpr unsigned kIpcLazyEnablePeerAccess = 1;  // CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS
/// CUstreamWriteValue_flags
inline constexpr unsigned kStreamWriteValueDefault = 0;  // CU_STREAM_WRITE_VALUE_DEFAULT

/// CUstreamCaptureMode
enum class CaptureMode : int {
  global = 0,       // CU_STREAM_CAPTURE_MODE_GLOBAL
  threadLocal = 1,  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
  relaxed = 2,      // CU_STREAM_CAPTURE_MODE_RELAXED
};

/// CUstreamCaptureStatus
enum class CaptureStatus : int {
  none = 0,         // CU_STREAM_CAPTURE_STATUS_NONE
  active = 1,       // CU_STREAM_CAPTURE_STATUS_ACTIVE
  invalidated = 2,  // CU_STREAM_CAPTURE_STATUS_INVALIDATED
};

struct Uuid {  // CUuuid
  char bytes[16];
};

struct IpcMemoryHandle {  // CUipcMemHandle
  char reserved[64];
};

/// Names memory, or a multicast object, on all hosts of an NVLink domain. Bytes to be sent as they
/// are.
struct FabricHandle {  // CUmemFabricHandle
  unsigned char data[64];
};

// Virtual memory management.

enum class LocationType : int { device = 1 };    // CU_MEM_LOCATION_TYPE_DEVICE
enum class AllocationType : int { pinned = 1 };  // CU_MEM_ALLOCATION_TYPE_PINNED

/// CUmemAllocationHandleType; a mask where a struct has handle types.
enum class ShareableHandle : int {
  none = 0,             // CU_MEM_HANDLE_TYPE_NONE
  posixDescriptor = 1,  // CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
  fabric = 8,           // CU_MEM_HANDLE_TYPE_FABRIC
};

/// CUmemAccess_flags
enum class AccessFlags : int {
  none = 0,       // CU_MEM_ACCESS_FLAGS_PROT_NONE
  read = 1,       // CU_MEM_ACCESS_FLAGS_PROT_READ
  readWrite = 3,  // CU_MEM_ACCESS_FLAGS_PROT_READWRITE
};

/// CUmemAllocationGranularity_flags and CUmulticastGranularity_flags, which have the same values.
enum class Granularity : int {
  minimum = 0,      // CU_MEM_ALLOC_GRANULARITY_MINIMUM, CU_MULTICAST_GRANULARITY_MINIMUM
  recommended = 1,  // CU_MEM_ALLOC_GRANULARITY_RECOMMENDED, CU_MULTICAST_GRANULARITY_RECOMMENDED
};

struct MemoryLocation {  // CUmemLocation
  LocationType type = LocationType::device;
  int id = 0;  ///< a device's ordinal
};

struct AllocationProperties {  // CUmemAllocationProp
  AllocationType type = AllocationType::pinned;
  ShareableHandle requestedHandleTypes = ShareableHandle::none;
  MemoryLocation location;
  void* win32HandleMetaData = nullptr;
  struct {
    unsigned char compressionType = 0;
    unsigned char gpuDirectRdmaCapable = 0;
    unsigned short usage = 0;
    unsigned char reserved[4] = {};
  } allocFlags;
};

struct AccessDescriptor {  // CUmemAccessDesc
  MemoryLocation location;
  AccessFlags flags = AccessFlags::readWrite;
};

struct MulticastProperties {  // CUmulticastObjectProp
  unsigned numDevices = 0;
  std::size_t size = 0;
  unsigned long long handleTypes = 0;  ///< of ShareableHandle
  unsigned long long flags = 0;
};

// Launches.

/// CUlaunchAttributeID
enum class LaunchAttributeId : int {
  ignore = 0,       // CU_LAUNCH_ATTRIBUTE_IGNORE
  cooperative = 2,  // CU_LAUNCH_ATTRIBUTE_COOPERATIVE
};

union LaunchAttributeValue {  // CUlaunchAttributeValue
  alignas(8) char pad[64];
  int cooperative;
};

struct LaunchAttribute {  // CUlaunchAttribute
  LaunchAttributeId id = LaunchAttributeId::ignore;
  char pad[4] = {};
  LaunchAttributeValue value = {};
};

struct LaunchConfig {  // CUlaunchConfig
  unsigned gridX = 1, gridY = 1, gridZ = 1;
  unsigned blockX = 1, blockY = 1, blockZ = 1;
  unsigned sharedBytes = 0;
  StreamHandle stream = nullptr;
  LaunchAttribute* attributes = nullptr;
  unsigned attributeCount = 0;
};

}  // namespace lockstep::cuda
