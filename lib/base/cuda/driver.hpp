// The CUDA driver, opened at run time: what every call to a GPU goes through.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "base/cuda/types.hpp"

/// Every function of the driver that we call: X(our name, symbol, CUDA version that brought it,
/// type). Symbols are those that cuda.h makes of the names, but for cuEventElapsedTime, whose _v2
/// only new drivers have. Without one of these there is no GPU.
#define LOCKSTEP_CUDA_REQUIRED(X)                                                                  \
  X(init, cuInit, 2000, Result(unsigned))                                                          \
  X(driverGetVersion, cuDriverGetVersion, 2020, Result(int*))                                      \
  X(getErrorName, cuGetErrorName, 6000, Result(Result, const char**))                              \
  X(getErrorString, cuGetErrorString, 6000, Result(Result, const char**))                          \
  X(deviceGetCount, cuDeviceGetCount, 2000, Result(int*))                                          \
  X(deviceGet, cuDeviceGet, 2000, Result(Device*, int))                                            \
  X(deviceGetName, cuDeviceGetName, 2000, Result(char*, int, Device))                              \
  X(deviceGetUuid, cuDeviceGetUuid_v2, 11040, Result(Uuid*, Device))                               \
  X(deviceTotalMem, cuDeviceTotalMem_v2, 3020, Result(std::size_t*, Device))                       \
  X(deviceGetAttribute, cuDeviceGetAttribute, 2000, Result(int*, DeviceAttribute, Device))         \
  X(deviceCanAccessPeer, cuDeviceCanAccessPeer, 4000, Result(int*, Device, Device))                \
  X(primaryCtxRetain, cuDevicePrimaryCtxRetain, 7000, Result(ContextHandle*, Device))              \
  X(primaryCtxRelease, cuDevicePrimaryCtxRelease_v2, 11000, Result(Device))                        \
  X(ctxPushCurrent, cuCtxPushCurrent_v2, 4000, Result(ContextHandle))                              \
  X(ctxPopCurrent, cuCtxPopCurrent_v2, 4000, Result(ContextHandle*))                               \
  X(ctxSetCurrent, cuCtxSetCurrent, 4000, Result(ContextHandle))                                   \
  X(ctxGetCurrent, cuCtxGetCurrent, 4000, Result(ContextHandle*))                                  \
  X(streamCreate, cuStreamCreate, 2000, Result(StreamHandle*, unsigned))                           \
  X(streamDestroy, cuStreamDestroy_v2, 4000, Result(StreamHandle))                                 \
  X(streamSynchronize, cuStreamSynchronize, 2000, Result(StreamHandle))                            \
  X(streamQuery, cuStreamQuery, 2000, Result(StreamHandle))                                        \
  X(streamWaitEvent, cuStreamWaitEvent, 3020, Result(StreamHandle, EventHandle, unsigned))         \
  X(eventCreate, cuEventCreate, 2000, Result(EventHandle*, unsigned))                              \
  X(eventDestroy, cuEventDestroy_v2, 4000, Result(EventHandle))                                    \
  X(eventRecord, cuEventRecord, 2000, Result(EventHandle, StreamHandle))                           \
  X(eventQuery, cuEventQuery, 2000, Result(EventHandle))                                           \
  X(eventSynchronize, cuEventSynchronize, 2000, Result(EventHandle))                               \
  X(eventElapsedTime, cuEventElapsedTime, 2000, Result(float*, EventHandle, EventHandle))          \
  X(moduleLoadDataEx, cuModuleLoadDataEx, 2010,                                                    \
    Result(ModuleHandle*, const void*, unsigned, JitOption*, void**))                              \
  X(moduleUnload, cuModuleUnload, 2000, Result(ModuleHandle))                                      \
  X(moduleGetFunction, cuModuleGetFunction, 2000,                                                  \
    Result(FunctionHandle*, ModuleHandle, const char*))                                            \
  X(funcGetAttribute, cuFuncGetAttribute, 2020, Result(int*, FunctionAttribute, FunctionHandle))   \
  X(funcSetAttribute, cuFuncSetAttribute, 9000, Result(FunctionHandle, FunctionAttribute, int))    \
  X(occupancyMaxActiveBlocks, cuOccupancyMaxActiveBlocksPerMultiprocessor, 6050,                   \
    Result(int*, FunctionHandle, int, std::size_t))                                                \
  X(launchKernelEx, cuLaunchKernelEx, 11080,                                                       \
    Result(const LaunchConfig*, FunctionHandle, void**, void**))                                   \
  X(launchCooperativeKernel, cuLaunchCooperativeKernel, 9000,                                      \
    Result(FunctionHandle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,   \
           StreamHandle, void**))                                                                  \
  X(memAlloc, cuMemAlloc_v2, 3020, Result(DevicePtr*, std::size_t))                                \
  X(memFree, cuMemFree_v2, 3020, Result(DevicePtr))                                                \
  X(memsetD8Async, cuMemsetD8Async, 3020,                                                          \
    Result(DevicePtr, unsigned char, std::size_t, StreamHandle))                                   \
  X(memcpyHtoD, cuMemcpyHtoD_v2, 3020, Result(DevicePtr, const void*, std::size_t))                \
  X(memcpyDtoH, cuMemcpyDtoH_v2, 3020, Result(void*, DevicePtr, std::size_t))                      \
  X(memcpyDtoD, cuMemcpyDtoD_v2, 3020, Result(DevicePtr, DevicePtr, std::size_t))                  \
  X(memcpyHtoDAsync, cuMemcpyHtoDAsync_v2, 3020,                                                   \
    Result(DevicePtr, const void*, std::size_t, StreamHandle))                                     \
  X(memcpyDtoHAsync, cuMemcpyDtoHAsync_v2, 3020,                                                   \
    Result(void*, DevicePtr, std::size_t, StreamHandle))                                           \
  X(memcpyDtoDAsync, cuMemcpyDtoDAsync_v2, 3020,                                                   \
    Result(DevicePtr, DevicePtr, std::size_t, StreamHandle))                                       \
  X(memHostAlloc, cuMemHostAlloc, 2020, Result(void**, std::size_t, unsigned))                     \
  X(memFreeHost, cuMemFreeHost, 2000, Result(void*))                                               \
  X(memHostGetDevicePointer, cuMemHostGetDevicePointer_v2, 3020,                                   \
    Result(DevicePtr*, void*, unsigned))                                                           \
  X(ipcGetMemHandle, cuIpcGetMemHandle, 4010, Result(IpcMemoryHandle*, DevicePtr))                 \
  X(ipcOpenMemHandle, cuIpcOpenMemHandle_v2, 11000, Result(DevicePtr*, IpcMemoryHandle, unsigned)) \
  X(ipcCloseMemHandle, cuIpcCloseMemHandle, 4010, Result(DevicePtr))                               \
  X(memAddressReserve, cuMemAddressReserve, 10020,                                                 \
    Result(DevicePtr*, std::size_t, std::size_t, DevicePtr, unsigned long long))                   \
  X(memAddressFree, cuMemAddressFree, 10020, Result(DevicePtr, std::size_t))                       \
  X(memCreate, cuMemCreate, 10020,                                                                 \
    Result(AllocationHandle*, std::size_t, const AllocationProperties*, unsigned long long))       \
  X(memRelease, cuMemRelease, 10020, Result(AllocationHandle))                                     \
  X(memMap, cuMemMap, 10020,                                                                       \
    Result(DevicePtr, std::size_t, std::size_t, AllocationHandle, unsigned long long))             \
  X(memUnmap, cuMemUnmap, 10020, Result(DevicePtr, std::size_t))                                   \
  X(memSetAccess, cuMemSetAccess, 10020,                                                           \
    Result(DevicePtr, std::size_t, const AccessDescriptor*, std::size_t))                          \
  X(memGetAllocationGranularity, cuMemGetAllocationGranularity, 10020,                             \
    Result(std::size_t*, const AllocationProperties*, Granularity))                                \
  X(memExportToShareableHandle, cuMemExportToShareableHandle, 10020,                               \
    Result(void*, AllocationHandle, ShareableHandle, unsigned long long))                          \
  X(memImportFromShareableHandle, cuMemImportFromShareableHandle, 10020,                           \
    Result(AllocationHandle*, void*, ShareableHandle))                                             \
  X(memRetainAllocationHandle, cuMemRetainAllocationHandle, 11000,                                 \
    Result(AllocationHandle*, void*))                                                              \
  X(streamBeginCapture, cuStreamBeginCapture_v2, 10010, Result(StreamHandle, CaptureMode))         \
  X(streamEndCapture, cuStreamEndCapture, 10000, Result(StreamHandle, GraphHandle*))               \
  X(streamIsCapturing, cuStreamIsCapturing, 10000, Result(StreamHandle, CaptureStatus*))           \
  X(graphInstantiate, cuGraphInstantiateWithFlags, 11040,                                          \
    Result(GraphExecHandle*, GraphHandle, unsigned long long))                                     \
  X(graphLaunch, cuGraphLaunch, 10000, Result(GraphExecHandle, StreamHandle))                      \
  X(graphExecDestroy, cuGraphExecDestroy, 10000, Result(GraphExecHandle))                          \
  X(graphDestroy, cuGraphDestroy, 10000, Result(GraphHandle))

/// Null where the driver has none.
#define LOCKSTEP_CUDA_OPTIONAL(X)                                                      \
  X(multicastCreate, cuMulticastCreate, 12010,                                         \
    Result(AllocationHandle*, const MulticastProperties*))                             \
  X(multicastAddDevice, cuMulticastAddDevice, 12010, Result(AllocationHandle, Device)) \
  X(multicastBindMem, cuMulticastBindMem, 12010,                                       \
    Result(AllocationHandle, std::size_t, AllocationHandle, std::size_t, std::size_t,  \
           unsigned long long))                                                        \
  X(multicastUnbind, cuMulticastUnbind, 12010,                                         \
    Result(AllocationHandle, Device, std::size_t, std::size_t))                        \
  X(multicastGetGranularity, cuMulticastGetGranularity, 12010,                         \
    Result(std::size_t*, const MulticastProperties*, Granularity))                     \
  X(streamWriteValue64, cuStreamWriteValue64_v2, 11070,                                \
    Result(StreamHandle, DevicePtr, std::uint64_t, unsigned))

namespace lockstep::cuda {

class Library;

/// Pointers to the driver's functions.
struct Driver {
#define LOCKSTEP_CUDA_POINTER(member, symbol, since, ...) \
  std::add_pointer_t<__VA_ARGS__> member = nullptr;
  LOCKSTEP_CUDA_REQUIRED(LOCKSTEP_CUDA_POINTER)
  LOCKSTEP_CUDA_OPTIONAL(LOCKSTEP_CUDA_POINTER)
#undef LOCKSTEP_CUDA_POINTER
  int version = 0;  ///< of CUDA that it is for, 13000 for 13.0

  /// Looks up every symbol. Says which required one is missing first; empty when none is.
  std::string lookUp(const Library& library);
  /// Initialises it and sets version. Says why it cannot be used, or that it sees no GPU; empty
  /// when it can.
  std::string start();
  /// Whether it has all that a MulticastObject needs.
  bool hasMulticast() const noexcept;
};

/// The driver, opened and initialised by the first call of any of these in the process and kept
/// until its end. CUDA does not survive fork(): a process that forks does so before its first call.
/// Throws unsupported, "no GPU because ..", where there is none, or no device.
const Driver& driver();
/// nullptr where there is none.
const Driver* findDriver();
/// Why there is none; empty where there is.
const std::string& driverWhyNot();
/// For tests: what driver() and findDriver() give from now on; nullptr: the real one again.
void replaceDriver(const Driver* driver) noexcept;

/// "CUDA_ERROR_OUT_OF_MEMORY (out of memory)", in the driver's own words.
std::string describe(Result result);

/// Throws what a failed call means: unsupported for what this machine cannot do, system otherwise.
[[noreturn, gnu::cold, gnu::noinline]] void failResult(Result result, const std::string& tried);

/// `tried` completes "cannot ..": "allocate 64 MiB on GPU 0".
template <class... Args>
void check(Result result, fmt::format_string<Args...> tried, Args&&... args) {
  if (result != Result::success) [[unlikely]]
    failResult(result, fmt::format(tried, std::forward<Args>(args)...));
}

}  // namespace lockstep::cuda
