// Where the blocks of one rank's call lie, by its collective's contract.
#pragma once

#include <algorithm>
#include <cstddef>

#include "bench/operation.hpp"

namespace lockstep::bench {

struct Layout {
  std::size_t inBlocks = 0, outBlocks = 0;  ///< 0: this rank has no such buffer
  /// In place: the block of the larger buffer at which each begins.
  std::size_t inAt = 0, outAt = 0;
  std::size_t blocks() const { return std::max(inBlocks, outBlocks); }
};

constexpr Layout layoutOf(Operation op, int ranks, int rank, int root) {
  const Contract& contract = contractOf(op);
  const auto blocks = [&](bool perRank, bool atRoot) -> std::size_t {
    if (!contract.hasData || (atRoot && rank != root)) return 0;
    return perRank ? static_cast<std::size_t>(ranks) : 1;
  };
  Layout layout{.inBlocks = blocks(contract.inPerRank, contract.inAtRoot),
                .outBlocks = blocks(contract.outPerRank, contract.outAtRoot)};
  if (layout.inBlocks == 0 || layout.outBlocks == 0) return layout;
  // The smaller buffer is this rank's own block of the larger one.
  const auto own = static_cast<std::size_t>(rank);
  layout.inAt = layout.inBlocks < layout.outBlocks ? own : 0;
  layout.outAt = layout.outBlocks < layout.inBlocks ? own : 0;
  return layout;
}

}  // namespace lockstep::bench
