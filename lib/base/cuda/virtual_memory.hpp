// Owners for memory that several processes and devices map: the driver's virtual memory management.
// An allocation has no address; it gets one by being mapped into a range, in each process.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/cuda/context.hpp"
#include "base/fd.hpp"

namespace lockstep::cuda {

/// Physical memory of a device, or a multicast object: what can be mapped and shared.
class Allocation {
 public:
  /// Memory on the context's device; `bytes` is a multiple of granularity(). Its content is
  /// undefined. It can be exported as what `shareable` says, and only so. Throws system.
  static std::shared_ptr<const Allocation> create(const PrimaryContext& context, std::size_t bytes,
                                                  ShareableHandle shareable);
  /// What another process, or this one, exported. `bytes` are the exporter's. The descriptor is not
  /// needed any more after that. Throws system.
  static std::shared_ptr<const Allocation> importFd(const PrimaryContext& context, const Fd& fd,
                                                    std::size_t bytes);
  /// The same by a fabric handle, whoever it came from: the driver refuses what is none. Who maps
  /// more than there is is refused, too. The exporter's memory must still be alive. Throws system.
  static std::shared_ptr<const Allocation> importFabric(const PrimaryContext& context,
                                                        const FabricHandle& fabric,
                                                        std::size_t bytes);
  /// Whether the device's driver says that it has fabric handles. Using them also takes an IMEX
  /// channel, so only trying tells. Throws system.
  static bool offersFabric(const PrimaryContext& context);
  /// Of sizes and addresses of allocations that are shared like that.
  static std::size_t granularity(const PrimaryContext& context, ShareableHandle shareable);

  /// A descriptor that keeps the memory alive and importFd() takes. Throws system.
  Fd exportFd() const;
  /// What importFabric() takes, for as long as the memory is alive. Throws system.
  FabricHandle exportFabric() const;

  /// What it can be exported as, or came as.
  ShareableHandle shareable() const noexcept { return shareable_; }
  AllocationHandle handle() const noexcept { return allocation_.get(); }
  std::size_t bytes() const noexcept { return bytes_; }
  const PrimaryContext& context() const noexcept { return allocation_.context(); }

 private:
  friend class MulticastObject;
  Allocation(const PrimaryContext& context, AllocationHandle handle, std::size_t bytes,
             ShareableHandle shareable)
      : allocation_(context, handle), bytes_(bytes), shareable_(shareable) {}
  static std::shared_ptr<const Allocation> importHandle(const PrimaryContext& context, void* shared,
                                                        ShareableHandle shareable,
                                                        std::size_t bytes);
  Owned<AllocationHandle, &Driver::memRelease> allocation_;
  std::size_t bytes_ = 0;
  ShareableHandle shareable_ = ShareableHandle::none;
};

/// Addresses of this process with nothing behind them.
class AddressRange {
 public:
  /// `alignment` is a power of two, or 0 for the driver's own. Throws system.
  static std::shared_ptr<const AddressRange> reserve(const PrimaryContext& context,
                                                     std::size_t bytes, std::size_t alignment = 0);
  ~AddressRange();
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;

  DevicePtr address() const noexcept { return address_; }
  std::size_t bytes() const noexcept { return bytes_; }
  const PrimaryContext& context() const noexcept { return context_; }

 private:
  AddressRange(PrimaryContext context, DevicePtr address, std::size_t bytes) noexcept;
  PrimaryContext context_;
  DevicePtr address_ = 0;
  std::size_t bytes_ = 0;
};

/// A whole allocation at addresses of this process. Keeps both.
class MappedMemory {
 public:
  MappedMemory() = default;
  /// At `offset` of `range`, readable and writable by the device of the range's context. Throws
  /// system.
  static MappedMemory map(std::shared_ptr<const AddressRange> range, std::size_t offset,
                          std::shared_ptr<const Allocation> allocation);
  /// In a range of its own, for the device of `context` (which need not be the allocation's).
  static MappedMemory map(const PrimaryContext& context,
                          std::shared_ptr<const Allocation> allocation);
  MappedMemory(MappedMemory&& other) noexcept;
  MappedMemory& operator=(MappedMemory&& other) noexcept;
  ~MappedMemory();

  DevicePtr address() const noexcept { return address_; }
  std::size_t bytes() const noexcept { return allocation_ ? allocation_->bytes() : 0; }

 private:
  void unmap() noexcept;
  std::shared_ptr<const AddressRange> range_;
  std::shared_ptr<const Allocation> allocation_;
  DevicePtr address_ = 0;
};

}  // namespace lockstep::cuda
