// What a communicator leaves behind when it is gone, after success and after failure: nothing.
#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
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
#ifdef __SANITIZE_THREAD__
  b.threads = 0;  // the sanitizer starts one of its own, some time
#endif
  return b;
}

/// Threads may take a moment to be gone.
void requireSoon(const Belongings& before) {
  for (int i = 0; i < 500 && belongings() != before; ++i) std::this_thread::sleep_for(10ms);
  const Belongings after = belongings();
  require(after == before,
          fmt::format("{} descriptors, {} mappings, {} threads are left of {}, {}, {}",
                      after.descriptors, after.mappings, after.threads, before.descriptors,
                      before.mappings, before.threads));
}

using OptionsOf = std::function<Options(int rank)>;
using Play = std::function<void(Communicator&, int rank)>;

/// Three ranks, threads of this process.
std::vector<Outcome> playWorld(Kind kind, const OptionsOf& options, const Play& play,
                               const UniqueId& id) {
  if (kind == Kind::threads) return runRanks(kind, 3, options(0), play);
  return playRanks(kind, 3, [&](int rank) {
    Communicator communicator = Communicator::create(id, rank, 3, options(rank));
    play(communicator, rank);
  });
}

/// Nothing is left of a world whose ranks all end by `code`, if any. It lives in a process of its
/// own: meeting points stay a minute for others to come, and those of earlier tests would go
/// meanwhile. Its own is there before.
void expectNothingLeft(Kind kind, const OptionsOf& options, const Play& play,
                       std::optional<ErrorCode> code = {}) {
  SCOPED_TRACE(name(kind));
  const auto whole = playRanks(Kind::processes, 1, [&](int) {
    const UniqueId id = UniqueId::create();
    const Belongings before = belongings();
    const auto outcomes = playWorld(kind, options, play, id);
    for (const Outcome& outcome : outcomes)
      require(outcome.ok == !code && outcome.code == code, describe(outcomes));
    requireSoon(before);
  });
  EXPECT_EQ(failures(whole), "");
}
void expectNothingLeft(Kind kind, Mode mode, const Play& play, std::optional<ErrorCode> code = {}) {
  expectNothingLeft(
      kind, [mode](int) { return optionsOf(mode); }, play, code);
}

void work(Communicator& communicator) {
  Buffer buffer = communicator.alloc(1 << 16);
  auto* data = static_cast<float*>(buffer.data());
  communicator.allReduce(data, data, 16384, DataType::f32);
  std::vector<float> ordinary(100000);
  communicator.allReduce(ordinary.data(), ordinary.data(), ordinary.size(), DataType::f32);
}

constexpr std::array kKinds{Kind::threads, Kind::sockets};

TEST(Leftovers, NothingIsLeftAfterSuccess) {
  for (const Kind kind : kKinds)
    for (const Mode mode : {Mode::p2p, Mode::ccMulticast})
      expectNothingLeft(kind, mode, [](Communicator& communicator, int) { work(communicator); });
}

TEST(Leftovers, NothingIsLeftAfterFailure) {
  for (const Kind kind : kKinds)
    for (const Mode mode : {Mode::p2p, Mode::cc})
      expectNothingLeft(
          kind, mode,
          [](Communicator& communicator, int rank) {
            work(communicator);
            if (rank == 1) communicator.abort();
            communicator.barrier();
          },
          ErrorCode::aborted);
}

TEST(Leftovers, NothingIsLeftOfAWorldThatCouldNotBeMade) {
  const auto options = [](int rank) {
    Options mine = optionsOf(Mode::p2p);
    if (rank == 1) mine.algorithm = "ring";
    return mine;
  };
  expectNothingLeft(
      Kind::sockets, options, [](Communicator&, int) {}, ErrorCode::mismatch);
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
  for (const Kind kind : kKinds)
    for (const Mode mode : {Mode::p2p, Mode::ccMulticast})
      expectNothingLeft(kind, mode, [](Communicator& communicator, int rank) {
        haveChildren(communicator, rank);
        work(communicator);
      });
}

TEST(Leftovers, NothingIsLeftOfChildrenWhoseParentFailed) {
  for (const Kind kind : kKinds)
    for (const Mode mode : {Mode::multicast, Mode::cc})
      expectNothingLeft(
          kind, mode,
          [](Communicator& communicator, int rank) {
            auto half = communicator.split(rank % 2, -rank);
            if (rank == 1) communicator.abort();
            Communicator rest = communicator.shrink();
            work(rest);
            static_cast<void>(communicator.duplicate());
          },
          ErrorCode::aborted);
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
