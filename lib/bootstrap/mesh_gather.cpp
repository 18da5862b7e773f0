#include "bootstrap/mesh_gather.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>

#include "base/fail.hpp"
#include "bootstrap/mesh_message.hpp"
#include "bootstrap/socket.hpp"

namespace lockstep {

namespace {

using namespace std::chrono_literals;

/// How often a wait looks around.
constexpr auto kLook = 50ms;
/// Bytes of a contribution in one message: many times smaller than a socket's buffer.
constexpr std::size_t kPart = std::size_t{32} << 10;

/// One rank's side of one all-gather.
class Gathering {
 public:
  Gathering(std::span<const Link> links, int rank, std::uint32_t sequence,
            std::span<const std::byte> mine)
      : links_(links),
        rank_(rank),
        sequence_(sequence),
        mine_(mine),
        all_(links.size()),
        sent_(links.size(), 0),
        unsent_(all()),
        unreceived_(unsent_),
        room_(sizeof(MeshNote) + kPart) {
    all_[static_cast<std::size_t>(rank)].assign(mine.begin(), mine.end());
  }

  std::vector<Bytes> run(const std::function<void()>& check, Deadline deadline) {
    for (bool quiet = false;;) {
      // Ends and surrenders are looked for when nothing else happens: closed links wake by
      // themselves. Before looking for messages: what a rank sent before it went is there to be
      // read.
      const RankSet gone = quiet ? goneRanks(links_) : 0;
      if (quiet) forRanks(all() & ~unreceived_, [&](int r) { hearGivenUp(r); });
      forRanks(unreceived_, [&](int r) { receive(r, (gone & rankBit(r)) != 0); });
      forRanks(unsent_, [&](int r) { send(r); });
      if ((unsent_ | unreceived_) == 0) return std::move(all_);
      if (deadline.passed()) giveUp();
      check();
      quiet =
          !waitForLinks(links_, unsent_, unreceived_, false, sooner(deadline, Deadline::in(kLook)));
    }
  }

 private:
  template <class Visit>
  static void forRanks(RankSet ranks, Visit visit) {
    for (; ranks != 0; ranks &= ranks - 1) visit(std::countr_zero(ranks));
  }
  RankSet all() const { return allRanks(static_cast<int>(links_.size())) & ~rankBit(rank_); }
  static std::size_t at(int rank) { return static_cast<std::size_t>(rank); }

  MeshNote note(NoteKind kind) const {
    return {.kind = kind,
            .from = static_cast<std::uint32_t>(rank_),
            .number = sequence_,
            .bytes = mine_.size()};
  }

  /// As much as there is room for. An empty contribution is one part too.
  void send(int to) {
    const MeshNote head = note(NoteKind::part);
    std::memcpy(room_.data(), &head, sizeof head);
    do {
      const auto part = mine_.subspan(sent_[at(to)]);
      const std::size_t bytes = std::min(part.size(), kPart);
      if (bytes != 0) std::memcpy(room_.data() + sizeof head, part.data(), bytes);
      if (sendMessage(links_[at(to)], to, std::span(room_).first(sizeof head + bytes)) != Sent::yes)
        return;
      sent_[at(to)] += bytes;
    } while (sent_[at(to)] < mine_.size());
    unsent_ &= ~rankBit(to);
  }

  /// Who has given its part may have given up since. It may be in the next call, too: that stays.
  void hearGivenUp(int from) const {
    const Waiting waiting = peekNote(links_[at(from)]);
    if (waiting.status == Received::Status::message && waiting.note.magic == MeshNote::kMagic &&
        waiting.note.kind == NoteKind::missing && waiting.note.number == sequence_)
      failMissing(waiting.note.sets[0]);
  }

  /// Whatever has come, up to the end of the contribution: what follows is of the next call.
  void receive(int from, bool gone) {
    while ((unreceived_ & rankBit(from)) != 0) {
      const Received got = receiveMessage(links_[at(from)], room_);
      if (got.status == Received::Status::ended ||
          (got.status == Received::Status::nothing && gone))
        throw Error(ErrorCode::peerDied, from, {}, fmt::format("rank {} is gone", from));
      if (got.status == Received::Status::nothing) return;
      take(from, std::span(room_).first(got.bytes));
    }
  }

  void take(int from, std::span<const std::byte> message) {
    MeshNote head;
    head.magic = 0;
    if (message.size() >= sizeof head) std::memcpy(&head, message.data(), sizeof head);
    if (head.magic == MeshNote::kMagic && head.kind == NoteKind::missing) failMissing(head.sets[0]);
    Bytes& theirs = all_[at(from)];
    const auto part = message.subspan(std::min(message.size(), sizeof head));
    if (head.magic != MeshNote::kMagic || head.kind != NoteKind::part || head.number != sequence_ ||
        head.bytes > kMaxContribution || head.bytes < theirs.size() ||
        part.size() != std::min<std::size_t>(kPart, head.bytes - theirs.size()))
      fail(ErrorCode::bootstrap, "rank {} sent something else than its part of exchange number {}",
           from, sequence_);
    theirs.insert(theirs.end(), part.begin(), part.end());
    if (theirs.size() == head.bytes) unreceived_ &= ~rankBit(from);
  }

  /// Tells the others, so that all name the same ranks.
  [[noreturn]] void giveUp() {
    const RankSet missing = unreceived_ != 0 ? unreceived_ : unsent_;
    MeshNote said = note(NoteKind::missing);
    said.sets[0] = missing;
    for (int r = 0; r < static_cast<int>(links_.size()); ++r) {
      if (r == rank_) continue;
      try {
        sendMessage(links_[at(r)], r, std::as_bytes(std::span(&said, 1)));
      } catch (const Error&) {
        // It has gone itself.
      }
    }
    failMissing(missing);
  }

  [[noreturn]] void failMissing(RankSet missing) const {
    missing &= all();
    throw Error(ErrorCode::timeout, missing == 0 ? -1 : std::countr_zero(missing), {},
                fmt::format("waited for an exchange of all ranks: {} of {} {} not taken part",
                            describe(missing), links_.size(), have(missing)));
  }

  std::span<const Link> links_;
  int rank_;
  std::uint32_t sequence_;
  std::span<const std::byte> mine_;
  std::vector<Bytes> all_;
  std::vector<std::size_t> sent_;  ///< bytes of mine_, by rank
  RankSet unsent_, unreceived_;
  Bytes room_;  ///< of one message
};

}  // namespace

std::vector<Bytes> gatherOverLinks(std::span<const Link> links, int rank, std::uint32_t sequence,
                                   std::span<const std::byte> mine,
                                   const std::function<void()>& check, Deadline deadline) {
  if (mine.size() > kMaxContribution)
    fail(ErrorCode::invalidArgument, "an all-gather takes at most {} bytes from a rank, not {}",
         kMaxContribution, mine.size());
  return Gathering(links, rank, sequence, mine).run(check, deadline);
}

}  // namespace lockstep
