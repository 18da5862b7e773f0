#include "topology/probes/nvml/library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include "topology/probes/nvml/text.hpp"

namespace lockstep::topology::nvml {
namespace {

template <class Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  return function != nullptr;
}

/// What to do about an nvmlInit that failed.
std::string_view advice(Return result) {
  switch (result) {
    case Return::driverNotLoaded:
      return "load the kernel module nvidia, or start the machine with a GPU in it";
    case Return::versionMismatch:
      return "the driver was replaced while it ran; load its kernel modules anew, or reboot";
    case Return::noPermission:
      return "this user may not open /dev/nvidiactl";
    case Return::libraryNotFound:
      return "install the driver's own libraries, as old as its kernel module";
    default:
      return "see what the kernel's log says of NVRM";
  }
}

}  // namespace

void Library::Unload::operator()(void* library) const {
  dlclose(library);
}

Library::Library(const std::string& file) {
  initialised_ = load(file) && lookUp(file) && initialise();
}

Library::~Library() {
  if (initialised_) functions_.nvmlShutdown();
}

bool Library::load(const std::string& file) {
  library_.reset(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (library_) return true;
  const char* error = dlerror();
  const std::string_view message = error == nullptr ? "" : error;
  const bool isThere =
      message != file + ": cannot open shared object file: No such file or directory";
  why_ = isThere ? fmt::format("{} cannot be loaded: {}", file, message)
                 : fmt::format("no NVIDIA driver: {} is not there", file);
  return false;
}

bool Library::lookUp(const std::string& file) {
  const auto require = [&](bool found, const char* name) {
    if (!found && why_.empty())
      why_ = fmt::format("the driver is too old: {} has no {}", file, name);
  };
  const auto mark = [&](bool found, std::string_view name) {
    if (!found) functions_.missing.push_back(name);
  };
#define LOCKSTEP_NVML_REQUIRE(name, ...) \
  require(find(library_.get(), #name, functions_.name), #name);
#define LOCKSTEP_NVML_MARK(name, ...) mark(find(library_.get(), #name, functions_.name), #name);
#define LOCKSTEP_NVML_FIND(name, ...) find(library_.get(), #name, functions_.name);
  LOCKSTEP_NVML_REQUIRED(LOCKSTEP_NVML_REQUIRE)
  LOCKSTEP_NVML_OPTIONAL(LOCKSTEP_NVML_MARK)
  LOCKSTEP_NVML_FALLBACK(LOCKSTEP_NVML_FIND)
#undef LOCKSTEP_NVML_REQUIRE
#undef LOCKSTEP_NVML_MARK
#undef LOCKSTEP_NVML_FIND
  return why_.empty();
}

bool Library::initialise() {
  const Return result = functions_.nvmlInit_v2();
  if (result == Return::success) return true;
  why_ = fmt::format("nvmlInit failed: {}: {}", printable(functions_.nvmlErrorString(result)),
                     advice(result));
  return false;
}

}  // namespace lockstep::topology::nvml
