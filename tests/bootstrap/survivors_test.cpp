// Ranks that agree on who is gone while more of them die: played with random orders and deaths.
#include "bootstrap/survivors.hpp"

#include <algorithm>
#include <bit>
#include <deque>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace lockstep::test {
namespace {

/// A world whose every step is drawn: who goes on, what it hears, who dies in the middle of telling
/// the others.
class Play {
 public:
  Play(int world, int deaths, std::uint64_t seed)
      : random_(seed), deaths_(deaths), inbox_(std::size_t(world * world)) {
    for (int r = 0; r < world; ++r) {
      const Verdict mine{draw(8) == 0 ? RankSet{random_()} & allRanks(world) & ~rankBit(r) : 0,
                         draw(4) == 0 ? rankBit(r) : 0, 0};
      proposals_.push_back(mine);
      ranks_.push_back({Agreement(allRanks(world) & ~rankBit(r), mine)});
      startTelling(r);
    }
  }

  void run() {
    for (int steps = 0; steps < 1000000; ++steps) {
      const RankSet busy = busyRanks();
      if (busy == 0) return;
      step(pick(busy));
    }
    FAIL() << "it does not end";
  }

  void check() const {
    const Verdict* decision = nullptr;
    for (std::size_t r = 0; r < ranks_.size(); ++r) {
      if (ranks_[r].dead) continue;
      ASSERT_TRUE(ranks_[r].agreement.decided());
      const Verdict& mine = ranks_[r].agreement.verdict();
      EXPECT_TRUE(decision == nullptr || mine == *decision);
      decision = &mine;
      Verdict both = mine;
      both.merge(proposals_[r]);
      EXPECT_EQ(both, mine) << "the proposal of rank " << r << " was lost";
      longest = std::max(longest, ranks_[r].agreement.note().round);
    }
  }
  static inline std::uint32_t longest = 0;

 private:
  struct Rank {
    Agreement agreement;
    Agreement::Note telling{};
    RankSet untold = 0;
    bool dead = false;
  };

  std::uint64_t draw(std::uint64_t n) { return random_() % n; }
  int pick(RankSet ranks) {
    for (auto skip = draw(static_cast<std::uint64_t>(std::popcount(ranks))); skip > 0; --skip)
      ranks &= ranks - 1;
    return std::countr_zero(ranks);
  }
  std::deque<Agreement::Note>& inbox(int from, int to) {
    return inbox_[std::size_t(from) * ranks_.size() + std::size_t(to)];
  }
  RankSet busyRanks() const {
    RankSet busy = 0;
    for (std::size_t r = 0; r < ranks_.size(); ++r)
      if (!ranks_[r].dead && (ranks_[r].untold != 0 || !ranks_[r].agreement.decided()))
        busy |= rankBit(static_cast<int>(r));
    return busy;
  }
  void startTelling(int r) {
    Rank& rank = ranks_[std::size_t(r)];
    rank.telling = rank.agreement.note();
    rank.untold = rank.agreement.participants();
  }

  void step(int r) {
    Rank& rank = ranks_[std::size_t(r)];
    if (deaths_ > 0 && draw(12) == 0) {
      --deaths_;
      rank.dead = true;
      return;
    }
    if (rank.untold != 0) {
      const int to = pick(rank.untold);
      inbox(r, to).push_back(rank.telling);
      rank.untold &= ~rankBit(to);
      return;
    }
    if (rank.agreement.awaited() == 0) {
      rank.agreement.advance();
      return startTelling(r);
    }
    const int from = pick(rank.agreement.awaited());
    if (!inbox(from, r).empty()) {
      const Agreement::Note note = inbox(from, r).front();
      inbox(from, r).pop_front();
      EXPECT_TRUE(note.decided || note.round == rank.agreement.note().round);
      rank.agreement.hear(from, note);
      if (rank.agreement.decided()) startTelling(r);
    } else if (ranks_[std::size_t(from)].dead) {
      rank.agreement.lose(from);
    }
  }

  std::mt19937_64 random_;
  int deaths_;
  std::vector<std::deque<Agreement::Note>> inbox_;
  std::vector<Verdict> proposals_;
  std::vector<Rank> ranks_;
};

TEST(Survivors, AgreeWhoeverDiesWhen) {
  std::uint64_t seed = 0;
  for (int world = 1; world <= 8; ++world)
    for (int deaths = 0; deaths < world; ++deaths)
      for (int repeat = 0; repeat < 1000; ++repeat) {
        SCOPED_TRACE(++seed);
        Play play(world, deaths, seed);
        play.run();
        play.check();
        if (HasFailure()) return;
      }
  EXPECT_GT(Play::longest, 2u) << "no run was disturbed";
}

TEST(Survivors, NeedOneRoundWhenNobodyIsMissing) {
  Agreement agreement(0b110, {.gone = 0});
  agreement.hear(1, {.round = 1, .decided = false, .verdict = {.gone = 0b1000}});
  EXPECT_EQ(agreement.awaited(), 0b100u);
  agreement.hear(2, {.round = 1, .decided = false, .verdict = {}});
  agreement.advance();
  EXPECT_TRUE(agreement.decided());
  EXPECT_EQ(agreement.verdict().gone, 0b1000u);
}

}  // namespace
}  // namespace lockstep::test
