// Where a chunk of a tile lies.
#include "collectives/schedule.hpp"

#include <algorithm>

namespace lockstep::schedule {
namespace {

constexpr std::size_t kCacheLine = 64;

/// Elements of every chunk but the last ones. Never more than the tile, so a round-up that would
/// overflow cannot.
std::size_t chunkElements(std::uint32_t chunks, std::size_t elements, std::size_t elementBytes) {
  const std::size_t even = elements / chunks + (elements % chunks != 0 ? 1 : 0);
  const std::size_t line = std::max<std::size_t>(1, kCacheLine / elementBytes);
  const std::size_t missing = (line - even % line) % line;
  return missing > elements - even ? elements : even + missing;
}

}  // namespace

Span elementsOf(Range range, std::uint32_t chunks, std::size_t elements, std::size_t elementBytes) {
  const std::size_t size = chunkElements(chunks, elements, elementBytes);
  // Where chunk `index` begins; everything past the end of a short tile begins at its end.
  const auto begin = [&](std::uint64_t index) {
    std::size_t offset = 0;
    const bool overflows = __builtin_mul_overflow(index, size, &offset);
    return overflows ? elements : std::min(offset, elements);
  };
  return {begin(range.chunk), begin(std::uint64_t{range.chunk} + range.chunks)};
}

}  // namespace lockstep::schedule
