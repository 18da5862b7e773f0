// Every collective but all-reduce, every way to run it: modes, algorithms and protocols, in and out
// of place, registered or not, aligned or not, roots, counts, world sizes, ranks that are threads
// or processes.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
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

/// Counts and placements by turns, the same on every rank.
std::vector<BlockTrial> trialsOf(Collective collective, int worldSize,
                                 std::vector<std::size_t> counts) {
  constexpr std::array types{DataType::i32, DataType::f32, DataType::u8, DataType::f64};
  std::vector<BlockTrial> trials;
  for (const std::size_t count : counts)
    for (int placement = 0; placement < 4; ++placement) {
      const std::size_t n = trials.size();
      trials.push_back({.collective = collective,
                        .count = count,
                        .type = types[(n + n / 4) % types.size()],
                        .root = contractOf(collective).rooted ? static_cast<int>(n) % worldSize : 0,
                        .inPlace = placement % 2 == 1,
                        .registered = placement / 2 == 1,
                        .misalignment = n % 3 == 2 ? sizeOf(types[(n + n / 4) % 4]) : 0});
    }
  return trials;
}

struct Way {
  std::string algorithm, protocol;
};
std::vector<Way> waysOf(Collective collective, Mode mode) {
  std::vector<Way> ways{{}};
  for (const schedule::Algorithm* a : schedule::algorithms()) {
    if (a->collective != collective) continue;
    if (a->edges == schedule::Edges::channels) {
      ways.push_back({std::string(a->name), "ll"});
      ways.push_back({std::string(a->name), "simple"});
    } else if (!isSealed(mode)) {
      ways.push_back({std::string(a->name), "zero_copy"});
    }
  }
  return ways;
}

void sweep(Kind kind, int worldSize, const std::vector<std::size_t>& counts) {
  const std::size_t most = *std::max_element(counts.begin(), counts.end());
  for (std::size_t number = 0; number < kCollectives; ++number) {
    const auto collective = static_cast<Collective>(number);
    if (collective == Collective::allReduce || collective == Collective::barrier) continue;
    const std::vector<BlockTrial> trials = trialsOf(collective, worldSize, counts);
    for (std::size_t m = 0; m < kModes; ++m) {
      const auto mode = static_cast<Mode>(m);
      int turn = 0;
      for (const Way& way : waysOf(collective, mode)) {
        Options options = optionsOf(mode);
        options.algorithm = way.algorithm;
        options.protocol = way.protocol;
        options.crossMemoryAttach = ++turn % 2 == 0 || way.protocol == "zero_copy";
        const auto outcomes =
            runRanks(kind, worldSize, options, [&](Communicator& communicator, int) {
              BlockRunner runner(communicator, most * 8);
              for (const BlockTrial& trial : trials) try {
                  runner.run(trial);
                } catch (const std::exception& error) {
                  throw std::runtime_error(trial.name() + ": " + error.what());
                }
            });
        EXPECT_EQ(failures(outcomes), "")
            << fmt::format("{} ranks as {}, mode {}, {} '{}', protocol '{}'", worldSize, name(kind),
                           name(mode), name(collective), way.algorithm, way.protocol);
      }
    }
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

TEST(Blocks, InALargeWorld) {
  sweep(Kind::threads, 17, {3, 100});
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
