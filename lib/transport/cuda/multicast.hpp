// One address behind which all ranks' segments are: what a kernel stores there every rank gets, and
// what it loads is their sum. Either all ranks have it, or none and they know why.
//
// A driver's word is no proof (in some containers it says yes and refuses, under confidential
// computing it says no or refuses late, with a sick fabric manager it never answers). So this binds
// for real, and watches each step.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>

#include "base/clock.hpp"
#include "base/cuda/types.hpp"
#include "bootstrap/peers.hpp"
#include "transport/cuda/segments.hpp"

namespace lockstep::cuda {

struct MulticastParts;

class Multicast {
 public:
  /// Collective, on segments of all these ranks. Each call of the driver may take `patience`, and
  /// no more than half of what is left until `deadline`. Throws only what Peers' collectives do;
  /// what the driver refuses on any rank is the reason why there is none on all. A call that has
  /// not returned keeps a thread and this rank's segment for itself, for as long as it takes.
  Multicast(Peers& peers, const Segments& segments, Deadline deadline,
            Clock::duration patience = std::chrono::seconds(10));

  /// Of all segments at once, segments.bytes() long; 0: there is none.
  DevicePtr base() const noexcept;
  /// "multimem on a multicast object of 8 GPUs", or "emulated by a loop over peers, because ..".
  const std::string& describe() const noexcept { return description_; }

 private:
  std::shared_ptr<const MulticastParts> parts_;  ///< nullptr: there is none
  std::string description_;
};

/// Why these ranks cannot have it, as far as that is known beforehand; empty: it is to be tried.
/// `virtualMemory`: their segments are the driver's virtual memory.
std::string whyNoMulticast(std::span<const Member> members, bool virtualMemory);

}  // namespace lockstep::cuda
