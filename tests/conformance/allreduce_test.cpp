// Every way to run an all-reduce gives the reference's result: modes, algorithms and protocols,
// types and reductions, counts, placements, world sizes, ranks that are threads or processes.
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "collectives/registry.hpp"
#include "conformance/trials.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

/// What is forced, if anything.
struct Way {
  std::string algorithm;
  std::string protocol;
  bool rankOrder = true;
};

/// Every algorithm with every protocol it exists for in `mode`, and what is selected unforced
/// (which is rank-ordered by the tuning table).
std::vector<Way> ways(Mode mode) {
  std::vector<Way> result{{}};
  for (const schedule::Algorithm* a : schedule::algorithms()) {
    if (a->collective != Collective::allReduce) continue;
    const std::string name(a->name);
    if (a->edges == schedule::Edges::channels) {
      result.push_back({name, "ll", a->rankOrder});
      result.push_back({name, "simple", a->rankOrder});
    } else if (!isSealed(mode)) {
      result.push_back({name, "zero_copy", a->rankOrder});
    }
  }
  return result;
}

std::vector<std::size_t> awkwardCounts(int worldSize) {
  const auto world = static_cast<std::size_t>(worldSize);
  return {0, 1, 2, 3, 7, 8, world - 1, world, world + 1, 63, 64, 65, 1000, 1009};
}

/// Runs the trials every way there is in every mode, or every `stride`-th of these.
void sweep(Kind kind, int worldSize, const std::vector<Trial>& trials, int stride = 1) {
  std::size_t mostBytes = 0;
  for (const Trial& trial : trials) mostBytes = std::max(mostBytes, trial.bytes());
  int number = 0;
  for (std::size_t m = 0; m < kModes; ++m)
    for (const Way& way : ways(static_cast<Mode>(m))) {
      if (++number % stride != 0) continue;
      Options options = optionsOf(static_cast<Mode>(m));
      options.algorithm = way.algorithm;
      options.protocol = way.protocol;
      options.crossMemoryAttach = number / stride % 2 == 0 || way.protocol == "zero_copy";
      const auto outcomes =
          runRanks(kind, worldSize, options, [&](Communicator& communicator, int) {
            // Masked floats are added up in fixed point, which has no order.
            const bool rankOrder = way.rankOrder && options.mode != Mode::ccMasked;
            TrialRunner runner(communicator, rankOrder, mostBytes);
            for (const Trial& trial : trials) try {
                runner.run(trial);
              } catch (const std::exception& error) {
                throw std::runtime_error(trial.name() + ": " + error.what());
              }
          });
      EXPECT_EQ(failures(outcomes), "")
          << fmt::format("{} ranks as {}, mode {}, algorithm '{}', protocol '{}', {} attach",
                         worldSize, name(kind), name(options.mode), way.algorithm, way.protocol,
                         options.crossMemoryAttach ? "with" : "without");
    }
}

void sweepAll(Kind kind, const std::vector<int>& worlds) {
  for (const int worldSize : worlds) {
    // The largest is many tiles of every protocol.
    const std::vector<std::size_t> large =
        worldSize <= 3 ? std::vector<std::size_t>{70001, 300007} : std::vector<std::size_t>{70001};
    sweep(kind, worldSize, makeTrials(worldSize, awkwardCounts(worldSize), large));
  }
}

TEST(AllReduce, AsThreads) {
  sweepAll(Kind::threads, {1, 2, 3, 4, 5, 8});
}

TEST(AllReduce, AsProcesses) {
  sweepAll(Kind::processes, {1, 2, 3, 4, 5, 8});
}

TEST(AllReduce, AsThreadsThatMetBySockets) {
  sweep(Kind::sockets, 3, makeTrials(3, awkwardCounts(3), {}));
}

/// Many more ranks than cores: a few calls, in some of the ways.
TEST(AllReduce, InLargeWorlds) {
  const auto some = [](int worldSize) {
    const std::vector<Trial> all = makeTrials(worldSize, awkwardCounts(worldSize), {});
    std::vector<Trial> few;
    for (std::size_t i = 0; i < all.size(); i += 11) few.push_back(all[i]);
    return few;
  };
  sweep(Kind::threads, 17, some(17), 2);
  sweep(Kind::processes, 16, some(16), 3);
  sweep(Kind::threads, 33, some(33), 7);
  sweep(Kind::processes, 33, some(33), 13);
  sweep(Kind::threads, 64, some(64), 17);
}

}  // namespace
}  // namespace lockstep::testing
