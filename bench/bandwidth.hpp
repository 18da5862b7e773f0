// Bandwidths as the field defines them (NCCL tests, doc/PERFORMANCE.md).
#pragma once

#include <cstddef>

#include "bench/operation.hpp"

namespace lockstep::bench {

/// Bytes of the message per time: GB/s, for a time in microseconds.
constexpr double algorithmBandwidth(std::size_t bytes, double microseconds) {
  return microseconds > 0 ? static_cast<double>(bytes) / microseconds / 1000 : 0;
}

/// What algorithm bandwidth is multiplied by to compare it with the speed of the links, whatever
/// the number of ranks: the share of the message that goes in or out of the busiest rank. Where
/// every rank has a block of it, all but its own; an all-reduce does so twice; one message to or
/// from a root, or to a neighbour, goes whole.
constexpr double busFactor(Operation op, int worldSize) {
  const Contract& contract = contractOf(op);
  const double others = static_cast<double>(worldSize - 1) / worldSize;
  if (!contract.hasData || worldSize == 1) return 0;
  if (op == Operation::sendRecv) return 1;
  if (contract.inPerRank || contract.outPerRank) return others;
  return contract.rooted ? 1 : 2 * others;
}

}  // namespace lockstep::bench
