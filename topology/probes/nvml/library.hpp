// NVML itself, loaded by dlopen: what calls go through.
//
// A call into the driver of a sick GPU can take minutes, or never return: it waits in the kernel,
// where no signal reaches it. Nothing here watches over that. A thread left behind in such a call
// would hold NVML's lock and outlive the library it runs in, and a process that could be left
// behind is not a library's to start; so a program that must go on starts the probe in a child
// process.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "topology/probes/nvml/functions.hpp"

namespace lockstep::topology::nvml {

/// Pointers under NVML's own names. Of optional functions and fallbacks: null where the driver has
/// none.
struct Functions {
#define LOCKSTEP_NVML_POINTER(name, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
  LOCKSTEP_NVML_REQUIRED(LOCKSTEP_NVML_POINTER)
  LOCKSTEP_NVML_OPTIONAL(LOCKSTEP_NVML_POINTER)
  LOCKSTEP_NVML_FALLBACK(LOCKSTEP_NVML_POINTER)
#undef LOCKSTEP_NVML_POINTER
  /// Symbols of optional functions that are null.
  std::vector<std::string_view> missing;
};

/// A loaded and initialised NVML: shut down and unloaded at its end.
class Library {
 public:
  /// `file` as dlopen takes it. Where it cannot be used, an empty one whose why() says so to users.
  explicit Library(const std::string& file);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  /// Empty where the library can be used.
  const std::string& why() const { return why_; }
  /// To be called while the library lives and why() is empty.
  const Functions& functions() const { return functions_; }

 private:
  bool load(const std::string& file);
  bool lookUp(const std::string& file);
  bool initialise();

  struct Unload {
    void operator()(void* library) const;
  };
  std::unique_ptr<void, Unload> library_;
  Functions functions_;
  bool initialised_ = false;
  std::string why_;
};

}  // namespace lockstep::topology::nvml
