#include "bootstrap/mesh_shrink.hpp"

#include <bit>
#include <chrono>
#include <exception>
#include <optional>

#include "base/fail.hpp"
#include "bootstrap/mesh_group.hpp"
#include "bootstrap/mesh_message.hpp"
#include "bootstrap/socket.hpp"
#include "bootstrap/survivors.hpp"

namespace lockstep {

namespace {

using namespace std::chrono_literals;

/// How often a wait looks around.
constexpr auto kLook = 50ms;

template <class Visit>
void forRanks(RankSet ranks, Visit visit) {
  for (; ranks != 0; ranks &= ranks - 1) visit(std::countr_zero(ranks));
}

/// One call of one rank: agrees, builds, agrees on how that went, and so on. Agreements are
/// numbered through: the call in the upper half, its agreements in the lower.
class Shrinking {
 public:
  Shrinking(std::span<const Link> links, int rank, std::uint32_t& calls,
            const std::function<void()>& check, Deadline deadline)
      : links_(links),
        rank_(rank),
        calls_(calls),
        check_(check),
        deadline_(deadline),
        all_(allRanks(static_cast<int>(links.size()))),
        others_(all_ & ~rankBit(rank)) {}

  void run(const LinksBuild& build) {
    startCall(calls_ + 1);
    for (;;) {
      const RankSet before = gone_;
      const std::optional<Verdict> agreed = agree(mine_);
      if (!agreed) continue;  // another rank calls it anew
      checkVerdict(*agreed);
      const bool grown = agreed->gone != before;
      gone_ = agreed->gone;
      if (built_ && !grown && agreed->spoilt == 0) return hearOut();
      if (deadline_.passed()) giveUp(0);  // else one who calls all tries spoilt keeps us
      tryToBuild(build);
    }
  }

 private:
  static std::size_t at(int rank) { return static_cast<std::size_t>(rank); }

  void startCall(std::uint32_t call) {
    calls_ = call;
    number_ = std::uint64_t{call} << 32;
    gone_ = 0;
    built_ = false;
    mine_ = {.gone = goneRanks(links_)};
  }

  /// Nothing: a rank has begun a later call, which is this rank's too now.
  std::optional<Verdict> agree(const Verdict& mine) {
    Agreement agreement(others_ & ~gone_, mine);
    concluded_ = 0;
    tell(agreement);
    for (bool quiet = false; !agreement.decided();) {
      // Ends and surrenders are looked for when nothing else happens: closed links wake by
      // themselves. Before looking for messages: what a rank sent before it went is there to be
      // read.
      const RankSet gone = quiet ? goneRanks(links_) : 0;
      if (quiet)
        forRanks(agreement.participants() & ~agreement.awaited(), [&](int r) { hearSurrender(r); });
      std::optional<std::uint32_t> later;
      forRanks(agreement.awaited(), [&](int r) {
        if (!later) later = listen(agreement, r, (gone & rankBit(r)) != 0);
      });
      if (later && !deadline_.passed()) {
        startCall(*later);
        return std::nullopt;
      }
      if (agreement.awaited() == 0) {
        agreement.advance();
        tell(agreement);
        continue;
      }
      if (deadline_.passed()) giveUp(agreement.awaited());
      check_();
      quiet = !waitForLinks(links_, 0, agreement.awaited(), false,
                            sooner(deadline_, Deadline::in(kLook)));
    }
    unheard_ = agreement.participants() & ~concluded_;
    return agreement.verdict();
  }

  /// All have settled the same, and say so. That is read, so that the links of a world in which
  /// nothing has failed are as they were.
  void hearOut() {
    for (bool quiet = false; unheard_ != 0 && !deadline_.passed();) {
      const RankSet gone = quiet ? goneRanks(links_) : 0;
      forRanks(unheard_, [&](int r) {
        if (hasConcluded(r, (gone & rankBit(r)) != 0)) unheard_ &= ~rankBit(r);
      });
      if (unheard_ == 0) return;
      check_();
      quiet = !waitForLinks(links_, 0, unheard_, false, sooner(deadline_, Deadline::in(kLook)));
    }
  }

  bool hasConcluded(int from, bool gone) const {
    for (int dropped = 0; dropped < kMostDropped; ++dropped) {
      const Waiting waiting = peekNote(links_[at(from)]);
      if (waiting.status != Received::Status::message)
        return gone || waiting.status == Received::Status::ended;
      const MeshNote& said = waiting.note;
      if (said.magic == MeshNote::kMagic && said.number > number_) return true;  // of later
      discardMessage(links_[at(from)]);
      if (said.magic == MeshNote::kMagic && said.kind == NoteKind::decision &&
          said.number == number_)
        return true;
    }
    return false;
  }

  MeshNote note(NoteKind kind) const {
    return {.kind = kind, .from = static_cast<std::uint32_t>(rank_), .number = number_};
  }

  void tell(Agreement& agreement) {
    const Agreement::Note said = agreement.note();
    MeshNote message = note(said.decided ? NoteKind::decision : NoteKind::proposal);
    message.round = said.round;
    message.sets = {said.verdict.gone, said.verdict.spoilt, said.verdict.hopeless};
    forRanks(agreement.participants(), [&](int r) { send(r, message); });
  }

  /// To a rank that may have gone. It does not wait long: a link holds hundreds of notes.
  void send(int to, const MeshNote& message) const {
    try {
      while (sendMessage(links_[at(to)], to, std::as_bytes(std::span(&message, 1))) != Sent::yes) {
        if (deadline_.passed()) return;
        check_();
        waitForLinks(links_, rankBit(to), 0, false, sooner(deadline_, Deadline::in(kLook)));
        if ((goneRanks(links_) & rankBit(to)) != 0) return;
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::peerDied) throw;  // and that shows
    }
  }

  bool isSurrender(const MeshNote& said) const {
    return said.magic == MeshNote::kMagic && said.kind == NoteKind::surrender &&
           said.number >> 32 == calls_;
  }

  /// Whoever has been heard in this round may have given up since.
  void hearSurrender(int from) const {
    const Waiting waiting = peekNote(links_[at(from)]);
    if (waiting.status == Received::Status::message && isSurrender(waiting.note))
      failMissing(waiting.note.sets[0] & others_);
  }

  /// Takes what has come from an awaited rank, up to its note of this round. Returns the number of
  /// a later call that it has begun.
  std::optional<std::uint32_t> listen(Agreement& agreement, int from, bool gone) {
    for (int dropped = 0; dropped < kMostDropped && (agreement.awaited() & rankBit(from)) != 0;
         ++dropped) {
      const Waiting waiting = peekNote(links_[at(from)]);
      if (waiting.status == Received::Status::ended ||
          (waiting.status == Received::Status::nothing && gone)) {
        agreement.lose(from);
        return std::nullopt;
      }
      if (waiting.status == Received::Status::nothing) return std::nullopt;
      const MeshNote& said = waiting.note;
      const bool proposes = said.kind == NoteKind::proposal || said.kind == NoteKind::decision;
      if (said.magic == MeshNote::kMagic && proposes && said.number >> 32 > calls_)
        return static_cast<std::uint32_t>(said.number >> 32);  // it stays, to be heard then
      discardMessage(links_[at(from)]);
      if (said.magic != MeshNote::kMagic) continue;  // of an exchange that failed
      if (isSurrender(said)) failMissing(said.sets[0] & others_);
      if (!proposes || said.number != number_) continue;  // of before
      if (said.kind == NoteKind::decision) concluded_ |= rankBit(from);
      agreement.hear(from,
                     {.round = said.round,
                      .decided = said.kind == NoteKind::decision,
                      .verdict = {said.sets[0] & all_, said.sets[1] & all_, said.sets[2] & all_}});
    }
    return std::nullopt;
  }

  /// Tells the others, so that all name the same ranks, or none: all answered, but too late for
  /// (another) try.
  [[noreturn]] void giveUp(RankSet missing) {
    MeshNote message = note(NoteKind::surrender);
    message.sets[0] = missing;
    forRanks(others_ & ~gone_, [&](int r) { send(r, message); });
    failMissing(missing);
  }

  [[noreturn]] static void failMissing(RankSet missing) {
    if (missing == 0)
      fail(ErrorCode::timeout,
           "the time was over before all ranks that live had built the smaller communicator");
    throw Error(
        ErrorCode::timeout, std::countr_zero(missing), {},
        fmt::format("{} {} not answered: every rank that lives must call shrink, or destroy "
                    "its communicator",
                    describe(missing), have(missing)));
  }

  void checkVerdict(const Verdict& agreed) const {
    if ((agreed.hopeless & rankBit(rank_)) != 0 && error_) std::rethrow_exception(error_);
    if (agreed.hopeless != 0)
      throw Error(
          ErrorCode::aborted, std::countr_zero(agreed.hopeless), {},
          fmt::format("{} could not go on; its own error says why", describe(agreed.hopeless)));
    if ((agreed.gone & rankBit(rank_)) != 0)
      fail(ErrorCode::bootstrap,
           "the other ranks take this one for gone: its connections were closed");
  }

  void tryToBuild(const LinksBuild& build) {
    std::vector<int> members;
    forRanks(all_ & ~gone_, [&](int r) { members.push_back(r); });
    RankSet spoilt = 0, hopeless = 0;
    try {
      build(connectGroup(links_, rank_, members, number_, check_, deadline_), members);
    } catch (const Error& error) {
      error_ = std::current_exception();
      const bool byOthers =
          error.code() == ErrorCode::peerDied || error.code() == ErrorCode::aborted;
      (byOthers && !deadline_.passed() ? spoilt : hopeless) = rankBit(rank_);
    } catch (...) {
      error_ = std::current_exception();
      hopeless = rankBit(rank_);
    }
    built_ = true;
    ++number_;
    mine_ = {gone_ | goneRanks(links_), spoilt, hopeless};
  }

  std::span<const Link> links_;
  int rank_;
  std::uint32_t& calls_;
  const std::function<void()>& check_;
  Deadline deadline_;
  RankSet all_, others_;
  std::uint64_t number_ = 0;  ///< of the agreement under way, and of the group that it leads to
  RankSet gone_ = 0;          ///< as agreed so far
  RankSet concluded_ = 0;     ///< whose decision in this agreement has been read
  RankSet unheard_ = 0;       ///< whose decision in the last one is still to be read
  bool built_ = false;        ///< this rank has tried to, at least
  Verdict mine_;              ///< to propose next
  std::exception_ptr error_;  ///< of the last try
};

}  // namespace

void shrinkOverLinks(std::span<const Link> links, int rank, std::uint32_t& calls,
                     const LinksBuild& build, const std::function<void()>& check,
                     Deadline deadline) {
  Shrinking(links, rank, calls, check, deadline).run(build);
}

}  // namespace lockstep
