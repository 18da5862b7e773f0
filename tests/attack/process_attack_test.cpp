// Ranks that are processes, and beside each an attacker process: whatever they write into shared
// memory while calls run, no call returns a wrong result and each ends.
#include <array>
#include <atomic>
#include <cstdio>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "attack/attacker.hpp"
#include "attack/witness_aead.hpp"
#include "base/clock.hpp"
#include "secrets/watched_aead.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;

/// Of the ranks' calls in all trials of one kind of attack. In memory that all processes share.
struct Count {
  std::atomic<int> trials{0}, right{0}, wrong{0}, integrity{0}, mismatch{0}, timeout{0}, aborted{0},
      died{0}, others{0};
  std::atomic<int>& of(ErrorCode code) {
    switch (code) {
      case ErrorCode::integrity:
        return integrity;
      case ErrorCode::mismatch:
        return mismatch;
      case ErrorCode::timeout:
        return timeout;
      case ErrorCode::aborted:
        return aborted;
      case ErrorCode::peerDied:
        return died;
      default:
        return others;
    }
  }
};
struct Counts {
  std::array<Count, kAssaults> by;
  std::atomic<int> arrived{0};
};

/// Ranks may come here long after each other: some have waited for a deadline.
void meet(Counts& counts, int everyone) {
  ++counts.arrived;
  const Deadline deadline = Deadline::in(60s);
  while (counts.arrived < everyone) {
    require(!deadline.passed(), "a rank has gone");
    std::this_thread::sleep_for(200us);
  }
}

struct Wrong {};

std::uint32_t valueOf(int call, int rank, std::size_t i) {
  return (static_cast<std::uint32_t>(i) + 1) * 2654435761U ^
         static_cast<std::uint32_t>(call * 64 + rank) * 40503U;
}

/// One call after the other, of each kind: lines and slots, sums and copies, transfers.
void callOnce(Communicator& comm, int call) {
  constexpr std::array<std::size_t, 3> kCounts{6, 260, 9000};
  const int world = comm.worldSize(), rank = comm.rank();
  const std::size_t count = kCounts[static_cast<std::size_t>(call) % 3];
  std::vector<std::uint32_t> in(count), out(count), wanted(count);
  for (std::size_t i = 0; i < count; ++i) in[i] = valueOf(call, rank, i);
  switch (call / 3 % 3) {
    case 0:
      for (int r = 0; r < world; ++r)
        for (std::size_t i = 0; i < count; ++i) wanted[i] += valueOf(call, r, i);
      comm.allReduce(in.data(), out.data(), count, DataType::u32);
      break;
    case 1: {
      const int root = call % world;
      for (std::size_t i = 0; i < count; ++i) wanted[i] = valueOf(call, root, i);
      comm.broadcast(in.data(), out.data(), count, DataType::u32, root);
      break;
    }
    default: {
      const int next = (rank + 1) % world, previous = (rank + world - 1) % world;
      for (std::size_t i = 0; i < count; ++i) wanted[i] = valueOf(call, previous, i);
      Group group;
      group.send(comm, in.data(), count, DataType::u32, next)
          .receive(comm, out.data(), count, DataType::u32, previous);
      group.start().wait();
    }
  }
  if (out != wanted) throw Wrong{};
}

/// A communicator of its own under attack, until it fails or has done enough calls.
void attack(Communicator& parent, Assault assault, int trial, Count& count) {
  // On an idle machine a few would be over before the attacker runs. Who holds a word never sleeps,
  // and leaves the ranks little of two cores.
  const int calls = assault < Assault::holdFlag ? 400 : 36;
  const Segments before = Segments::mapped();
  Communicator comm = parent.duplicate();
  const Segments segments = Segments::mapped(before);
  const int rank = comm.rank(), world = comm.worldSize();
  require(segments.writable.size() == 1 &&
              segments.readable.size() + 1 == static_cast<std::size_t>(world),
          "segments are not where they were expected");
  const Attacker attacker(segments, rank, world, assault, static_cast<unsigned>(trial * 64 + rank));
  try {
    const Deadline enough = Deadline::in(300ms);  // some attacks only make calls slow
    for (int call = 0; call < calls && !enough.passed(); ++call) callOnce(comm, call);
    ++count.right;
    if (enough.passed()) comm.abort();  // others may have more calls to go
  } catch (const Error& error) {
    ++count.of(error.code());
  } catch (const Wrong&) {
    ++count.wrong;
    comm.abort();
  }
}

/// So many trials of each.
void run(Mode mode, int world, const std::vector<Assault>& assaults, int trials, TagCheck check,
         Shared<Counts>& counts) {
  Options options = optionsOf(mode);
  options.timeout = 2s;  // creation on a loaded machine too
  Witness witness;
  witness.check = check;
  const WatchedAead watched([&](std::shared_ptr<const cc::Aead> inner) {
    return std::make_shared<WitnessAead>(std::move(inner), witness);
  });
  counts->arrived = 0;
  const auto outcomes =
      runRanks(Kind::processes, world, options, [&](Communicator& parent, int rank) {
        int n = 0;
        for (const Assault assault : assaults)
          for (int trial = 0; trial < trials; ++trial) {
            Count& count = counts->by[static_cast<std::size_t>(assault)];
            if (rank == 0) ++count.trials;
            attack(parent, assault, n, count);
            meet(*counts, ++n * world);
          }
      });
  EXPECT_EQ(failures(outcomes), "");
}

void print(const Shared<Counts>& counts) {
  for (std::size_t a = 0; a < kAssaults; ++a) {
    const Count& c = counts->by[a];
    if (c.trials == 0) continue;
    fmt::print(
        "{:14} {:4} trials; ranks: {:4} right, {:4} integrity, {:3} mismatch, {:3} timeout, {:4} "
        "aborted, {:3} peer died, {} wrong\n",
        name(static_cast<Assault>(a)), c.trials.load(), c.right.load(), c.integrity.load(),
        c.mismatch.load(), c.timeout.load(), c.aborted.load(), c.died.load(), c.wrong.load());
  }
  std::fflush(stdout);
}

std::vector<Assault> range(Assault first, Assault last) {
  std::vector<Assault> all;
  for (auto a = static_cast<std::uint8_t>(first); a <= static_cast<std::uint8_t>(last); ++a)
    all.push_back(static_cast<Assault>(a));
  return all;
}

TEST(ProcessAttack, NoCallReturnsAWrongResultAndEachEnds) {
  Shared<Counts> counts;
  for (const auto& [mode, world] : {std::pair(Mode::cc, 2), std::pair(Mode::ccMulticast, 3)}) {
    run(mode, world, range(Assault::flip, Assault::cut), 5, TagCheck::on, counts);
    run(mode, world, range(Assault::flags, Assault::holdStatus), 2, TagCheck::on, counts);
  }
  print(counts);
  int refused = 0;
  for (std::size_t a = 0; a < kAssaults; ++a) {
    SCOPED_TRACE(name(static_cast<Assault>(a)));
    const Count& c = counts->by[a];
    EXPECT_EQ(c.wrong, 0);
    EXPECT_EQ(c.others, 0);
    if (misleads(static_cast<Assault>(a))) {
      EXPECT_GE(c.integrity, 1);
    }
    refused += c.integrity;
  }
  EXPECT_GE(refused, 20);
  EXPECT_GE(counts->by[static_cast<std::size_t>(Assault::status)].aborted, 1);
}

TEST(ProcessAttack, WithoutTheCheckOfTagsThereAreWrongResults) {
  Shared<Counts> counts;
  const auto wrong = [&] {
    int all = 0;
    for (const Count& c : counts->by) all += c.wrong;
    return all;
  };
  constexpr int kEnough = 8;
  for (int round = 0; round < 10 && wrong() < kEnough; ++round)
    run(Mode::cc, 2, range(Assault::flip, Assault::flags), 4, TagCheck::off, counts);
  print(counts);
  EXPECT_GE(wrong(), kEnough);
}

}  // namespace
}  // namespace lockstep::testing
