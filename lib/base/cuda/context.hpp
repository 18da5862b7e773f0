// A device's primary context, and the owner of a handle that lives in it.
#pragma once

#include <memory>
#include <new>
#include <utility>

#include "base/cuda/driver.hpp"

namespace lockstep::cuda {

/// A share of a device's primary context: the one that the CUDA runtime and PyTorch use too, so
/// their streams and memory are usable here. What is made in it holds a share, so nothing needs an
/// order of destruction. Copies are cheap.
class PrimaryContext {
 public:
  /// An empty one.
  PrimaryContext() = default;
  /// Of the GPU with this ordinal. Throws invalidArgument when there is no such GPU, unsupported,
  /// system.
  static PrimaryContext retain(int ordinal);

  explicit operator bool() const noexcept { return retained_ != nullptr; }
  ContextHandle handle() const noexcept;
  /// For the driver, and the ordinal that people know.
  Device device() const noexcept;

 private:
  struct Retained;
  explicit PrimaryContext(std::shared_ptr<const Retained> retained);
  std::shared_ptr<const Retained> retained_;
};

/// Makes a context the calling thread's current one until its end. Most of the driver needs one:
/// the owners here enter it by themselves, calls of Driver's functions do not.
class [[nodiscard]] Current {
 public:
  /// Throws system.
  explicit Current(const PrimaryContext& context);
  /// For destructors: where the driver refuses, does nothing.
  Current(const PrimaryContext& context, std::nothrow_t) noexcept;
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  bool pushed_ = false;
};

/// A handle of the driver with exactly one owner, given back by the driver's function `give` in the
/// context that it was made in. What the driver says then is nobody's to hear.
template <class Handle, auto give>
class Owned {
 public:
  Owned() = default;
  Owned(PrimaryContext context, Handle handle) noexcept
      : context_(std::move(context)), handle_(handle) {}
  Owned(Owned&& other) noexcept
      : context_(std::move(other.context_)), handle_(std::exchange(other.handle_, Handle{})) {}
  Owned& operator=(Owned&& other) noexcept {
    Owned(std::move(other)).swap(*this);
    return *this;
  }
  ~Owned() {
    if (handle_ == Handle{}) return;
    const Current current(context_, std::nothrow);
    (findDriver()->*give)(handle_);
  }

  Handle get() const noexcept { return handle_; }
  const PrimaryContext& context() const noexcept { return context_; }

 private:
  void swap(Owned& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(handle_, other.handle_);
  }
  PrimaryContext context_;
  Handle handle_{};
};

}  // namespace lockstep::cuda
