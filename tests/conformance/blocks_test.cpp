// Every collective but all-reduce, every way to run it: modes, algorithms and protocols, in and out
// of place, registered or not, aligned or not, roots, counts, world sizes, ranks that are threads
// or processes.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "collectives/registry.hpp"
#include "conformance/block_trials.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

/// Counts and placements by turns, the same on every rank.
std::vector<BlockTrial> trialsOf(Collective collective, int worldSize,
                                 std::vector<std::size_t> counts) {
  constexpr std::array types{DataType::i32, DataType::f32,    DataType::u8,
                             DataType::f64, DataType::f8e4m3, DataType::f8e5m2};
  std::vector<BlockTrial> trials;
  for (const std::size_t count : counts)
    for (int placement = 0; placement < 4; ++placement) {
      const std::size_t n = trials.size();
      const DataType type = types[(n + n / 4) % types.size()];
      trials.push_back({.collective = collective,
                        .count = count,
                        .type = type,
                        .reduction = n % 3 == 0 ? Reduction::sum : Reduction::preMulSum,
                        .root = contractOf(collective).rooted ? static_cast<int>(n) % worldSize : 0,
                        .inPlace = placement % 2 == 1,
                        .registered = placement / 2 == 1,
                        .misalignment = n % 3 == 2 ? sizeOf(type) : 0});
    }
  return trials;
}

/// What is forced, if anything, and the collectives that have it.
struct Way {
  std::string algorithm, protocol;
  std::set<Collective> collectives;
};

/// Every algorithm with every protocol it exists for in `mode`, and what is selected unforced.
std::vector<Way> waysOf(Mode mode) {
  std::map<std::pair<std::string, std::string>, std::set<Collective>> ways;
  for (const schedule::Algorithm* a : schedule::algorithms()) {
    if (a->collective == Collective::allReduce || a->collective == Collective::barrier) continue;
    const std::string algorithm(a->name);
    ways[{"", ""}].insert(a->collective);
    if (a->edges == schedule::Edges::channels) {
      ways[{algorithm, "ll"}].insert(a->collective);
      ways[{algorithm, "simple"}].insert(a->collective);
    } else if (!isSealed(mode)) {
      ways[{algorithm, "zero_copy"}].insert(a->collective);
    }
  }
  std::vector<Way> result;
  for (auto& [way, collectives] : ways) result.push_back({way.first, way.second, collectives});
  return result;
}

/// Every way there is in every mode, or the first and every `stride`-th of these.
void sweep(Kind kind, int worldSize, const std::vector<std::size_t>& counts, int stride = 1) {
  const std::size_t most = *std::max_element(counts.begin(), counts.end());
  int number = 0;
  for (std::size_t m = 0; m < kModes; ++m)
    for (const Way& way : waysOf(static_cast<Mode>(m))) {
      if (number++ % stride != 0) continue;
      Options options = optionsOf(static_cast<Mode>(m));
      options.algorithm = way.algorithm;
      options.protocol = way.protocol;
      options.crossMemoryAttach = number / stride % 2 == 0 || way.protocol == "zero_copy";
      const auto outcomes =
          runRanks(kind, worldSize, options, [&](Communicator& communicator, int) {
            BlockRunner runner(communicator, most * sizeof(double));
            for (const Collective collective : way.collectives)
              for (const BlockTrial& trial : trialsOf(collective, worldSize, counts)) try {
                  runner.run(trial);
                } catch (const std::exception& error) {
                  throw std::runtime_error(trial.name() + ": " + error.what());
                }
          });
      EXPECT_EQ(failures(outcomes), "")
          << fmt::format("{} ranks as {}, mode {}, algorithm '{}', protocol '{}'", worldSize,
                         name(kind), name(options.mode), way.algorithm, way.protocol);
    }
}

TEST(Blocks, AsThreads) {
  for (const int worldSize : {1, 2, 3, 4, 5, 8})
    sweep(Kind::threads, worldSize, {0, 1, 7, 64, 1009});
  sweep(Kind::threads, 3, {50021});
}

TEST(Blocks, AsProcesses) {
  sweep(Kind::processes, 2, {0, 1, 7, 64, 1009, 50021});
  sweep(Kind::processes, 3, {3, 129, 5003});
  sweep(Kind::processes, 5, {2, 1000});
}

/// Many more ranks than cores: in some of the ways.
TEST(Blocks, InLargeWorlds) {
  sweep(Kind::threads, 17, {3, 100});
  sweep(Kind::processes, 16, {5}, 9);
  sweep(Kind::threads, 33, {2}, 13);
  sweep(Kind::threads, 64, {3}, 20);
}

/// Who only sends is done at once and goes on, also while the others are late: no slot may be
/// written again before it has been read.
TEST(Blocks, ARootDoesNotRunAheadOfSlots) {
  constexpr int kCalls = 100;  // many more than a channel has slots
  for (std::size_t m = 0; m < kModes; ++m)
    for (const Collective collective : {Collective::broadcast, Collective::scatter})
      for (const Kind kind : {Kind::threads, Kind::processes})
        for (const int worldSize : {2, 3}) {
          const auto outcomes =
              runRanks(kind, worldSize, optionsOf(static_cast<Mode>(m)),
                       [&](Communicator& communicator, int rank) {
                         for (int call = 0; call < kCalls; ++call) {
                           const std::array<std::int32_t, 3> in{call, call, call};
                           std::int32_t out = -1;
                           if (rank != 0 && call % 40 == 0)
                             std::this_thread::sleep_for(std::chrono::milliseconds(3));
                           communicator.run(collective, in.data(), &out, 1, DataType::i32);
                           require(out == call, fmt::format("call {} gave {}", call, out));
                         }
                       });
          EXPECT_EQ(failures(outcomes), "")
              << fmt::format("{} of {} ranks as {}, mode {}", name(collective), worldSize,
                             name(kind), name(static_cast<Mode>(m)));
        }
}

TEST(Blocks, BarriersHoldEveryone) {
  for (const int worldSize : {1, 2, 3, 8, 17}) {
    std::atomic<int> entered{0};
    const auto outcomes = runRanks(
        Kind::threads, worldSize, optionsOf(Mode::p2p), [&](Communicator& communicator, int) {
          for (int round = 1; round <= 50; ++round) {
            ++entered;
            communicator.barrier();
            require(entered.load() >= round * worldSize, "left before all had come");
          }
        });
    EXPECT_EQ(failures(outcomes), "");
  }
}

}  // namespace
}  // namespace lockstep::testing
