// Modules: shared objects of kernels for the host.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/fd.hpp"
#include "cuda/fake_driver/contexts.hpp"

namespace lockstep::cuda::fake {

/// Loaded while it lives.
class Module {
 public:
  Module(std::shared_ptr<Context> of, const void* image);
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  ~Module();

  /// nullptr where it has none.
  void* symbol(const char* name) const;

  const std::shared_ptr<Context> context;

 private:
  Fd file_;
  std::string path_;
  void* library_ = nullptr;
};

struct Function {
  std::shared_ptr<Module> module;
  std::string name;
  void (*kernel)(const void* launch) = nullptr;
  void (*playBlock)(unsigned x, unsigned y, unsigned blocks, unsigned char* shared) = nullptr;
  std::size_t launchBytes = 0;  ///< of the kernel's parameter
  std::atomic<int> mostShared;  ///< dynamic shared memory it may be launched with
};

std::shared_ptr<Function> find(FunctionHandle handle);
std::size_t modulesAlive();

}  // namespace lockstep::cuda::fake
