// Owners of multicast objects: what is written at one address goes to the memory of several
// devices, what is read there can be their sum.
#pragma once

#include <cstddef>
#include <memory>

#include "base/cuda/virtual_memory.hpp"

namespace lockstep::cuda {

/// Memory of several devices behind one address. Every process that takes part adds its device;
/// once all have, each binds its memory. A bind can block until all devices are added, and on a
/// machine with a sick fabric manager for ever.
class MulticastObject {
 public:
  /// For `devices` of them. `bytes` is a multiple of granularity(). `shareable`: as what it can be
  /// exported, a descriptor or a fabric handle. Throws unsupported where the driver has no
  /// multicast, system.
  static std::shared_ptr<const MulticastObject> create(const PrimaryContext& context,
                                                       unsigned devices, std::size_t bytes,
                                                       ShareableHandle shareable);
  /// What another process exported: object()->exportFd(), or exportFabric(). `bytes` are the
  /// exporter's.
  static std::shared_ptr<const MulticastObject> importFd(const PrimaryContext& context,
                                                         const Fd& fd, std::size_t bytes);
  static std::shared_ptr<const MulticastObject> importFabric(const PrimaryContext& context,
                                                             const FabricHandle& fabric,
                                                             std::size_t bytes);
  /// Of sizes of objects and of what is bound. Throws unsupported.
  static std::size_t granularity(const PrimaryContext& context, unsigned devices,
                                 std::size_t bytes);

  /// Adds the context's device.
  void addDevice() const;

  /// To export, and to map with MappedMemory.
  const std::shared_ptr<const Allocation>& object() const noexcept { return object_; }
  const PrimaryContext& context() const noexcept { return object_->context(); }

 private:
  explicit MulticastObject(std::shared_ptr<const Allocation> object) : object_(std::move(object)) {}
  std::shared_ptr<const Allocation> object_;
};

/// Memory of this process's device as part of a multicast object, until its end. Keeps both.
class MulticastBinding {
 public:
  MulticastBinding() = default;
  /// All of `memory` at `offset` of the object. May never return: see MulticastObject.
  static MulticastBinding bind(std::shared_ptr<const MulticastObject> object, std::size_t offset,
                               std::shared_ptr<const Allocation> memory);
  MulticastBinding(MulticastBinding&& other) noexcept;
  MulticastBinding& operator=(MulticastBinding&& other) noexcept;
  ~MulticastBinding();

 private:
  void unbind() noexcept;
  std::shared_ptr<const MulticastObject> object_;
  std::shared_ptr<const Allocation> memory_;
  std::size_t offset_ = 0;
};

}  // namespace lockstep::cuda
