// What the emulated GPUs are, and the words for errors.
#include <algorithm>
#include <array>
#include <cstring>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/contexts.hpp"
#include "cuda/fake_driver/limits.hpp"

namespace lockstep::cuda::fake {
namespace {

struct Words {
  Result result;
  const char* name;
  const char* text;
};

/// As NVIDIA's driver words them.
constexpr std::array kWords{
    Words{Result::success, "CUDA_SUCCESS", "no error"},
    Words{Result::invalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    Words{Result::outOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    Words{Result::notInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    Words{Result::noDevice, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    Words{Result::invalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    Words{Result::invalidImage, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    Words{Result::invalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    Words{Result::noBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU",
          "no kernel image is available for execution on the device"},
    Words{Result::peerAccessUnsupported, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED",
          "peer access is not supported between these two devices"},
    Words{Result::operatingSystem, "CUDA_ERROR_OPERATING_SYSTEM",
          "OS call failed or operation not "
          "supported on this OS"},
    Words{Result::invalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    Words{Result::illegalState, "CUDA_ERROR_ILLEGAL_STATE",
          "the operation cannot be performed in the present state"},
    Words{Result::notFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    Words{Result::notReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    Words{Result::illegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS",
          "an illegal memory access was encountered"},
    Words{Result::contextIsDestroyed, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    Words{Result::launchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    Words{Result::cooperativeLaunchTooLarge, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE",
          "too many blocks in cooperative launch"},
    Words{Result::notPermitted, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    Words{Result::notSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    Words{Result::systemNotReady, "CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized"},
    Words{Result::streamCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
          "operation not permitted when stream is capturing"},
    Words{Result::streamCaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
          "operation failed due to a previous error during capture"},
    Words{Result::unknown, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

const Words& wordsFor(Result result) {
  const auto* found = std::ranges::find(kWords, result, &Words::result);
  require(found != kWords.end());
  return *found;
}

int attribute(DeviceAttribute what, Device device) {
  const int sm = static_cast<int>(number("LOCKSTEP_FAKE_SM", 90));
  switch (what) {
    case DeviceAttribute::maxThreadsPerBlock:
      return kMostThreads;
    case DeviceAttribute::multiprocessorCount:
      return multiprocessors();
    case DeviceAttribute::computeMode:
    case DeviceAttribute::pciDomainId:
    case DeviceAttribute::pciDeviceId:
      return 0;
    case DeviceAttribute::pciBusId:
      return device + 1;
    case DeviceAttribute::l2CacheSize:
      return 50 << 20;
    case DeviceAttribute::maxThreadsPerMultiprocessor:
      return kThreadsPerMultiprocessor;
    case DeviceAttribute::unifiedAddressing:
    case DeviceAttribute::cooperativeLaunch:
    case DeviceAttribute::virtualMemoryManagement:
      return 1;
    case DeviceAttribute::computeCapabilityMajor:
      return sm / 10;
    case DeviceAttribute::computeCapabilityMinor:
      return sm % 10;
    case DeviceAttribute::maxSharedPerMultiprocessor:
      return kSharedPerMultiprocessor;
    case DeviceAttribute::maxSharedPerBlockOptin:
      return kMostShared;
    case DeviceAttribute::handleTypePosixFileDescriptor:
      return isSet("LOCKSTEP_FAKE_NO_FD_EXPORT") ? 0 : 1;
    case DeviceAttribute::handleTypeFabric:
      return isSet("LOCKSTEP_FAKE_FABRIC") ? 1 : 0;
    case DeviceAttribute::multicastSupported:
      return isSet("LOCKSTEP_FAKE_MULTICAST") ? 1 : 0;
  }
  refuse(Result::invalidValue);
}

}  // namespace

int multiprocessors() {
  return static_cast<int>(number("LOCKSTEP_FAKE_SMS", 8));
}

std::size_t memoryBytes() {
  return static_cast<std::size_t>(number("LOCKSTEP_FAKE_MEMORY_MIB", 4096)) << 20;
}

void driverGetVersion(int* version) {
  require(version != nullptr);
  *version = 13000;
}

void getErrorName(Result result, const char** name) {
  require(name != nullptr);
  *name = nullptr;
  *name = wordsFor(result).name;
}

void getErrorString(Result result, const char** words) {
  require(words != nullptr);
  *words = nullptr;
  *words = wordsFor(result).text;
}

void deviceGetCount(int* count) {
  require(count != nullptr);
  *count = deviceCount();
}

void deviceGet(Device* device, int ordinal) {
  require(device != nullptr);
  requireDevice(ordinal);
  *device = ordinal;
}

void deviceGetName(char* name, int bytes, Device device) {
  requireDevice(device);
  require(name != nullptr && bytes > 0);
  std::memset(name, 0, static_cast<std::size_t>(bytes));
  std::strncpy(name, "Lockstep emulated GPU", static_cast<std::size_t>(bytes - 1));
}

void deviceGetUuid(Uuid* uuid, Device device) {
  requireDevice(device);
  require(uuid != nullptr);
  *uuid = {};
  std::strncpy(uuid->bytes, "lockstep-fake", sizeof uuid->bytes - 1);
  uuid->bytes[15] = static_cast<char>(device);
}

void deviceTotalMem(std::size_t* bytes, Device device) {
  requireDevice(device);
  require(bytes != nullptr);
  *bytes = memoryBytes();
}

void deviceGetAttribute(int* value, DeviceAttribute what, Device device) {
  requireDevice(device);
  require(value != nullptr);
  *value = attribute(what, device);
}

void deviceCanAccessPeer(int* can, Device device, Device peer) {
  requireDevice(device);
  requireDevice(peer);
  require(can != nullptr);
  *can = device != peer && canAccess(device, peer) ? 1 : 0;  // to itself: "no", as the driver says
}

}  // namespace lockstep::cuda::fake
