// The part of NVML's binary interface that we call, declared by us: the library need not be there
// when Lockstep is built. Names and numbers are those of NVIDIA's "NVML API Reference Guide" and of
// nvidia-ml-py, its Python binding; where ours differ, the line has NVML's. C's enums are 32 bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lockstep::topology::nvml {

/// nvmlReturn_t, as far as we tell them apart.
enum class Return : std::uint32_t {
  success = 0,
  uninitialized = 1,
  invalidArgument = 2,
  notSupported = 3,
  noPermission = 4,
  driverNotLoaded = 9,
  timeout = 10,
  libraryNotFound = 12,
  functionNotFound = 13,
  gpuIsLost = 15,
  resetRequired = 16,
  versionMismatch = 18,          ///< NVML_ERROR_LIB_RM_VERSION_MISMATCH
  argumentVersionMismatch = 25,  ///< a versioned struct that this driver does not know
  gpuNotFound = 28,
  unknown = 999,
};

struct DeviceState;             ///< known to the driver alone
using Device = DeviceState*;    ///< nvmlDevice_t
using Enabled = std::uint32_t;  ///< nvmlEnableState_t: 0 or 1

inline constexpr unsigned kMostLinks = 36;            ///< NVML_NVLINK_MAX_LINKS
inline constexpr std::size_t kNameBytes = 96;         ///< NVML_DEVICE_NAME_V2_BUFFER_SIZE
inline constexpr std::size_t kUuidBytes = 96;         ///< NVML_DEVICE_UUID_V2_BUFFER_SIZE
inline constexpr std::size_t kDriverBytes = 80;       ///< NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
inline constexpr std::size_t kClusterUuidBytes = 16;  ///< NVML_GPU_FABRIC_UUID_LEN

/// nvmlPciInfo_t of nvmlDeviceGetPciInfo_v3 and nvmlDeviceGetNvLinkRemotePciInfo_v2.
struct PciInfo {
  std::array<char, 16> busIdLegacy{};
  std::uint32_t domain = 0;
  std::uint32_t bus = 0;
  std::uint32_t device = 0;
  std::uint32_t pciDeviceId = 0;     ///< device above vendor, 16 bits each
  std::uint32_t pciSubSystemId = 0;  ///< the same
  std::array<char, 32> busId{};      ///< "00000000:1B:00.0"
};
static_assert(sizeof(PciInfo) == 68);
static_assert(offsetof(PciInfo, domain) == 16 && offsetof(PciInfo, bus) == 20);
static_assert(offsetof(PciInfo, device) == 24 && offsetof(PciInfo, pciDeviceId) == 28);
static_assert(offsetof(PciInfo, pciSubSystemId) == 32 && offsetof(PciInfo, busId) == 36);

/// nvmlNvLinkCapability_t
enum class LinkCapability : std::uint32_t { p2pSupported = 0 };

/// nvmlIntNvLinkDeviceType_t
enum class RemoteType : std::uint32_t { gpu = 0, ibmNpu = 1, nvSwitch = 2, unknown = 0xff };

/// nvmlGpuP2PCapsIndex_t
enum class P2pIndex : std::uint32_t { read = 0, write = 1, nvlink = 2 };

/// nvmlGpuP2PStatus_t
enum class P2pStatus : std::uint32_t {
  ok = 0,
  chipsetNotSupported = 1,
  gpuNotSupported = 2,
  topologyNotSupported = 3,  ///< NVML_P2P_STATUS_IOH_TOPOLOGY_NOT_SUPPORTED
  disabledByRegkey = 4,
  notSupported = 5,
  unknown = 6,
};

/// Of a struct that tells its own version to the driver: NVML_STRUCT_VERSION.
constexpr std::uint32_t structVersion(std::size_t bytes, std::uint32_t version) {
  return static_cast<std::uint32_t>(bytes) | version << 24U;
}

/// nvmlGpuFabricInfo_t, of nvmlDeviceGetGpuFabricInfo.
struct FabricInfoV1 {
  std::array<std::uint8_t, kClusterUuidBytes> clusterUuid{};
  Return status = Return::success;
  std::uint32_t cliqueId = 0;
  std::uint8_t state = 0;  ///< FabricState::State: nvmlGpuFabricState_t is an unsigned char
  std::array<std::uint8_t, 3> padding{};
};
static_assert(sizeof(FabricInfoV1) == 28);
static_assert(offsetof(FabricInfoV1, status) == 16 && offsetof(FabricInfoV1, cliqueId) == 20);
static_assert(offsetof(FabricInfoV1, state) == 24);

/// nvmlGpuFabricInfo_v2_t, of nvmlDeviceGetGpuFabricInfoV.
struct FabricInfoV2 {
  std::uint32_t version = structVersion(36, 2);
  std::array<std::uint8_t, kClusterUuidBytes> clusterUuid{};
  Return status = Return::success;
  std::uint32_t cliqueId = 0;
  std::uint8_t state = 0;
  std::array<std::uint8_t, 3> padding{};
  std::uint32_t healthMask = 0;
};
static_assert(sizeof(FabricInfoV2) == 36 && structVersion(sizeof(FabricInfoV2), 2) == 0x02000024);
static_assert(offsetof(FabricInfoV2, clusterUuid) == 4 && offsetof(FabricInfoV2, status) == 20);
static_assert(offsetof(FabricInfoV2, cliqueId) == 24 && offsetof(FabricInfoV2, state) == 28);
static_assert(offsetof(FabricInfoV2, healthMask) == 32);

/// NVML_CC_SYSTEM_ENVIRONMENT_*
enum class CcEnvironment : std::uint32_t { unavailable = 0, simulation = 1, production = 2 };
/// NVML_CC_SYSTEM_MULTIGPU_*
enum class CcMultiGpu : std::uint32_t { none = 0, protectedPcie = 1, nvle = 2 };

/// nvmlConfComputeSystemState_t, of nvmlSystemGetConfComputeState.
struct CcState {
  CcEnvironment environment = CcEnvironment::unavailable;
  Enabled ccFeature = 0;
  Enabled devToolsMode = 0;
};
static_assert(sizeof(CcState) == 12);
static_assert(offsetof(CcState, ccFeature) == 4 && offsetof(CcState, devToolsMode) == 8);

/// nvmlSystemConfComputeSettings_v1_t, of nvmlSystemGetConfComputeSettings.
struct CcSettings {
  std::uint32_t version = structVersion(20, 1);
  CcEnvironment environment = CcEnvironment::unavailable;
  Enabled ccFeature = 0;
  Enabled devToolsMode = 0;
  CcMultiGpu multiGpuMode = CcMultiGpu::none;
};
static_assert(sizeof(CcSettings) == 20 && structVersion(sizeof(CcSettings), 1) == 0x01000014);
static_assert(offsetof(CcSettings, environment) == 4 && offsetof(CcSettings, ccFeature) == 8);
static_assert(offsetof(CcSettings, devToolsMode) == 12 && offsetof(CcSettings, multiGpuMode) == 16);

/// NVML_FI_DEV_C2C_*: what nvmlDeviceGetFieldValues is asked for.
enum class Field : std::uint32_t {
  c2cLinkCount = 170,
  c2cLinkStatus = 171,
  c2cLinkMaxBandwidth = 172
};
/// nvmlValueType_t: which part of FieldValue::value is set.
enum class ValueType : std::uint32_t { unsignedInt = 1, unsignedLong = 2, unsignedLongLong = 3 };

/// nvmlFieldValue_t
struct FieldValue {
  Field fieldId = Field::c2cLinkCount;
  std::uint32_t scopeId = 0;  ///< of the C2C fields: the link's number
  std::int64_t timestamp = 0;
  std::int64_t latencyUsec = 0;
  ValueType valueType = ValueType::unsignedInt;
  Return nvmlReturn = Return::unknown;
  union {
    std::uint32_t unsignedInt;
    std::uint64_t all;
  } value{.all = 0};
};
static_assert(sizeof(FieldValue) == 40);
static_assert(offsetof(FieldValue, scopeId) == 4 && offsetof(FieldValue, timestamp) == 8);
static_assert(offsetof(FieldValue, latencyUsec) == 16 && offsetof(FieldValue, valueType) == 24);
static_assert(offsetof(FieldValue, nvmlReturn) == 28 && offsetof(FieldValue, value) == 32);

}  // namespace lockstep::topology::nvml
