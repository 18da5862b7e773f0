// Which part of a symmetric heap is whose: offsets only, no memory. Ranks that make the same calls
// in the same order get the same answers, so nobody has to be told an offset.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace lockstep::cuda {

/// First fit: the lowest place that has room. Neighbouring free places become one.
class HeapAllocator {
 public:
  /// Offsets are multiples of it, and so is what an allocation takes.
  static constexpr std::uint64_t kAlignment = 512;

  /// Of offsets [0, bytes), rounded down to kAlignment.
  explicit HeapAllocator(std::uint64_t bytes);

  /// An offset with `bytes` behind it that no other allocation has; std::nullopt: no place is large
  /// enough. Zero bytes take a place too, so that no two allocations have the same offset.
  std::optional<std::uint64_t> allocate(std::uint64_t bytes);
  /// Gives back what allocate returned. False, and nothing happens: there is no such allocation.
  bool free(std::uint64_t offset) noexcept;

  std::uint64_t freeBytes() const noexcept;
  /// What one allocation could have at most.
  std::uint64_t largestFree() const noexcept;

 private:
  using Places = std::map<std::uint64_t, std::uint64_t>;  ///< offset: bytes
  Places free_;                                           ///< no two touch
  Places taken_;
};

}  // namespace lockstep::cuda
