// Random sequences of all collectives on one communicator after another: worlds, modes, algorithms
// and protocols, types, counts, placements and roots are drawn, and ranks dawdle. Whatever is
// called, and after whatever, the result is what the contract promises.
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "collectives/registry.hpp"
#include "conformance/block_trials.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

constexpr std::size_t kMostCount = 6000;
/// A loaded machine gets through less of the same sequence.
constexpr std::chrono::seconds kEnough{12};

class Draw {
 public:
  explicit Draw(std::uint32_t seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return random_() % n; }
  bool chance(std::size_t in) { return below(in) == 0; }
  template <class T>
  T of(std::initializer_list<T> choices) {
    return choices.begin()[below(choices.size())];
  }

 private:
  std::mt19937 random_;
};

struct Step {
  BlockTrial trial;
  int times = 1;  ///< back to back, so that slots come around
};

/// A communicator's life.
struct Session {
  Kind kind = Kind::threads;
  int worldSize = 1;
  Options options;
  std::vector<Step> steps;

  std::string name() const {
    return fmt::format("{} ranks as {}, mode {}, algorithm '{}', protocol '{}', {} attach",
                       worldSize, testing::name(kind), lockstep::name(options.mode),
                       options.algorithm, options.protocol,
                       options.crossMemoryAttach ? "with" : "without");
  }
};

Step drawStep(Draw& draw, int worldSize) {
  Step step;
  BlockTrial& trial = step.trial;
  trial.collective = static_cast<Collective>(draw.below(kCollectives));
  trial.count = draw.chance(8)   ? draw.below(kMostCount)
                : draw.chance(3) ? draw.below(600)
                                 : draw.below(40);
  trial.type = static_cast<DataType>(draw.below(kDataTypes));
  trial.reduction = draw.of(
      {Reduction::sum, Reduction::min, Reduction::max, Reduction::avg, Reduction::preMulSum});
  if (contractOf(trial.collective).rooted)
    trial.root = static_cast<int>(draw.below(static_cast<std::size_t>(worldSize)));
  trial.inPlace = draw.chance(2);
  trial.registered = draw.chance(2);
  trial.misalignment = draw.of<std::size_t>({0, 0, sizeOf(trial.type), 1, 24});
  if (trial.count < 600 && draw.chance(5)) step.times = 12;
  return step;
}

Session drawSession(Draw& draw) {
  Session session;
  session.kind = draw.chance(4) ? Kind::sockets : draw.of({Kind::threads, Kind::processes});
  session.worldSize = 1 + static_cast<int>(draw.below(6));
  session.options = optionsOf(static_cast<Mode>(draw.below(kModes)));
  session.options.crossMemoryAttach = draw.chance(2);
  if (draw.chance(2)) {
    const auto all = schedule::algorithms();
    session.options.algorithm = all[draw.below(all.size())]->name;
    session.options.protocol = draw.of({"", "ll", "simple"});
  } else if (draw.chance(2)) {
    session.options.protocol = isSealed(session.options.mode)
                                   ? draw.of({"ll", "simple"})
                                   : draw.of({"ll", "simple", "zero_copy"});
  }
  for (int i = 0; i < 14; ++i) session.steps.push_back(drawStep(draw, session.worldSize));
  return session;
}

/// What a rank that is late now and then does.
void dawdle(Draw& draw) {
  if (draw.chance(12)) std::this_thread::sleep_for(std::chrono::microseconds(draw.below(400)));
}

void play(const Session& session, Communicator& communicator, int rank) {
  Draw late(static_cast<std::uint32_t>(rank) + 1);
  BlockRunner runner(communicator, kMostCount * 8);
  for (const Step& step : session.steps)
    for (int again = 0; again < step.times; ++again) try {
        dawdle(late);
        runner.run(step.trial);
      } catch (const std::exception& error) {
        throw std::runtime_error(step.trial.name() + ": " + error.what());
      }
}

TEST(RandomBlocks, AreWhereTheContractWantsThem) {
  Draw draw(20);
  const auto start = std::chrono::steady_clock::now();
  for (int number = 0; number < 300; ++number) {
    const Session session = drawSession(draw);
    const auto outcomes =
        runRanks(session.kind, session.worldSize, session.options,
                 [&](Communicator& communicator, int rank) { play(session, communicator, rank); });
    ASSERT_EQ(failures(outcomes), "") << "session " << number << ": " << session.name();
    if (std::chrono::steady_clock::now() - start > kEnough) return;
  }
}

}  // namespace
}  // namespace lockstep::testing
