#include "cuda/fake_driver/modules.hpp"

#include <cstring>
#include <map>

#include <dlfcn.h>
#include <sys/mman.h>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/image.hpp"
#include "cuda/fake_driver/limits.hpp"
#include "cuda/fake_driver/streams.hpp"

namespace lockstep::cuda::fake {
namespace {

Table<ModuleHandle, Module>& modules() {
  static auto* const all = new Table<ModuleHandle, Module>(6);
  return *all;
}

Table<FunctionHandle, Function>& functions() {
  static auto* const all = new Table<FunctionHandle, Function>(7);
  return *all;
}

/// Of a module by its name: asked for twice, a kernel has the same handle.
struct Known {
  std::mutex mutex;
  std::map<std::pair<ModuleHandle, std::string>, FunctionHandle> handles;
};
Known& known() {
  static auto* const all = new Known;
  return *all;
}

/// Nobody says how long the image is before its head has been read.
ImageHead headOf(const void* image) {
  require(image != nullptr);
  require(std::strncmp(static_cast<const char*>(image), ImageHead().magic,
                       sizeof ImageHead::magic) == 0,
          Result::invalidImage);
  ImageHead head;
  std::memcpy(static_cast<void*>(&head), image, sizeof head);
  return head;
}

/// Machine code is for its own chip and newer ones of its generation.
bool runsOn(const ImageHead& head, unsigned chip) {
  return head.chip <= chip && (head.forAny != 0 || head.chip / 10 == chip / 10);
}

void writeAll(int fd, const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t n = ::write(fd, data, bytes);
    require(n > 0, Result::outOfMemory);
    data += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

template <class Pointer>
Pointer symbolOf(const Module& module, const char* name) {
  return reinterpret_cast<Pointer>(module.symbol(name));
}

std::shared_ptr<Function> makeFunction(std::shared_ptr<Module> module, const char* name) {
  auto function = std::make_shared<Function>();
  function->name = name;
  function->kernel = symbolOf<decltype(Function::kernel)>(*module, name);
  function->playBlock = symbolOf<decltype(Function::playBlock)>(*module, "lockstepPlayBlock");
  const auto* bytes =
      symbolOf<const unsigned*>(*module, (std::string(name) + "_launch_bytes").c_str());
  require(function->kernel != nullptr, Result::notFound);
  require(function->playBlock != nullptr && bytes != nullptr, Result::invalidImage);
  function->launchBytes = *bytes;
  function->mostShared = kOrdinaryShared;
  function->module = std::move(module);
  return function;
}

}  // namespace

Module::Module(std::shared_ptr<Context> of, const void* image) : context(std::move(of)) {
  const ImageHead head = headOf(image);
  require(runsOn(head, static_cast<unsigned>(number("LOCKSTEP_FAKE_SM", 90))),
          Result::noBinaryForGpu);
  file_ = Fd(::memfd_create("lockstep-fake-module", MFD_CLOEXEC));
  require(bool(file_), Result::operatingSystem);
  writeAll(file_.get(), static_cast<const char*>(image) + sizeof head, head.bytes);
  // The name is the module's for as long as it is loaded: dlopen() tells libraries apart by it.
  path_ = "/proc/self/fd/" + std::to_string(file_.get());
  library_ = ::dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) std::fprintf(stderr, "lockstep_fake_cuda: %s\n", ::dlerror());
  require(library_ != nullptr, Result::invalidImage);
}

Module::~Module() {
  if (library_ == nullptr) return;
  ::dlclose(library_);
  // Something else may still hold it: its name must not become another module's then.
  if (void* still = ::dlopen(path_.c_str(), RTLD_NOW | RTLD_NOLOAD)) {
    ::dlclose(still);
    file_.release();
  }
}

void* Module::symbol(const char* name) const {
  return ::dlsym(library_, name);
}

std::shared_ptr<Function> find(FunctionHandle handle) {
  return functions().get(handle);
}

std::size_t modulesAlive() {
  return modules().size();
}

void moduleLoadDataEx(ModuleHandle* handle, const void* image, unsigned optionCount,
                      JitOption* options, void** values) {
  refuseInCapture();
  require(handle != nullptr);
  require(optionCount == 0 || (options != nullptr && values != nullptr));
  *handle = modules().add(std::make_shared<Module>(currentContext(), image));
}

void moduleUnload(ModuleHandle handle) {
  refuseInCapture();
  const auto module = modules().get(handle);
  requireAlive(*module->context);
  modules().take(handle);
  const std::lock_guard lock(known().mutex);
  std::erase_if(known().handles, [&](const auto& entry) {
    if (entry.first.first != handle) return false;
    functions().take(entry.second);
    return true;
  });
}

void moduleGetFunction(FunctionHandle* handle, ModuleHandle module, const char* name) {
  require(handle != nullptr && name != nullptr && *name != '\0');
  auto function = makeFunction(modules().get(module), name);
  const std::lock_guard lock(known().mutex);
  auto& mine = known().handles[{module, name}];
  if (mine == nullptr) mine = functions().add(std::move(function));
  *handle = mine;
}

void funcGetAttribute(int* value, FunctionAttribute what, FunctionHandle handle) {
  require(value != nullptr);
  const auto function = find(handle);
  switch (what) {
    case FunctionAttribute::maxThreadsPerBlock:
      *value = kMostThreads;
      return;
    case FunctionAttribute::sharedBytes:
    case FunctionAttribute::localBytes:
      *value = 0;
      return;
    case FunctionAttribute::registers:
      *value = 32;
      return;
    case FunctionAttribute::maxDynamicSharedBytes:
      *value = function->mostShared;
      return;
  }
  refuse(Result::invalidValue);
}

void funcSetAttribute(FunctionHandle handle, FunctionAttribute what, int value) {
  const auto function = find(handle);
  require(what == FunctionAttribute::maxDynamicSharedBytes && value >= 0 && value <= kMostShared);
  function->mostShared = value;
}

}  // namespace lockstep::cuda::fake
