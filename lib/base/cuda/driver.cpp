#include "base/cuda/driver.hpp"

#include <array>
#include <atomic>

#include "base/cuda/library.hpp"
#include "base/fail.hpp"
#include "base/printable.hpp"

namespace lockstep::cuda {

namespace {

const std::array<std::string, 2> kFiles{"libcuda.so.1", "libcuda.so"};

constexpr const char* kDriverAdvice =
    "install the NVIDIA driver (a container gets it from the host: docker run --gpus all)";

/// The names of an error, as the driver has them.
std::string nameOf(const Driver& driver, Result result) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (driver.getErrorName == nullptr || driver.getErrorString == nullptr ||
      driver.getErrorName(result, &name) != Result::success || name == nullptr)
    return fmt::format("CUDA error {}", static_cast<int>(result));
  if (driver.getErrorString(result, &text) != Result::success || text == nullptr)
    return printable(name);
  return fmt::format("{} ({})", printable(name), printable(text));
}

/// What to do about an error; empty where we know nothing.
std::string_view advice(Result result) {
  switch (result) {
    case Result::outOfMemory:
      return "ask for less (DeviceOptions::heapBytes), or see in nvidia-smi who has the memory";
    case Result::notInitialized:
      return "CUDA does not survive fork(): fork before its first use";
    case Result::deinitialized:
      return "the process is ending";
    case Result::stubLibrary:
      return "the linker's stub was loaded; take lib*/stubs out of LD_LIBRARY_PATH";
    case Result::deviceUnavailable:
      return "another process has the GPU to itself; see nvidia-smi -q -d COMPUTE";
    case Result::noDevice:
      return "see whether nvidia-smi lists one, and CUDA_VISIBLE_DEVICES hides none";
    case Result::invalidDevice:
      return "see what CUDA_VISIBLE_DEVICES leaves";
    case Result::invalidImage:
    case Result::noBinaryForGpu:
      return "the kernel was compiled for another GPU, or by a compiler newer than the driver; "
             "update the driver, or name an NVRTC as old as it in LOCKSTEP_NVRTC_LIBRARY";
    case Result::peerAccessUnsupported:
      return "these GPUs cannot reach each other's memory; see nvidia-smi topo -p2p r";
    case Result::eccUncorrectable:
    case Result::nvlinkUncorrectable:
      return "the hardware failed: see dmesg for its Xid, then reset the GPU";
    case Result::operatingSystem:
      return "often a limit (ulimit -n, ulimit -l) or a container's seccomp rules";
    case Result::illegalAddress:
    case Result::launchFailed:
    case Result::launchTimeout:
    case Result::contextIsDestroyed:
      return "a kernel died, and this process cannot use the GPU any more; compute-sanitizer "
             "shows where";
    case Result::launchOutOfResources:
    case Result::cooperativeLaunchTooLarge:
      return "use fewer blocks (DeviceOptions::blocks); others may hold a part of the GPU";
    case Result::notPermitted:
      return "the system's administrator has not allowed it (fabric handles take an IMEX channel: "
             "nvidia-imex running, and a device in /dev/nvidia-caps-imex-channels)";
    case Result::systemNotReady:
      return "NVSwitch machines need nvidia-fabricmanager running, of the driver's version";
    case Result::systemDriverMismatch:
    case Result::compatNotSupportedOnDevice:
      return "the driver's libraries and its kernel module differ; reboot, or install both anew";
    default:
      return "";
  }
}

std::string withAdvice(std::string text, Result result) {
  const std::string_view todo = advice(result);
  if (!todo.empty()) text.append("; ").append(todo);
  return text;
}

/// Whether it says what the machine cannot do, rather than what went wrong.
bool saysUnsupported(Result result) {
  switch (result) {
    case Result::stubLibrary:
    case Result::noDevice:
    case Result::peerAccessUnsupported:
    case Result::notSupported:
    case Result::systemDriverMismatch:
    case Result::compatNotSupportedOnDevice:
      return true;
    default:
      return false;
  }
}

/// The process's driver. It starts threads, so it is never unloaded.
struct Opened {
  Library library{{.variable = "LOCKSTEP_CUDA_LIBRARY",
                   .files = kFiles,
                   .what = "NVIDIA driver",
                   .advice = kDriverAdvice}};
  Driver driver;
  std::string whyNot;

  Opened() {
    whyNot = library.whyNot();
    if (whyNot.empty()) whyNot = driver.lookUp(library);
    if (whyNot.empty()) whyNot = driver.start();
  }
};

const Opened& opened() {
  static const Opened& once = *new Opened;
  return once;
}

std::atomic<const Driver*> replacement = nullptr;

}  // namespace

std::string Driver::lookUp(const Library& library) {
  std::string missing;
  const auto require = [&](bool found, const char* symbol, int since) {
    if (!found && missing.empty()) missing = library.lacks(symbol, since);
  };
#define LOCKSTEP_CUDA_REQUIRE(member, symbol, since, ...) \
  require(library.find(#symbol, member), #symbol, since);
#define LOCKSTEP_CUDA_FIND(member, symbol, since, ...) library.find(#symbol, member);
  LOCKSTEP_CUDA_REQUIRED(LOCKSTEP_CUDA_REQUIRE)
  LOCKSTEP_CUDA_OPTIONAL(LOCKSTEP_CUDA_FIND)
#undef LOCKSTEP_CUDA_REQUIRE
#undef LOCKSTEP_CUDA_FIND
  return missing;
}

std::string Driver::start() {
  const auto refused = [&](const char* call, Result result) {
    return withAdvice(fmt::format("{} says {}", call, nameOf(*this, result)), result);
  };
  if (const Result result = init(0); result != Result::success) return refused("cuInit", result);
  if (const Result result = driverGetVersion(&version); result != Result::success)
    return refused("cuDriverGetVersion", result);
  int count = 0;
  if (const Result result = deviceGetCount(&count); result != Result::success)
    return refused("cuDeviceGetCount", result);
  return count > 0 ? std::string() : withAdvice("the driver sees none", Result::noDevice);
}

bool Driver::hasMulticast() const noexcept {
  return multicastCreate != nullptr && multicastAddDevice != nullptr &&
         multicastBindMem != nullptr && multicastUnbind != nullptr &&
         multicastGetGranularity != nullptr;
}

const Driver* findDriver() {
  if (const Driver* other = replacement.load(std::memory_order_acquire)) return other;
  return driverWhyNot().empty() ? &opened().driver : nullptr;
}

const std::string& driverWhyNot() {
  return opened().whyNot;
}

const Driver& driver() {
  if (const Driver* found = findDriver()) return *found;
  fail(ErrorCode::unsupported, "no GPU because {}", driverWhyNot());
}

void replaceDriver(const Driver* driver) noexcept {
  replacement.store(driver, std::memory_order_release);
}

std::string describe(Result result) {
  const Driver* found = findDriver();
  return nameOf(found != nullptr ? *found : Driver{}, result);
}

void failResult(Result result, const std::string& tried) {
  fail(saysUnsupported(result) ? ErrorCode::unsupported : ErrorCode::system, "{}",
       withAdvice(fmt::format("cannot {}: {}", tried, describe(result)), result));
}

}  // namespace lockstep::cuda
