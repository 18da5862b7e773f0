// A driver that does nothing but write down what is asked of it: which calls, what is alive, and
// what was given back twice. Any call can be told to fail.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fcntl.h>

#include "base/cuda/driver.hpp"

namespace lockstep::cuda {

class Recorder {
 public:
  std::vector<std::string> calls;                         ///< by our names ("memAlloc")
  std::map<std::string, Result> failures;                 ///< of calls that are to fail
  std::set<std::pair<std::string, std::uint64_t>> alive;  ///< who gives it back, and the handle
  std::vector<std::string> problems;
  std::vector<ContextHandle> contexts;  ///< that are current, the last pushed last
  Result query = Result::success;       ///< what queries of streams and events say

  /// Calls but for those that are about the current context.
  std::vector<std::string> work() const {
    std::vector<std::string> rest;
    std::ranges::copy_if(calls, std::back_inserter(rest),
                         [](const auto& name) { return !name.starts_with("ctx"); });
    return rest;
  }

  template <class... Args>
  Result call(const std::string& name, Args... args) {
    calls.push_back(name);
    if (const auto failure = failures.find(name); failure != failures.end()) {
      giveBack(name, args...);
      return failure->second;
    }
    create(name, args...);
    giveBack(name, args...);
    if (name == "streamQuery" || name == "eventQuery") return query;
    return Result::success;
  }

 private:
  /// Who gives back what a call makes.
  static std::string_view giverOf(std::string_view name) {
    static const std::map<std::string_view, std::string_view> givers{
        {"streamCreate", "streamDestroy"},
        {"eventCreate", "eventDestroy"},
        {"moduleLoadDataEx", "moduleUnload"},
        {"moduleGetFunction", ""},
        {"memAlloc", "memFree"},
        {"memHostAlloc", "memFreeHost"},
        {"ipcOpenMemHandle", "ipcCloseMemHandle"},
        {"memCreate", "memRelease"},
        {"memImportFromShareableHandle", "memRelease"},
        {"multicastCreate", "memRelease"},
        {"memAddressReserve", "memAddressFree"},
        {"memMap", "memUnmap"},
        {"multicastBindMem", "multicastUnbind"},
        {"primaryCtxRetain", "primaryCtxRelease"},
        {"streamEndCapture", "graphDestroy"},
        {"graphInstantiate", "graphExecDestroy"},
    };
    const auto found = givers.find(name);
    return found == givers.end() ? "-" : found->second;
  }

  template <class T>
  static std::uint64_t number(T value) {
    if constexpr (std::is_pointer_v<T>) return reinterpret_cast<std::uintptr_t>(value);
    if constexpr (std::is_integral_v<T>) return static_cast<std::uint64_t>(value);
    return 0;
  }

  /// Where the result of a call goes: one more handle than ever was.
  template <class T>
  std::uint64_t fill(T* out) {
    if constexpr (std::is_pointer_v<T>) *out = reinterpret_cast<T>(next_ += kApart);
    if constexpr (std::is_same_v<T, std::uint64_t>) *out = next_ += kApart;
    return next_;
  }
  template <class T>
  std::uint64_t fill(T) {
    return 0;
  }

  template <class First, class... Rest>
  void create(const std::string& name, First first, Rest... rest) {
    const std::string_view giver = giverOf(name);
    if (giver == "-") return;
    std::uint64_t handle = 0;
    if (name == "memMap" || name == "multicastBindMem") {
      handle = number(first);
    } else if (name == "primaryCtxRetain") {
      fill(first);
      ((handle = number(rest)), ...);  // released by the device
    } else if (name == "streamEndCapture") {
      ((handle = fill(rest)), ...);
    } else {
      handle = fill(first);
    }
    if (giver.empty()) return;
    if (!alive.emplace(giver, handle).second && name != "primaryCtxRetain")
      problems.push_back(name + " of what is there already");
  }

  template <class First, class... Rest>
  void giveBack(const std::string& name, First first, Rest...) {
    static const std::set<std::string_view> givers{
        "streamDestroy",     "eventDestroy", "moduleUnload",    "memFree",
        "memFreeHost",       "memRelease",   "memUnmap",        "memAddressFree",
        "ipcCloseMemHandle", "graphDestroy", "multicastUnbind", "graphExecDestroy",
        "primaryCtxRelease"};
    if (givers.contains(name) && alive.erase({name, number(first)}) == 0)
      problems.push_back(name + " of what is not there");
  }

  static constexpr std::uint64_t kApart = std::uint64_t{1} << 30;  ///< addresses, with room
  std::uint64_t next_ = kApart;
};

inline Recorder* recorder = nullptr;

/// What a call of the table does: `id` says which it is.
inline const std::vector<std::string>& callNames() {
#define LOCKSTEP_NAME(member, ...) #member,
  static const std::vector<std::string> names{LOCKSTEP_CUDA_REQUIRED(LOCKSTEP_NAME)
                                                  LOCKSTEP_CUDA_OPTIONAL(LOCKSTEP_NAME)};
#undef LOCKSTEP_NAME
  return names;
}

template <class>
struct Recorded;
template <class... Args>
struct Recorded<Result(Args...)> {
  template <int id>
  static Result call(Args... args) {
    return recorder->call(callNames()[id], args...);
  }
};

inline Driver recordingDriver() {
  enum Id : int {
#define LOCKSTEP_ID(member, ...) id_##member,
    LOCKSTEP_CUDA_REQUIRED(LOCKSTEP_ID) LOCKSTEP_CUDA_OPTIONAL(LOCKSTEP_ID)
#undef LOCKSTEP_ID
  };
  Driver d;
#define LOCKSTEP_RECORD(member, symbol, since, ...) \
  d.member = &Recorded<__VA_ARGS__>::template call<id_##member>;
  LOCKSTEP_CUDA_REQUIRED(LOCKSTEP_RECORD)
  LOCKSTEP_CUDA_OPTIONAL(LOCKSTEP_RECORD)
#undef LOCKSTEP_RECORD
  d.version = 13000;
  // Those that say something.
  d.getErrorName = [](Result result, const char** text) {
    *text = result == Result::outOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_OTHER";
    return Result::success;
  };
  d.getErrorString = [](Result, const char** text) {
    *text = "the driver's words";
    return Result::success;
  };
  d.deviceGetCount = [](int* count) {
    *count = 2;
    return recorder->call("deviceGetCount", 0);
  };
  d.deviceGet = [](Device* device, int ordinal) {
    *device = ordinal;
    return recorder->call("deviceGet", 0);
  };
  d.deviceGetName = [](char* name, int size, Device) {
    std::string_view("Recorded \x1b[31mGPU").copy(name, static_cast<std::size_t>(size) - 1);
    return recorder->call("deviceGetName", 0);
  };
  d.deviceGetAttribute = [](int* value, DeviceAttribute attribute, Device) {
    *value = static_cast<int>(attribute);
    return recorder->call("deviceGetAttribute", 0);
  };
  d.deviceTotalMem = [](std::size_t* bytes, Device) {
    *bytes = std::size_t{80} << 30;
    return recorder->call("deviceTotalMem", 0);
  };
  d.ctxGetCurrent = [](ContextHandle* now) {
    *now = recorder->contexts.empty() ? nullptr : recorder->contexts.back();
    return recorder->call("ctxGetCurrent", 0);
  };
  d.ctxPushCurrent = [](ContextHandle context) {
    const Result result = recorder->call("ctxPushCurrent", 0);
    if (result == Result::success) recorder->contexts.push_back(context);
    return result;
  };
  d.ctxPopCurrent = [](ContextHandle*) {
    if (recorder->contexts.empty()) recorder->problems.push_back("a pop too many");
    if (!recorder->contexts.empty()) recorder->contexts.pop_back();
    return recorder->call("ctxPopCurrent", 0);
  };
  d.eventElapsedTime = [](float* milliseconds, EventHandle, EventHandle) {
    *milliseconds = 0.25F;
    return recorder->call("eventElapsedTime", 0);
  };
  d.memHostAlloc = [](void** data, std::size_t, unsigned) {
    static char memory[4096];
    const Result result = recorder->call("memHostAlloc", data);
    if (result != Result::success) return result;
    recorder->alive.erase({"memFreeHost", reinterpret_cast<std::uintptr_t>(*data)});
    *data = memory;
    recorder->alive.emplace("memFreeHost", reinterpret_cast<std::uintptr_t>(memory));
    return result;
  };
  d.memExportToShareableHandle = [](void* out, AllocationHandle, ShareableHandle type,
                                    unsigned long long) {
    const Result result = recorder->call("memExportToShareableHandle", 0);
    if (result == Result::success && type == ShareableHandle::posixDescriptor)
      *static_cast<int*>(out) = ::open("/dev/null", O_RDONLY);
    return result;
  };
  d.moduleLoadDataEx = [](ModuleHandle* module, const void*, unsigned count, JitOption* options,
                          void** values) {
    const Result result = recorder->call("moduleLoadDataEx", module);
    for (unsigned i = 0; i < count; ++i)
      if (result != Result::success && options[i] == JitOption::errorLogBuffer)
        std::string_view("said the loader").copy(static_cast<char*>(values[i]), 16);
    return result;
  };
  return d;
}

/// Calls of this thread's process go to `recorder` meanwhile.
class Recording {
 public:
  Recording() {
    recorder = &recorder_;
    replaceDriver(&driver_);
  }
  ~Recording() {
    replaceDriver(nullptr);
    recorder = nullptr;
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  Recorder* operator->() { return &recorder_; }
  Driver& driver() { return driver_; }

 private:
  Recorder recorder_;
  Driver driver_ = recordingDriver();
};

}  // namespace lockstep::cuda
