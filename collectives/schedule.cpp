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

std::uint32_t blocksOf(const Schedule& schedule, BufferName buffer, int rank) {
  const Contract& contract = contractOf(schedule.collective);
  const bool input = buffer == BufferName::in;
  if (!contract.hasData || buffer == BufferName::scratch) return 0;
  if ((input ? contract.inAtRoot : contract.outAtRoot) && rank != schedule.shape.root) return 0;
  const bool perRank = input ? contract.inPerRank : contract.outPerRank;
  return perRank ? static_cast<std::uint32_t>(schedule.shape.worldSize) : 1;
}

Cell cellOf(const Schedule& schedule, int rank, BufferName buffer, std::uint32_t chunk) {
  const std::uint32_t ins = blocksOf(schedule, BufferName::in, rank);
  const std::uint32_t outs = blocksOf(schedule, BufferName::out, rank);
  const bool shared = schedule.shape.inPlace && ins != 0 && outs != 0;
  if (!shared || buffer == BufferName::scratch) return {buffer, chunk};
  // The larger one gives the name; the smaller lies in it at the rank's own block.
  const BufferName whole = ins > outs ? BufferName::in : BufferName::out;
  const bool own = buffer != whole && ins != outs;
  return {whole, chunk + (own ? static_cast<std::uint32_t>(rank) * schedule.chunks : 0)};
}

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
