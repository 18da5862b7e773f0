// What modules share: memory for the benchmark's buffers, and whether the two of a call are one.
#pragma once

#include <cstdlib>
#include <cstring>
#include <utility>

#include <lockstep/types.hpp>

namespace lockstep::bench {

/// Ordinary memory, zeroed, aligned like Lockstep's own buffers, so that neither side gains by its
/// pages. Null when there is none left; freed by std::free.
inline void* allocateAligned(std::size_t bytes) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const std::size_t unit = bytes >= kHugePage ? kHugePage : 4096;
  void* memory = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
  if (memory != nullptr) std::memset(memory, 0, bytes);
  return memory;
}

/// Whether the smaller buffer is this rank's block (of `block` bytes) of the larger, or both are
/// the same.
inline bool isInPlace(const Contract& contract, const void* in, const void* out, int rank,
                      std::size_t block) {
  if (in == nullptr || out == nullptr) return false;
  if (contract.inPerRank == contract.outPerRank) return in == out;
  const auto [larger, smaller] = contract.outPerRank ? std::pair(out, in) : std::pair(in, out);
  return smaller == static_cast<const char*>(larger) + static_cast<std::size_t>(rank) * block;
}

}  // namespace lockstep::bench
