// How ranks agree on who is gone while more of them may die: flooding in rounds, with early
// decision. Pure: no sockets, no clock.
#pragma once

#include <array>
#include <cstdint>

#include "bootstrap/rank_set.hpp"

namespace lockstep {

/// What is agreed on: sets that only grow.
struct Verdict {
  RankSet gone = 0;      ///< whose process or communicator is no more
  RankSet spoilt = 0;    ///< who could not make the new group, perhaps because others went
  RankSet hopeless = 0;  ///< who could not, and would not the next time either

  void merge(const Verdict& other) {
    gone |= other.gone;
    spoilt |= other.spoilt;
    hopeless |= other.hopeless;
  }
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

/// One rank's side. In each round it sends note() to all participants, then waits for the note of
/// each, or for its end. What a rank sent before its end must be heard first, and who is lost stays
/// lost.
///
/// All ranks that do not die decide the same, and what each of them proposed is in it. A rank that
/// hears from the same ranks in two rounds running knows all that anyone alive knows: whoever was
/// missing in the first could not speak to anybody in the second. So a round without a death is the
/// last (the first, if nobody was missing), and its decision goes to all, before this rank goes on.
class Agreement {
 public:
  /// `participants`: the others.
  Agreement(RankSet participants, const Verdict& mine)
      : participants_(participants), lastHeard_(participants), known_(mine), said_(mine) {}

  struct Note {
    std::uint32_t round = 1;
    bool decided = false;
    Verdict verdict;
  };
  /// What to send to participants(), once for each round and once when decided.
  Note note() const { return {round_, decided_, said_}; }
  /// Those that are not lost.
  RankSet participants() const { return participants_; }
  /// Whose note of this round, or end, is still to come. Read nobody else's.
  RankSet awaited() const { return decided_ ? 0 : participants_ & ~heard_; }
  bool decided() const { return decided_; }
  /// The decision, once decided.
  const Verdict& verdict() const { return said_; }

  void hear(int from, const Note& note) {
    if (decided_) return;
    if (note.decided) return decide(note.verdict);
    heard_ |= rankBit(from);
    known_.merge(note.verdict);
  }
  void lose(int rank) { participants_ &= ~rankBit(rank); }

  /// When nobody is awaited: decides, or begins the next round. Then note() is to be sent.
  void advance() {
    if (decided_) return;
    if (heard_ == lastHeard_) return decide(known_);
    lastHeard_ = heard_;
    heard_ = 0;
    said_ = known_;
    ++round_;
  }

 private:
  void decide(const Verdict& verdict) {
    decided_ = true;
    said_ = verdict;
  }

  RankSet participants_;
  RankSet lastHeard_;  ///< in the round before
  RankSet heard_ = 0;  ///< in this one
  Verdict known_;
  Verdict said_;  ///< as of the beginning of this round: everyone gets the same
  std::uint32_t round_ = 1;
  bool decided_ = false;
};

}  // namespace lockstep
