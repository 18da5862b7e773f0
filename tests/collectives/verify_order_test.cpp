// The ground that the verifier stands on, checked by other means: that its static order is what an
// execution does, and that its clocks know that order.
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectives/verify/clocks.hpp"
#include "collectives/verify/verify.hpp"
#include "verify_examples.hpp"

namespace lockstep::schedule {
namespace {

using namespace examples;

/// All ranks take from the rank before and pass on in one operation, around and around.
Schedule fusedRing(int worldSize, int laps) {
  std::vector<Program> programs;
  const Range r{0, 1};
  for (int rank = 0; rank < worldSize; ++rank) {
    const Operand to = via({rank, (rank + 1) % worldSize}, r);
    const Operand from = via({(rank + worldSize - 1) % worldSize, rank}, r);
    Lane lane{move({to}, {in(r)})};
    for (int lap = 0; lap < laps; ++lap) lane.push_back(move({out(r), to}, {from}));
    lane.push_back(move({out(r)}, {from}));
    programs.push_back({{lane}});
  }
  return allReduce("fused ring", worldSize, 1, programs);
}

/// Plays channels with their slots and counters, and no graph: whatever can run, runs, until all is
/// done or nothing can.
class Player {
 public:
  Player(const Schedule& s, std::uint32_t slots, std::uint32_t depth, std::uint32_t tiles)
      : schedule_(s), slots_(slots), depth_(depth), tiles_(tiles) {
    for (const Program& p : s.programs)
      for (const Lane& lane : p.lanes)
        for (const Op& op : lane)
          for (const Operand& o : op.dst)
            if (o.kind == Operand::Kind::channel) ++perTile_[o.channel];
  }

  bool finishes() {
    at_.assign(schedule_.programs.size(), {});
    for (std::size_t r = 0; r < at_.size(); ++r)
      at_[r].assign(tiles_, std::vector<std::size_t>(schedule_.programs[r].lanes.size(), 0));
    for (bool moved = true; moved;) {
      moved = false;
      for (int r = 0; r < schedule_.shape.worldSize; ++r)
        for (std::uint32_t t = 0; t < tiles_; ++t)
          for (std::size_t l = 0; l < schedule_.programs[r].lanes.size(); ++l)
            moved |= advance(r, t, l);
    }
    for (int r = 0; r < schedule_.shape.worldSize; ++r)
      for (std::uint32_t t = 0; t < tiles_; ++t)
        if (!complete(r, t)) return false;
    return true;
  }

 private:
  /// A channel's step: where its message is, or that a reader has taken it.
  using Step = std::pair<Channel, std::uint32_t>;

  bool complete(int r, std::uint32_t t) const {
    for (std::size_t l = 0; l < at_[r][t].size(); ++l)
      if (at_[r][t][l] < schedule_.programs[r].lanes[l].size()) return false;
    return true;
  }

  bool advance(int r, std::uint32_t t, std::size_t l) {
    const Lane& lane = schedule_.programs[r].lanes[l];
    if (at_[r][t][l] == lane.size() || (t >= depth_ && !complete(r, t - depth_))) return false;
    const Op& op = lane[at_[r][t][l]];
    auto sends = sent_, takes = taken_;  // counts as they would be
    for (const Operand& o : op.src)
      if (o.kind == Operand::Kind::channel) {
        const std::uint32_t j = takes[{r, t}][o.channel]++;
        if (!arrived_.contains({o.channel, t * perTile_[o.channel] + j})) return false;
      }
    for (const Operand& o : op.dst)
      if (o.kind == Operand::Kind::channel) {
        const std::uint32_t step = t * perTile_[o.channel] + sends[{r, t}][o.channel]++;
        if (step >= slots_ && readers_[{o.channel, step - slots_}] == 0) return false;
      }
    commit(op, r, t);
    sent_ = std::move(sends);
    taken_ = std::move(takes);
    ++at_[r][t][l];
    return true;
  }

  void commit(const Op& op, int r, std::uint32_t t) {
    auto sends = sent_[{r, t}], takes = taken_[{r, t}];
    for (const Operand& o : op.src)
      if (o.kind == Operand::Kind::channel)
        ++readers_[{o.channel, t * perTile_[o.channel] + takes[o.channel]++}];
    for (const Operand& o : op.dst)
      if (o.kind == Operand::Kind::channel)
        arrived_[{o.channel, t * perTile_[o.channel] + sends[o.channel]++}] = true;
  }

  const Schedule& schedule_;
  std::uint32_t slots_, depth_, tiles_;
  std::map<Channel, std::uint32_t> perTile_;
  std::vector<std::vector<std::vector<std::size_t>>> at_;  ///< by rank, tile, lane: next operation
  std::map<std::pair<int, std::uint32_t>, std::map<Channel, std::uint32_t>> sent_, taken_;
  std::map<Step, bool> arrived_;
  std::map<Step, int> readers_;
};

TEST(VerifyOrder, PredictsWhatExecutionsDo) {
  Schedule stuck = oneShot(2);
  for (Program& p : stuck.programs) std::swap(p.lanes[0][0], p.lanes[0][1]);
  for (const Schedule& s : {oneShot(4), oneShotTwoLanes(3), byScratch(), chain(), fusedRing(2, 3),
                            fusedRing(4, 5), stuck})
    for (const std::uint32_t slots : {1U, 2U, 3U})
      for (const std::uint32_t depth : {1U, 2U, 3U}) {
        SCOPED_TRACE(fmt::format("{}, {} slots, depth {}", s.name, slots, depth));
        Faults faults;
        const Wiring wiring = wire(s, faults);
        ASSERT_TRUE(faults.none());
        const std::uint32_t tiles = 2 * depth + 1;
        const EventGraph graph(s, wiring,
                               {.depth = depth, .tiles = tiles, .calls = 1, .slots = slots});
        EXPECT_EQ(graph.circle().empty(), Player(s, slots, depth, tiles).finishes());
        EXPECT_EQ(graph.circle().empty(), graph.order().size() == graph.size());
      }
}

TEST(VerifyOrder, PassingOnInACircleNeedsTwoSlots) {
  const Schedule s = fusedRing(4, 5);
  EXPECT_FALSE(Player(s, 1, 1, 3).finishes());
  EXPECT_TRUE(Player(s, kMinSlots, 1, 3).finishes());
  EXPECT_EQ(verify(s, {}).slots, kMinSlots);
  EXPECT_THAT(verify(s, {}).faults,
              testing::Not(testing::Contains(testing::HasSubstr("deadlock"))));
}

TEST(VerifyOrder, ClocksKnowWhatIsReachable) {
  for (const Schedule& s : {chain(), oneShotTwoLanes(3), fusedRing(3, 2), exposedTwoShot(3)}) {
    SCOPED_TRACE(s.name);
    Faults faults;
    const Wiring wiring = wire(s, faults);
    const std::uint32_t tiles = s.exposes ? 1 : 3;
    const EventGraph graph(s, wiring,
                           {.depth = s.exposes ? 1U : 2U, .tiles = tiles, .calls = 2, .slots = 2});
    const auto order = graph.order();
    ASSERT_EQ(order.size(), graph.size());
    std::vector<std::vector<bool>> reaches(graph.size(), std::vector<bool>(graph.size()));
    for (auto from = order.rbegin(); from != order.rend(); ++from) {
      reaches[*from][*from] = true;
      for (const std::uint32_t next : graph.after(*from))
        for (std::uint32_t to = 0; to < graph.size(); ++to)
          if (reaches[next][to]) reaches[*from][to] = true;
    }
    Clocks clocks(wiring, graph);
    std::vector<Stamp> seen;
    for (const std::uint32_t event : order) {
      const Stamp now = clocks.visit(event);
      if (graph.event(event).kind != Event::Kind::done) seen.push_back(now);
      for (const Stamp& earlier : seen)
        ASSERT_EQ(clocks.before(earlier), reaches[earlier.event][event])
            << graph.describe(earlier.event) << " and " << graph.describe(event);
      clocks.leave();
    }
  }
}

}  // namespace
}  // namespace lockstep::schedule
