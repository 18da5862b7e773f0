// The links of one rank to all others of its world, and what it does with them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <sys/types.h>

#include "base/clock.hpp"
#include "bootstrap/frame.hpp"
#include "bootstrap/peers.hpp"
#include "bootstrap/unix_mesh.hpp"

namespace lockstep {

class Mesh {
 public:
  using Look = std::function<void()>;

  /// `links` by rank, without a socket for this one.
  Mesh(std::vector<Link> links, int rank);
  /// Ends the connections, whoever else holds their descriptors (a forked child, say).
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  int rank() const { return rank_; }
  int worldSize() const { return static_cast<int>(links_.size()); }
  pid_t pidOf(int rank) const { return links_[static_cast<std::size_t>(rank)].pid; }
  int pidfdOf(int rank) const { return links_[static_cast<std::size_t>(rank)].pidfd(); }
  RankSet gone() const noexcept { return goneRanks(links_); }

  // Collective, one at a time; as those of Peers.
  std::vector<Bytes> allGather(std::span<const std::byte> mine, const Look& look,
                               Deadline deadline);
  std::vector<Fd> exchangeFds(const Fd& mine, const Look& look, Deadline deadline);
  std::unique_ptr<Peers> group(std::span<const int> members, const Look& look, Deadline deadline);
  void shrink(const Peers::Build& build, const Look& look, Deadline deadline);

 private:
  std::vector<Link> links_;
  int rank_;
  pid_t owner_;                  ///< a forked child has the descriptors too
  std::uint32_t exchanges_ = 0;  ///< collective calls so far
  std::uint32_t shrinks_ = 0;    ///< of them all, as far as this rank has heard
};

/// Peers over links alone, with no meeting point.
std::unique_ptr<Peers> peersOver(std::vector<Link> links, int rank);

}  // namespace lockstep
