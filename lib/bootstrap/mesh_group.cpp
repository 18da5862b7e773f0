#include "bootstrap/mesh_group.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <optional>

#include <sys/socket.h>

#include "base/fail.hpp"
#include "bootstrap/mesh_message.hpp"
#include "bootstrap/socket.hpp"

namespace lockstep {

namespace {

using namespace std::chrono_literals;

/// How often a wait looks around.
constexpr auto kLook = 50ms;

/// The two ends of a new connection.
struct SocketPair {
  SocketPair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
      failErrno("cannot connect two ranks anew");
    mine = Fd(ends[0]);
    theirs = Fd(ends[1]);
  }
  Fd mine, theirs;
};

/// Says that its sender does not make group `number` any more, but looks for survivors.
bool hasGivenUp(const MeshNote& said, std::uint64_t number) {
  const bool proposes = said.kind == NoteKind::proposal || said.kind == NoteKind::decision;
  return said.magic == MeshNote::kMagic &&
         ((proposes && said.number > number) ||
          (said.kind == NoteKind::surrender && said.number >= number));
}

/// The socket that `from` passes for this group, once it has come. What is left over from exchanges
/// that failed, or from earlier groups, is dropped.
std::optional<Fd> takeSocket(const Link& link, int from, std::uint64_t number, bool gone) {
  for (int dropped = 0; dropped < kMostDropped; ++dropped) {
    const Waiting waiting = peekNote(link);
    if (waiting.status == Received::Status::ended ||
        (waiting.status == Received::Status::nothing && gone))
      throw Error(ErrorCode::peerDied, from, {}, fmt::format("rank {} is gone", from));
    if (waiting.status == Received::Status::nothing) return std::nullopt;
    const MeshNote& said = waiting.note;
    // It stays there: whoever asks for survivors next wants to read it.
    if (hasGivenUp(said, number))
      throw Error(ErrorCode::aborted, from, {},
                  fmt::format("rank {} has given up making this group", from));
    if (said.magic != MeshNote::kMagic || said.kind != NoteKind::socket || said.number != number) {
      discardMessage(link);
      continue;
    }
    MeshNote note;
    Received got = receiveMessage(link, std::as_writable_bytes(std::span(&note, 1)));
    if (!got.fd)
      fail(ErrorCode::system,
           "cannot take over a socket of rank {}: this process has too many open files; raise "
           "'ulimit -n'",
           from);
    return std::move(got.fd);
  }
  return std::nullopt;
}

}  // namespace

int placeIn(std::span<const int> members, int rank) {
  return static_cast<int>(std::ranges::find(members, rank) - members.begin());
}

std::vector<Link> connectGroup(std::span<const Link> links, int rank, std::span<const int> members,
                               std::uint64_t number, const std::function<void()>& check,
                               Deadline deadline) {
  const auto old = [&](std::size_t i) { return static_cast<std::size_t>(members[i]); };
  const auto me = static_cast<std::size_t>(placeIn(members, rank));
  std::vector<Link> group(members.size());
  std::vector<Fd> gifts(members.size());  // what is still to be passed
  RankSet unsent = 0, unreceived = 0;     // in the old numbers
  for (std::size_t i = 0; i < members.size(); ++i) {
    group[i].process = links[old(i)].process;
    group[i].pid = links[old(i)].pid;
    if (i < me) unreceived |= rankBit(members[i]);
    if (i <= me) continue;
    SocketPair pair;
    group[i].socket = std::move(pair.mine);
    gifts[i] = std::move(pair.theirs);
    unsent |= rankBit(members[i]);
  }
  const MeshNote note{
      .kind = NoteKind::socket, .from = static_cast<std::uint32_t>(rank), .number = number};
  for (bool quiet = false;;) {
    bool inFlight = false;
    // Before looking for messages: what a rank sent before it went is there to be read.
    const RankSet gone = quiet ? goneRanks(links) : 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const int r = members[i];
      if ((unreceived & rankBit(r)) != 0)
        if (auto socket = takeSocket(links[old(i)], r, number, (gone & rankBit(r)) != 0)) {
          group[i].socket = std::move(*socket);
          unreceived &= ~rankBit(r);
        }
      if ((unsent & rankBit(r)) == 0 || inFlight) continue;
      const Sent sent = sendMessage(links[old(i)], r, std::as_bytes(std::span(&note, 1)), gifts[i]);
      inFlight = sent == Sent::tooManyInFlight;
      if (sent != Sent::yes) continue;
      gifts[i].reset();
      unsent &= ~rankBit(r);
    }
    if ((unsent | unreceived) == 0) return group;
    if (deadline.passed())
      throw Error(ErrorCode::timeout, std::countr_zero(unsent | unreceived), {},
                  fmt::format("{} {} not connected to rank {} anew", describe(unsent | unreceived),
                              have(unsent | unreceived), rank));
    check();
    quiet =
        !waitForLinks(links, unsent, unreceived, inFlight, sooner(deadline, Deadline::in(kLook)));
  }
}

}  // namespace lockstep
