// Every function of NVML that we call, by its symbol: X(name, type). One more is one more line.
#pragma once

#include "topology/probes/nvml/abi.hpp"

/// Without one of these there is no probe.
#define LOCKSTEP_NVML_REQUIRED(X)                             \
  X(nvmlInit_v2, Return())                                    \
  X(nvmlShutdown, Return())                                   \
  X(nvmlErrorString, const char*(Return))                     \
  X(nvmlSystemGetDriverVersion, Return(char*, unsigned))      \
  X(nvmlDeviceGetCount_v2, Return(unsigned*))                 \
  X(nvmlDeviceGetHandleByIndex_v2, Return(unsigned, Device*)) \
  X(nvmlDeviceGetPciInfo_v3, Return(Device, PciInfo*))        \
  X(nvmlDeviceGetCudaComputeCapability, Return(Device, int*, int*))

/// Without one of these, what it tells stays unknown.
#define LOCKSTEP_NVML_OPTIONAL(X)                                                       \
  X(nvmlDeviceGetName, Return(Device, char*, unsigned))                                 \
  X(nvmlDeviceGetUUID, Return(Device, char*, unsigned))                                 \
  X(nvmlDeviceGetCurrPcieLinkGeneration, Return(Device, unsigned*))                     \
  X(nvmlDeviceGetCurrPcieLinkWidth, Return(Device, unsigned*))                          \
  X(nvmlDeviceGetMaxPcieLinkGeneration, Return(Device, unsigned*))                      \
  X(nvmlDeviceGetMaxPcieLinkWidth, Return(Device, unsigned*))                           \
  X(nvmlDeviceGetNvLinkCapability, Return(Device, unsigned, LinkCapability, unsigned*)) \
  X(nvmlDeviceGetNvLinkState, Return(Device, unsigned, Enabled*))                       \
  X(nvmlDeviceGetNvLinkRemotePciInfo_v2, Return(Device, unsigned, PciInfo*))            \
  X(nvmlDeviceGetNvLinkRemoteDeviceType, Return(Device, unsigned, RemoteType*))         \
  X(nvmlDeviceGetFieldValues, Return(Device, int, FieldValue*))                         \
  X(nvmlDeviceGetP2PStatus, Return(Device, Device, P2pIndex, P2pStatus*))               \
  X(nvmlDeviceGetGpuFabricInfoV, Return(Device, FabricInfoV2*))                         \
  X(nvmlSystemGetConfComputeSettings, Return(CcSettings*))

/// Older forms of some of those; new drivers may be without.
#define LOCKSTEP_NVML_FALLBACK(X)                              \
  X(nvmlDeviceGetGpuFabricInfo, Return(Device, FabricInfoV1*)) \
  X(nvmlSystemGetConfComputeState, Return(CcState*))
