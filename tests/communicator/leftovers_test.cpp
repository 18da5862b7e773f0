// What a communicator leaves behind when it is gone, after success and after failure: nothing.
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;

struct Belongings {
  std::ptrdiff_t descriptors = 0, mappings = 0, threads = 0;
  friend bool operator==(const Belongings&, const Belongings&) = default;
};

std::ptrdiff_t entries(const char* folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

Belongings belongings() {
  Belongings b{entries("/proc/self/fd"), 0, entries("/proc/self/task")};
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.find("memfd:lockstep") != std::string::npos) ++b.mappings;
  return b;
}

/// Threads may take a moment to be gone.
void expectSoon(const Belongings& before) {
  for (int i = 0; i < 500 && belongings() != before; ++i) std::this_thread::sleep_for(10ms);
  const Belongings after = belongings();
  EXPECT_EQ(after.descriptors, before.descriptors);
  EXPECT_EQ(after.mappings, before.mappings);
  EXPECT_EQ(after.threads, before.threads);
}

/// Three ranks, threads of this process, with whatever a world leaves behind looked at after them.
/// The meeting point may stay a minute for others to come: it is there before.
std::vector<Outcome> runAndLook(Kind kind, const Options& options,
                                const std::function<void(Communicator&, int)>& play) {
  std::vector<Outcome> outcomes;
  if (kind == Kind::threads) {
    const Belongings before = belongings();
    outcomes = runRanks(kind, 3, options, play);
    expectSoon(before);
  } else {
    const UniqueId id = UniqueId::create();
    const Belongings before = belongings();
    outcomes = playRanks(kind, 3, [&](int rank) {
      Communicator communicator = Communicator::create(id, rank, 3, options);
      play(communicator, rank);
    });
    expectSoon(before);
  }
  return outcomes;
}

void work(Communicator& communicator) {
  Buffer buffer = communicator.alloc(1 << 16);
  auto* data = static_cast<float*>(buffer.data());
  communicator.allReduce(data, data, 16384, DataType::f32);
  std::vector<float> ordinary(100000);
  communicator.allReduce(ordinary.data(), ordinary.data(), ordinary.size(), DataType::f32);
}

TEST(Leftovers, NothingIsLeftAfterSuccess) {
  for (const Kind kind : {Kind::threads, Kind::sockets})
    for (const Mode mode : {Mode::p2p, Mode::ccMulticast}) {
      SCOPED_TRACE(name(kind));
      const auto outcomes = runAndLook(kind, optionsOf(mode),
                                       [](Communicator& communicator, int) { work(communicator); });
      EXPECT_EQ(failures(outcomes), "");
    }
}

TEST(Leftovers, NothingIsLeftAfterFailure) {
  for (const Kind kind : {Kind::threads, Kind::sockets})
    for (const Mode mode : {Mode::p2p, Mode::cc}) {
      SCOPED_TRACE(name(kind));
      const auto outcomes =
          runAndLook(kind, optionsOf(mode), [](Communicator& communicator, int rank) {
            work(communicator);
            if (rank == 1) communicator.abort();
            communicator.barrier();
          });
      for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.code, ErrorCode::aborted);
    }
}

TEST(Leftovers, NothingIsLeftOfAWorldThatCouldNotBeMade) {
  const UniqueId id = UniqueId::create();
  const Belongings before = belongings();
  const auto outcomes = playRanks(Kind::sockets, 3, [&](int rank) {
    Options options = optionsOf(Mode::p2p);
    if (rank == 1) options.algorithm = "ring";
    Communicator::create(id, rank, 3, options);
  });
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.code, ErrorCode::mismatch);
  expectSoon(before);
}

/// Makes children of every kind, and lets them go in another order.
void haveChildren(Communicator& communicator, int rank) {
  Communicator twin = communicator.duplicate();
  auto half = twin.split(rank % 2, -rank);
  auto none = communicator.split(rank == 1 ? kNoColor : 0, 0);
  Communicator rest = communicator.shrink();
  work(*half);
  { const Communicator gone = std::move(twin); }
  work(rest);
  auto grandchild = half->duplicate();
  half.reset();
  work(grandchild);
}

TEST(Leftovers, NothingIsLeftOfChildren) {
  for (const Kind kind : {Kind::threads, Kind::sockets})
    for (const Mode mode : {Mode::p2p, Mode::ccMulticast}) {
      SCOPED_TRACE(name(kind));
      const auto outcomes =
          runAndLook(kind, optionsOf(mode), [](Communicator& communicator, int rank) {
            haveChildren(communicator, rank);
            work(communicator);
          });
      EXPECT_EQ(failures(outcomes), "");
    }
}

TEST(Leftovers, NothingIsLeftOfChildrenWhoseParentFailed) {
  for (const Kind kind : {Kind::threads, Kind::sockets})
    for (const Mode mode : {Mode::multicast, Mode::cc}) {
      SCOPED_TRACE(name(kind));
      const auto outcomes =
          runAndLook(kind, optionsOf(mode), [](Communicator& communicator, int rank) {
            auto half = communicator.split(rank % 2, -rank);
            if (rank == 1) communicator.abort();
            Communicator rest = communicator.shrink();
            work(rest);
            static_cast<void>(communicator.duplicate());
          });
      for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.code, ErrorCode::aborted);
    }
}

// A long-lived parent has many children in its life. (It may have less than before: rank 0's
// process has the meeting point, which closes connections when its thread comes to it.)
TEST(Leftovers, AParentIsAsItWasBeforeItsChildren) {
  EXPECT_EQ(failures(runRanks(Kind::processes, 3, optionsOf(Mode::cc),
                              [](Communicator& communicator, int rank) {
                                haveChildren(communicator, rank);
                                communicator.barrier();
                                const Belongings before = belongings();
                                for (int i = 0; i < 3; ++i) haveChildren(communicator, rank);
                                communicator.barrier();
                                const Belongings after = belongings();
                                require(after.descriptors <= before.descriptors &&
                                            after.mappings <= before.mappings &&
                                            after.threads <= before.threads,
                                        fmt::format("{} descriptors, before {}", after.descriptors,
                                                    before.descriptors));
                              })),
            "");
}

TEST(Leftovers, TheLibraryStartsNoProcesses) {
  EXPECT_EQ(failures(runRanks(Kind::processes, 2, optionsOf(Mode::p2p),
                              [](Communicator& communicator, int) {
                                work(communicator);
                                require(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD,
                                        "the library has a child process");
                              })),
            "");
}

}  // namespace
}  // namespace lockstep::testing
