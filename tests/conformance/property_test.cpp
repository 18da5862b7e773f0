// Thousands of random calls on two communicators of different modes at once, with ranks that dawdle
// at random: whatever was called, every result is the reference's, and no barrier lets a rank
// through early.
#include <atomic>
#include <chrono>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/cpu.hpp"
#include "support/reference.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

constexpr std::size_t kMostBytes = 20000 * 8;

/// One call, as all ranks know it from the seed.
struct Step {
  std::size_t communicator = 0;
  bool barrier = false;
  std::size_t count = 0;
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  bool inPlace = false;
  bool registered = false;
  std::uint64_t seed = 0;
};

std::vector<Step> drawSteps(std::uint32_t seed, std::size_t calls) {
  std::mt19937 random(seed);
  const auto below = [&random](std::size_t n) { return random() % n; };
  std::vector<Step> steps(calls);
  for (Step& s : steps) {
    s.communicator = below(2);
    s.barrier = below(8) == 0;
    // Mostly what takes one exchange, sometimes what takes tiles.
    s.count = below(40) == 0 ? below(20000) : below(3) == 0 ? below(1500) : below(40);
    s.type = static_cast<DataType>(below(kDataTypes));
    s.reduction = static_cast<Reduction>(below(kReductions));
    s.inPlace = below(2) == 0;
    s.registered = below(2) == 0;
    s.seed = random();
  }
  return steps;
}

/// What all ranks of a test see: how many have entered barriers, by communicator.
struct Entered {
  std::atomic<std::uint64_t> by[2];
};

/// A rank's way through the steps of one or both communicators.
class Walker {
 public:
  Walker(std::vector<Communicator>& communicators, Entered& entered, int rank)
      : communicators_(communicators),
        entered_(entered),
        rank_(rank),
        random_(static_cast<std::uint32_t>(rank) + 99) {}

  /// Collective over every communicator walked.
  void alloc(std::size_t communicator) {
    for (Buffer& buffer : buffers_[communicator])
      buffer = communicators_[communicator].alloc(kMostBytes);
  }

  void take(const Step& step, std::size_t number) {
    dawdle();
    try {
      step.barrier ? barrier(step) : allReduce(step);
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      throw std::runtime_error(fmt::format("call {}, communicator {}: {} {} {}: {}", number,
                                           step.communicator, step.count, name(step.type),
                                           name(step.reduction), error.what()));
    }
  }

 private:
  void dawdle() {
    const auto dice = random_() % 64;
    if (dice == 0) std::this_thread::sleep_for(std::chrono::microseconds(random_() % 300));
    if (dice < 8)
      for (auto left = random_() % 2000; left != 0; --left) cpuRelax();
  }

  void barrier(const Step& step) {
    const auto world = static_cast<std::uint64_t>(communicators_[step.communicator].worldSize());
    entered_.by[step.communicator].fetch_add(1);
    communicators_[step.communicator].barrier();
    const std::uint64_t entered = entered_.by[step.communicator].load();
    require(entered >= ++barriers_[step.communicator] * world,
            "a barrier let this rank through before all had entered");
  }

  void allReduce(const Step& step) {
    Communicator& communicator = communicators_[step.communicator];
    const std::size_t bytes = step.count * sizeOf(step.type);
    std::vector<std::vector<std::byte>> inputs;
    std::vector<const void*> sources;
    for (int r = 0; r < communicator.worldSize(); ++r)
      inputs.push_back(
          randomElements(step.type, step.count, step.seed * 64 + static_cast<std::uint64_t>(r)));
    const double factor = someFactor(step.type, rank_);
    const std::vector<std::byte> mine = inputs[static_cast<std::size_t>(rank_)];
    for (int r = 0; r < communicator.worldSize(); ++r) {
      std::byte* const input = inputs[static_cast<std::size_t>(r)].data();
      if (step.reduction == Reduction::preMulSum)
        scaleExactly(step.type, someFactor(step.type, r), input, step.count, input);
      sources.push_back(input);
    }

    // Which memory is each rank's own affair.
    const bool registered = step.registered != (random_() % 4 == 0);
    auto* in = registered ? static_cast<std::byte*>(buffers_[step.communicator][0].data())
                          : ordinary_[0].data();
    auto* out = registered ? static_cast<std::byte*>(buffers_[step.communicator][1].data())
                           : ordinary_[1].data();
    if (step.inPlace) out = in;
    if (bytes != 0) std::memcpy(in, mine.data(), bytes);
    communicator.run(Collective::allReduce, in, out, step.count, step.type, step.reduction, 0,
                     factor);

    std::vector<std::byte> expected(bytes);
    const int divisor = step.reduction == Reduction::avg ? communicator.worldSize() : 1;
    foldExactly(step.type, step.reduction, sources, step.count, divisor, expected.data());
    const auto wrong = firstDifference(step.type, out, expected.data(), step.count);
    require(!wrong, wrong ? fmt::format("element {} is wrong", *wrong) : "");
  }

  std::vector<Communicator>& communicators_;
  Entered& entered_;
  int rank_;
  std::mt19937 random_;
  std::uint64_t barriers_[2] = {0, 0};
  Buffer buffers_[2][2];
  std::vector<std::byte> ordinary_[2] = {std::vector<std::byte>(kMostBytes),
                                         std::vector<std::byte>(kMostBytes)};
};

struct Modes {
  Mode first, second;
  bool attach;
};

std::vector<Options> optionsFor(const Modes& modes) {
  std::vector<Options> options{optionsOf(modes.first), optionsOf(modes.second)};
  for (Options& o : options) o.crossMemoryAttach = modes.attach;
  return options;
}

/// One thread per rank, which calls on both communicators in turn.
void walkInTurn(Kind kind, int worldSize, const Modes& modes, std::size_t calls) {
  Shared<Entered> entered;
  const std::vector<Step> steps = drawSteps(static_cast<std::uint32_t>(worldSize), calls);
  const auto outcomes = runRanks(kind, worldSize, optionsFor(modes),
                                 [&](std::vector<Communicator>& communicators, int rank) {
                                   Walker walker(communicators, *entered, rank);
                                   walker.alloc(0);
                                   walker.alloc(1);
                                   for (std::size_t i = 0; i < steps.size(); ++i)
                                     walker.take(steps[i], i);
                                 });
  EXPECT_EQ(failures(outcomes), "")
      << name(kind) << ", " << name(modes.first) << " and " << name(modes.second);
}

/// Two threads per rank, each with a communicator of its own.
void walkAtOnce(Kind kind, int worldSize, const Modes& modes, std::size_t calls) {
  Shared<Entered> entered;
  const std::vector<Step> steps = drawSteps(static_cast<std::uint32_t>(worldSize) + 7, calls);
  const auto outcomes = runRanks(kind, worldSize, optionsFor(modes),
                                 [&](std::vector<Communicator>& communicators, int rank) {
                                   const auto halves = playRanks(Kind::threads, 2, [&](int half) {
                                     const auto mine = static_cast<std::size_t>(half);
                                     Walker walker(communicators, *entered, rank);
                                     walker.alloc(mine);
                                     for (std::size_t i = 0; i < steps.size(); ++i)
                                       if (steps[i].communicator == mine) walker.take(steps[i], i);
                                   });
                                   require(failures(halves).empty(), failures(halves));
                                 });
  EXPECT_EQ(failures(outcomes), "")
      << name(kind) << ", " << name(modes.first) << " and " << name(modes.second);
}

TEST(RandomCalls, InTurnAsThreads) {
  walkInTurn(Kind::threads, 3, {Mode::p2p, Mode::cc, true}, 3000);
  walkInTurn(Kind::threads, 2, {Mode::multicast, Mode::ccMulticast, true}, 3000);
}

TEST(RandomCalls, InTurnAsProcesses) {
  walkInTurn(Kind::processes, 3, {Mode::p2p, Mode::cc, true}, 3000);
  walkInTurn(Kind::processes, 2, {Mode::multicast, Mode::ccMulticast, false}, 3000);
  walkInTurn(Kind::processes, 4, {Mode::cc, Mode::multicast, true}, 1500);
}

TEST(RandomCalls, AtOnceAsThreads) {
  walkAtOnce(Kind::threads, 2, {Mode::p2p, Mode::cc, true}, 2000);
}

TEST(RandomCalls, AtOnceAsThreadsThatMetBySockets) {
  walkAtOnce(Kind::sockets, 2, {Mode::ccMulticast, Mode::p2p, true}, 1000);
}

TEST(RandomCalls, AtOnceAsProcesses) {
  walkAtOnce(Kind::processes, 2, {Mode::ccMulticast, Mode::p2p, true}, 2000);
}

}  // namespace
}  // namespace lockstep::testing
