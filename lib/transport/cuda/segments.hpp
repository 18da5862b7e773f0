// Device memory that all ranks map: every rank has one segment of the same size on its GPU, and
// every rank's kernels read and write the segments of all. What lies in a segment is the executor's
// business.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/cuda/context.hpp"
#include "bootstrap/peers.hpp"
#include "transport/cuda/members.hpp"
#include "transport/cuda/ways.hpp"

namespace lockstep::cuda {

class Segments {
 public:
  /// Collective. A zeroed segment of at least `bytes` (the same on all ranks) on the GPU of each
  /// rank's context; ranks may share a GPU. All ranks succeed, or all throw the same, which names
  /// the lowest rank that could not do its part, and nothing is left behind: mismatch (`bytes`
  /// differ), invalidArgument (more than any GPU has), PeersUnreachable (between some GPUs there is
  /// no peer access), unsupported, system (the driver's words). Also throws what Peers' collectives
  /// do: timeout, peerDied, ..
  Segments(Peers& peers, const PrimaryContext& context, std::uint64_t bytes, Deadline deadline);

  /// Where a rank's segment is for kernels of this rank's GPU.
  DevicePtr base(int rank) const { return views_[static_cast<std::size_t>(rank)].base; }
  DevicePtr mine() const { return base(rank_); }
  /// Of each; `bytes` rounded up to what all GPUs can map, and a multicast object bind.
  std::uint64_t bytes() const noexcept { return bytes_; }
  /// How they got here: "VMM, POSIX fds", "VMM, fabric handles, because ..", "CUDA IPC, because
  /// ..".
  const std::string& describe() const noexcept { return description_; }

  /// Unmaps the other ranks' segments. With CUDA IPC all ranks have to before the owner of one
  /// gives it back.
  void dropOthers() noexcept;

  const PrimaryContext& context() const noexcept { return context_; }
  /// All ranks, as they told each other.
  std::span<const Member> members() const noexcept { return members_; }
  /// This rank's memory as a multicast object takes it; nullptr with CUDA IPC.
  std::shared_ptr<const Allocation> memory() const {
    return views_[static_cast<std::size_t>(rank_)].memory;
  }

 private:
  void survey(Peers& peers, std::uint64_t bytes, Deadline deadline);
  void map(Peers& peers, Deadline deadline);
  int rank_;
  PrimaryContext context_;
  std::vector<Member> members_;
  std::uint64_t bytes_ = 0;
  std::string description_;
  /// By rank. Kernels of other ranks may use mine until they have dropped it: whoever destroys this
  /// has met the others before. With CUDA IPC the driver asks for no less.
  std::vector<SegmentView> views_;
};

}  // namespace lockstep::cuda
