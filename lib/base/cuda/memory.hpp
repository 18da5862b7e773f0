// Owners of memory that belongs to one process: a device's, pinned host memory, and another
// process's through CUDA IPC. Memory that ranks share is in virtual_memory.hpp.
#pragma once

#include <cstddef>
#include <span>

#include "base/cuda/context.hpp"

namespace lockstep::cuda {

class Stream;

/// Memory of a device, not initialised.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  /// Throws system ("out of memory") and invalidArgument for 0 bytes.
  static DeviceMemory allocate(const PrimaryContext& context, std::size_t bytes);

  DevicePtr address() const noexcept { return memory_.get(); }
  template <class T = void>
  T* pointer() const noexcept {
    return reinterpret_cast<T*>(memory_.get());
  }
  std::size_t bytes() const noexcept { return bytes_; }
  const PrimaryContext& context() const noexcept { return memory_.context(); }
  /// For IpcMemory::open in another process.
  IpcMemoryHandle exportIpc() const;

 private:
  Owned<DevicePtr, &Driver::memFree> memory_;
  std::size_t bytes_ = 0;
};

/// Pinned memory of the host, which every device reads and writes at the same address.
class HostMemory {
 public:
  HostMemory() = default;
  /// Zeroed. Throws system and invalidArgument for 0 bytes.
  static HostMemory allocate(const PrimaryContext& context, std::size_t bytes);

  void* data() const noexcept { return memory_.get(); }
  std::size_t bytes() const noexcept { return bytes_; }
  /// Where kernels see it.
  DevicePtr address() const noexcept { return address_; }

 private:
  Owned<void*, &Driver::memFreeHost> memory_;
  std::size_t bytes_ = 0;
  DevicePtr address_ = 0;
};

/// DeviceMemory of another process, which must outlive this. Not of this one: the driver refuses.
class IpcMemory {
 public:
  IpcMemory() = default;
  /// Mapped for the context's device.
  static IpcMemory open(const PrimaryContext& context, const IpcMemoryHandle& handle);

  DevicePtr address() const noexcept { return memory_.get(); }

 private:
  Owned<DevicePtr, &Driver::ipcCloseMemHandle> memory_;
};

/// Copies and wait until they are done, for set-up and tests: not in stream order with anything but
/// the default stream.
void copyToDevice(const PrimaryContext& context, DevicePtr to, std::span<const std::byte> from);
void copyToHost(const PrimaryContext& context, std::span<std::byte> to, DevicePtr from);
/// The same in a stream that is there: to make one, a driver may wait for kernels that spin.
void copyToDevice(const PrimaryContext& context, const Stream& stream, DevicePtr to,
                  std::span<const std::byte> from);
void copyToHost(const PrimaryContext& context, const Stream& stream, std::span<std::byte> to,
                DevicePtr from);
/// Zeroes and waits until it is done.
void zero(const PrimaryContext& context, DevicePtr at, std::size_t bytes);

}  // namespace lockstep::cuda
