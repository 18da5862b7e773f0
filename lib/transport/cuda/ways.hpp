// The ways in which a rank's memory gets into the address spaces of all ranks. Each either works on
// every rank or is refused on every rank, for the same reason.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/cuda/virtual_memory.hpp"
#include "bootstrap/peers.hpp"
#include "transport/cuda/members.hpp"
#include "transport/cuda/together.hpp"

namespace lockstep::cuda {

/// A rank's segment as this process has it.
struct SegmentView {
  DevicePtr base = 0;
  /// What a multicast object can bind; nullptr where it is not the driver's virtual memory.
  std::shared_ptr<const Allocation> memory;
  std::shared_ptr<const void> keeper;  ///< keeps it mapped
};

/// What is asked of a way, the same on all ranks but for the context.
struct Wish {
  Peers& peers;
  PrimaryContext context;
  std::span<const Member> members;
  std::uint64_t bytes;  ///< a multiple of everyone's granularity
  Deadline deadline;
};

struct Way {
  const char* name;
  /// Collective. Fills in `views`, one per rank, with zeroed memory that this rank's device reads
  /// and writes. Refused: what is there by then may be dropped, other ranks' segments first.
  std::optional<Refusal> (*map)(const Wish& wish, std::vector<SegmentView>& views);
};

/// What to try, the best first.
std::span<const Way> waysBetween(const Peers& peers);

}  // namespace lockstep::cuda
