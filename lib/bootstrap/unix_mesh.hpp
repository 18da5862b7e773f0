// A connected Unix socket between every two ranks of a host: what descriptors travel over, and what
// tells that a rank is gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "bootstrap/join_key.hpp"
#include "bootstrap/rank_set.hpp"
#include "bootstrap/token.hpp"

namespace lockstep {

/// How a rank is reached; it tells the others by way of the meeting point.
struct MeshAddress {
  Token name;    ///< its socket is "lockstep-<hex>" in the abstract namespace
  Token secret;  ///< known to the ranks of this communicator only
};

/// This rank's end of the connection with one other.
struct Link {
  Fd socket;                          ///< SOCK_SEQPACKET
  std::shared_ptr<const Fd> process;  ///< pidfd, shared by all links to it; null if there is none
  pid_t pid = -1;                     ///< as seen from here; -1 in another pid namespace

  int pidfd() const noexcept { return process == nullptr ? -1 : process->get(); }
};

/// The way in, open until every rank has come.
class MeshDoor {
 public:
  /// Listens. Throws system.
  MeshDoor();
  const MeshAddress& address() const { return address_; }

  /// Connects with every other rank; `all` by rank, with address() at `rank`. Returns links by
  /// rank, an empty one for itself. Only processes of this user that know the secrets get in, and
  /// the key if there is one: the secrets came by the meeting point, which may have been heard.
  /// `check` is called now and then while it waits, and may throw. Throws timeout, bootstrap.
  std::vector<Link> connect(int rank, std::span<const MeshAddress> all, const JoinKey* key,
                            const std::function<void()>& check, Deadline deadline);

 private:
  MeshAddress address_;
  Fd listener_;
};

/// Sends `mine` over every link and returns what came over each, by rank. An empty descriptor
/// arrives as an empty one. `sequence` counts the calls, and is compared. `check` is called now and
/// then while it waits, and may throw. Throws timeout, peerDied, bootstrap, system.
std::vector<Fd> exchangeFds(std::span<const Link> links, int rank, std::uint32_t sequence,
                            const Fd& mine, const std::function<void()>& check, Deadline deadline);

/// Ranks whose end is closed or whose process has ended. A system call, no allocation.
RankSet goneRanks(std::span<const Link> links) noexcept;

}  // namespace lockstep
