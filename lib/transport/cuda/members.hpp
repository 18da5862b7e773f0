// What every rank of a device communicator has to know about the GPUs of the others.
#pragma once

#include <cstdint>
#include <span>

#include "base/cuda/context.hpp"

namespace lockstep::cuda {

/// A rank, as it tells the others.
struct Member {
  std::uint64_t bytes = 0;        ///< of a segment, as it was asked for
  std::uint64_t granularity = 0;  ///< what sizes must be multiples of, a power of two
  Uuid uuid = {};                 ///< of its GPU
  int ordinal = 0;                ///< of its GPU, in its own process
  int multicast = 0;              ///< whether the driver says that its GPU has some
};

bool sameDevice(const Member& a, const Member& b);

/// This rank, one of `world`. Throws what the driver refuses.
Member describeMember(const PrimaryContext& context, int world, std::uint64_t bytes);

/// Throws PeersUnreachable if this rank's GPU cannot reach another rank's. One that this process
/// does not see (CUDA_VISIBLE_DEVICES) cannot be asked about: mapping its memory will tell.
void checkReach(const PrimaryContext& context, int rank, std::span<const Member> members);

}  // namespace lockstep::cuda
