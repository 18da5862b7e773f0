// Random sequences of all collectives on several communicators of different modes and worlds at
// once: from threads of their own, or by turns from the same ones. Whatever the others do, every
// result is what the contract promises.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "conformance/random_calls.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

constexpr std::size_t kMostBytes = 65536;

/// The calls on one communicator, and what all its ranks share.
class Plot {
 public:
  Plot(int worldSize, Mode mode, std::size_t calls, std::uint64_t seed)
      : worldSize_(worldSize), options_(optionsOf(mode)) {
    Draw draw(seed);
    options_.crossMemoryAttach = draw.chance(2);
    const Limits limits{worldSize, kMostBytes, {64, 8192, 16384, 32768}};
    for (std::size_t i = 0; i < calls; ++i) {
      calls_.push_back(drawCall(draw, limits));
      known_.push_back(knownOf(calls_.back(), worldSize));
    }
  }

  int worldSize() const { return worldSize_; }
  const Options& options() const { return options_; }
  std::size_t size() const { return calls_.size(); }
  Entered& entered() { return *entered_; }

  void make(Caller& caller, std::size_t number) const {
    try {
      caller.make(calls_[number], known_[number]);
    } catch (const std::exception& error) {
      throw std::runtime_error(fmt::format("mode {}, call {}, {}: {}", name(options_.mode), number,
                                           calls_[number].name(), error.what()));
    }
  }
  void makeAll(Caller& caller) const {
    for (std::size_t i = 0; i < size(); ++i) make(caller, i);
  }

 private:
  int worldSize_;
  Options options_;
  std::vector<RandomCall> calls_;
  std::vector<Known> known_;
  Shared<Entered> entered_;
};

/// A communicator for each mode, with as many calls.
std::vector<Plot> plotsOf(int worldSize, const std::vector<Mode>& modes, std::size_t calls) {
  std::vector<Plot> plots;
  for (const Mode mode : modes)
    plots.emplace_back(worldSize, mode, calls,
                       static_cast<std::uint64_t>(worldSize) * 10 + plots.size());
  return plots;
}

std::vector<Options> optionsOfAll(const std::vector<Plot>& plots) {
  std::vector<Options> options;
  for (const Plot& plot : plots) options.push_back(plot.options());
  return options;
}

/// Ranks that belong to all communicators, and call on each in turn.
void playInTurn(Kind kind, int worldSize, const std::vector<Mode>& modes, std::size_t calls) {
  std::vector<Plot> plots = plotsOf(worldSize, modes, calls);
  const auto outcomes =
      runRanks(kind, worldSize, optionsOfAll(plots), [&](std::vector<Communicator>& all, int) {
        std::vector<std::unique_ptr<Caller>> callers;
        for (std::size_t k = 0; k < all.size(); ++k)
          callers.push_back(std::make_unique<Caller>(all[k], plots[k].entered(), kMostBytes));
        for (std::size_t i = 0; i < calls; ++i)
          for (std::size_t k = 0; k < all.size(); ++k) plots[k].make(*callers[k], i);
      });
  EXPECT_EQ(failures(outcomes), "") << worldSize << ' ' << name(kind);
}

/// Ranks that belong to all communicators, with a thread for each.
void playAtOnce(Kind kind, int worldSize, const std::vector<Mode>& modes, std::size_t calls) {
  std::vector<Plot> plots = plotsOf(worldSize, modes, calls);
  const auto outcomes =
      runRanks(kind, worldSize, optionsOfAll(plots), [&](std::vector<Communicator>& all, int) {
        const auto parts = playRanks(Kind::threads, static_cast<int>(all.size()), [&](int part) {
          const auto mine = static_cast<std::size_t>(part);
          Caller caller(all[mine], plots[mine].entered(), kMostBytes);
          plots[mine].makeAll(caller);
        });
        require(failures(parts).empty(), failures(parts));
      });
  EXPECT_EQ(failures(outcomes), "") << worldSize << ' ' << name(kind);
}

TEST(RandomCommunicators, InTurnAsThreads) {
  playInTurn(Kind::threads, 3, {Mode::p2p, Mode::cc, Mode::multicast}, 400);
  playInTurn(Kind::threads, 2, {Mode::multicast, Mode::ccMulticast}, 600);
}

TEST(RandomCommunicators, InTurnAsProcesses) {
  playInTurn(Kind::processes, 3, {Mode::p2p, Mode::cc}, 500);
  playInTurn(Kind::processes, 2, {Mode::multicast, Mode::ccMulticast, Mode::p2p}, 500);
  playInTurn(Kind::processes, 4, {Mode::cc, Mode::multicast}, 300);
}

TEST(RandomCommunicators, AtOnceAsThreads) {
  playAtOnce(Kind::threads, 2, {Mode::p2p, Mode::cc, Mode::ccMulticast}, 400);
}

TEST(RandomCommunicators, AtOnceAsThreadsThatMetBySockets) {
  playAtOnce(Kind::sockets, 2, {Mode::ccMulticast, Mode::p2p}, 300);
}

TEST(RandomCommunicators, AtOnceAsProcesses) {
  playAtOnce(Kind::processes, 2, {Mode::ccMulticast, Mode::p2p}, 500);
}

/// Worlds of different sizes, each rank of each a thread of one process.
TEST(RandomCommunicators, OfDifferentWorldsInOneProcess) {
  std::vector<Plot> plots;
  plots.emplace_back(4, Mode::p2p, 250, 1);
  plots.emplace_back(2, Mode::cc, 250, 2);
  plots.emplace_back(3, Mode::multicast, 250, 3);
  struct Role {
    Plot* plot;
    Communicator communicator;
  };
  std::vector<Role> roles;
  for (Plot& plot : plots)
    for (Communicator& c : Communicator::createInProcess(plot.worldSize(), plot.options()))
      roles.push_back({&plot, std::move(c)});
  const auto outcomes = playRanks(Kind::threads, static_cast<int>(roles.size()), [&](int number) {
    Role& role = roles[static_cast<std::size_t>(number)];
    Caller caller(role.communicator, role.plot->entered(), kMostBytes);
    role.plot->makeAll(caller);
  });
  EXPECT_EQ(failures(outcomes), "");
}

/// A group of some of the ranks beside the world of all: who belongs to both calls on them by
/// turns.
TEST(RandomCommunicators, OfSomeRanksBesideAll) {
  Plot everybody(4, Mode::ccMulticast, 250, 4), some(2, Mode::p2p, 250, 5);
  auto all = Communicator::createInProcess(4, everybody.options());
  auto few = Communicator::createInProcess(2, some.options());
  const auto outcomes = playRanks(Kind::threads, 4, [&](int rank) {
    const auto r = static_cast<std::size_t>(rank);
    Caller inAll(all[r], everybody.entered(), kMostBytes);
    std::optional<Caller> inFew;
    if (r < few.size()) inFew.emplace(few[r], some.entered(), kMostBytes);
    for (std::size_t i = 0; i < everybody.size(); ++i) {
      everybody.make(inAll, i);
      if (inFew) some.make(*inFew, i);
    }
  });
  EXPECT_EQ(failures(outcomes), "");
}

/// One wrong byte in what each rank is to get, and wrong sums in f64.
bool spoil(Known& known, Draw& draw) {
  bool spoilt = false;
  for (auto& expected : known.expected)
    if (!expected.empty()) {
      expected[draw.below(expected.size())] ^= std::byte{0x40};
      spoilt = true;
    }
  for (double& value : known.near) value += 1000;
  return spoilt;
}

/// The control: a wrong expectation anywhere is an error of that call. (Of a ring's floats, which
/// are compared with a tolerance, too.)
TEST(RandomCommunicators, WhatIsWrongIsFound) {
  Draw draw(6);
  const Limits limits{4, kMostBytes, {64}};
  for (const char* algorithm : {"", "ring"}) {
    Options options = optionsOf(Mode::p2p);
    options.algorithm = algorithm;
    auto ranks = Communicator::createInProcess(4, options);
    std::size_t planted = 0;
    for (int number = 0; number < 60; ++number) {
      RandomCall call = drawCall(draw, limits);
      if (call.reduction == Reduction::prod) call.reduction = Reduction::sum;  // any may overflow
      Known known = knownOf(call, 4);
      const bool spoilt = spoil(known, draw);
      planted += spoilt ? 1 : 0;
      const Shared<Entered> entered;
      const auto outcomes = playRanks(Kind::threads, 4, [&](int rank) {
        Caller caller(ranks[static_cast<std::size_t>(rank)], *entered, kMostBytes);
        caller.make(call, known);
      });
      EXPECT_EQ(failures(outcomes).empty(), !spoilt) << call.name();
    }
    EXPECT_GT(planted, 30U);
  }
}

}  // namespace
}  // namespace lockstep::testing
