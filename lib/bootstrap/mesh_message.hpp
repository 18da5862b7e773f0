// One message over a link between two ranks: bytes, and a descriptor that may go with them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "bootstrap/rank_set.hpp"
#include "bootstrap/unix_mesh.hpp"

namespace lockstep {

/// What a note says; see the functions that send it.
enum class NoteKind : std::uint32_t {
  part,       ///< of a contribution to an all-gather; its bytes follow
  missing,    ///< I gave up an all-gather: `sets[0]` had not come
  socket,     ///< our connection in a new group; the descriptor goes with it
  proposal,   ///< in an agreement of survivors, what I know
  decision,   ///< in an agreement of survivors, what is settled
  surrender,  ///< I gave up an agreement of survivors: `sets[0]` did not answer
};

/// How every message over a link begins, but for those of exchangeFds. In the machine's byte order:
/// ranks share one host.
struct MeshNote {
  static constexpr std::uint32_t kMagic = 0x324d534c;  // "LSM2"

  std::uint32_t magic = kMagic;
  NoteKind kind{};
  std::uint32_t from = 0;
  std::uint32_t round = 0;
  std::uint64_t number = 0;  ///< which all-gather, group or agreement
  std::uint64_t bytes = 0;   ///< of the whole contribution
  std::array<RankSet, 3> sets{};
};

enum class Sent { yes, full, tooManyInFlight };

/// Sends `bytes`, and `fd` unless it is empty, without waiting. Throws peerDied, naming `to`.
Sent sendMessage(const Link& link, int to, std::span<const std::byte> bytes, const Fd& fd = Fd());

/// What came over a link.
struct Received {
  enum class Status { nothing, message, ended };
  Status status = Status::nothing;
  std::size_t bytes = 0;
  Fd fd;
};
/// Takes one message without waiting; what does not fit into `room` is lost. `peek`: leaves it
/// there.
Received receiveMessage(const Link& link, std::span<std::byte> room, bool peek = false);

/// The note that waits in a link, if there is one; it stays there. What is no note comes out with
/// another magic.
struct Waiting {
  Received::Status status = Received::Status::nothing;
  MeshNote note;
};
Waiting peekNote(const Link& link);

/// Messages of one link that may be dropped in a row: whoever floods it does not keep a wait from
/// its deadline.
inline constexpr int kMostDropped = 64;

/// Takes a message away unread.
void discardMessage(const Link& link);

/// Waits until a link of `unreceived` has something, or one of `unsent` has room; false if neither
/// came about. No more than a moment if `inFlight`: while the user's share of descriptors in flight
/// is used up, no event tells when that ends.
bool waitForLinks(std::span<const Link> links, RankSet unsent, RankSet unreceived, bool inFlight,
                  Deadline deadline);

}  // namespace lockstep
