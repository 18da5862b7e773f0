// Owners of machine code that is loaded on a device, and its kernels.
#pragma once

#include <memory>
#include <string_view>

#include "base/cuda/context.hpp"

namespace lockstep::cuda {

class Module {
 public:
  /// `image` is what NVRTC gave (Program::cubin). Throws system, with what the driver's loader
  /// said.
  static std::shared_ptr<const Module> load(const PrimaryContext& context,
                                            const std::string& image);

  ModuleHandle handle() const noexcept { return module_.get(); }
  const PrimaryContext& context() const noexcept { return module_.context(); }

 private:
  explicit Module(Owned<ModuleHandle, &Driver::moduleUnload> module) : module_(std::move(module)) {}
  Owned<ModuleHandle, &Driver::moduleUnload> module_;
};

/// A kernel of a module, which it keeps loaded. Copies are the same kernel.
class Function {
 public:
  /// The shape of a launch.
  struct Launch {
    unsigned gridX = 1, gridY = 1;
    unsigned threads = 1;      ///< per block
    unsigned sharedBytes = 0;  ///< dynamic; more than 48 KiB need setDynamicShared
    bool cooperative = false;  ///< refused unless all blocks can run at once
  };

  Function() = default;
  /// `name` as extern "C" has it. Throws system.
  static Function find(std::shared_ptr<const Module> module, const std::string& name);

  explicit operator bool() const noexcept { return handle_ != nullptr; }
  FunctionHandle handle() const noexcept { return handle_; }
  const std::string& name() const noexcept { return name_; }

  int attribute(FunctionAttribute attribute) const;
  /// Allows launches with so many bytes of dynamic shared memory per block.
  void setDynamicShared(unsigned bytes) const;
  /// Blocks of this kernel that one multiprocessor holds at once.
  int blocksPerMultiprocessor(unsigned threads, unsigned sharedBytes) const;
  /// Puts a run into `stream`. `parameters` has the address of each parameter; the driver copies
  /// them. Throws system.
  void launch(const Launch& shape, StreamHandle stream, void** parameters) const;

 private:
  std::shared_ptr<const Module> module_;
  FunctionHandle handle_ = nullptr;
  std::string name_;
};

}  // namespace lockstep::cuda
