// The objects that are alive, by handles that are never given twice and that nobody can follow:
// what uses one after its object is gone is told so.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include "cuda/fake_driver/refusal.hpp"

namespace lockstep::cuda::fake {

template <class Handle, class Object>
class Table {
 public:
  /// `kind`: something that differs between tables. `unknown`: what a wrong handle gets.
  explicit Table(std::uint8_t kind, Result unknown = Result::invalidHandle)
      : next_((0xfa00u + std::uint64_t{kind}) << 48), unknown_(unknown) {}

  Handle add(std::shared_ptr<Object> object) {
    const std::lock_guard lock(mutex_);
    objects_.emplace(next_ += 16, std::move(object));
    return toHandle(next_);
  }
  std::shared_ptr<Object> get(Handle handle) const {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(toNumber(handle));
    require(found != objects_.end(), unknown_);
    return found->second;
  }
  std::shared_ptr<Object> take(Handle handle) {
    const std::lock_guard lock(mutex_);
    auto node = objects_.extract(toNumber(handle));
    require(!node.empty(), unknown_);
    return std::move(node.mapped());
  }
  std::vector<std::shared_ptr<Object>> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Object>> objects;
    for (const auto& entry : objects_) objects.push_back(entry.second);
    return objects;
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return objects_.size();
  }

 private:
  static std::uint64_t toNumber(Handle handle) {
    if constexpr (std::is_pointer_v<Handle>)
      return reinterpret_cast<std::uintptr_t>(handle);
    else
      return handle;
  }
  static Handle toHandle(std::uint64_t number) {
    if constexpr (std::is_pointer_v<Handle>)
      return reinterpret_cast<Handle>(number);
    else
      return number;
  }

  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Object>> objects_;
  std::uint64_t next_;
  Result unknown_;
};

}  // namespace lockstep::cuda::fake
