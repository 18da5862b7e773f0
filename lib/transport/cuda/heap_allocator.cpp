#include "transport/cuda/heap_allocator.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace lockstep::cuda {

HeapAllocator::HeapAllocator(std::uint64_t bytes) {
  const std::uint64_t whole = bytes / kAlignment * kAlignment;
  if (whole != 0) free_.emplace(0, whole);
}

std::optional<std::uint64_t> HeapAllocator::allocate(std::uint64_t bytes) {
  if (bytes > largestFree()) return std::nullopt;  // the rounding below cannot overflow either
  const std::uint64_t need =
      std::max<std::uint64_t>(1, (bytes + kAlignment - 1) / kAlignment) * kAlignment;
  const auto place =
      std::find_if(free_.begin(), free_.end(), [&](const auto& p) { return p.second >= need; });
  if (place == free_.end()) return std::nullopt;
  const auto [offset, room] = *place;
  taken_.emplace(offset, need);
  // The node is told its new offset rather than replaced: after emplace nothing here can fail.
  auto node = free_.extract(place);
  if (room > need) {
    node.key() = offset + need;
    node.mapped() = room - need;
    free_.insert(std::move(node));
  }
  return offset;
}

bool HeapAllocator::free(std::uint64_t offset) noexcept {
  auto node = taken_.extract(offset);
  if (node.empty()) return false;
  const auto place = free_.insert(std::move(node)).position;  // moves it: allocates nothing
  const auto next = std::next(place);
  if (next != free_.end() && place->first + place->second == next->first) {
    place->second += next->second;
    free_.erase(next);
  }
  if (place == free_.begin()) return true;
  const auto previous = std::prev(place);
  if (previous->first + previous->second == place->first) {
    previous->second += place->second;
    free_.erase(place);
  }
  return true;
}

std::uint64_t HeapAllocator::freeBytes() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& [offset, bytes] : free_) sum += bytes;
  return sum;
}

std::uint64_t HeapAllocator::largestFree() const noexcept {
  std::uint64_t most = 0;
  for (const auto& [offset, bytes] : free_) most = std::max(most, bytes);
  return most;
}

}  // namespace lockstep::cuda
