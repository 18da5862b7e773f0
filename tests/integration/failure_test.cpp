// What becomes of a world when one rank dies, comes late, calls something else, leaves, aborts or
// is another's child: an error on every other rank, soon, that says who and what.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr std::array kModesAll{Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast};
constexpr std::array kKindsAll{Kind::threads, Kind::sockets, Kind::processes};

/// A vector of ones, as ordinary memory.
std::vector<float> ones(std::size_t count) {
  return std::vector<float>(count, 1.0F);
}

void sumInPlace(Communicator& communicator, std::vector<float>& data) {
  communicator.allReduce(data.data(), data.data(), data.size(), DataType::f32);
}

// ---- a rank is killed ----

/// Nanoseconds of the monotonic clock; the same one in every process.
struct Times {
  std::atomic<std::int64_t> killed{0};
  std::array<std::atomic<std::int64_t>, 8> noticed{};
};

std::int64_t now() {
  return Clock::now().time_since_epoch().count();
}

struct Kill {
  Mode mode;
  std::size_t count;
  bool registered;
  bool attach;
};

/// Everyone reduces without end until rank 1 is killed by a thread of its own, in whatever it is
/// doing then. Returns the milliseconds until the last other rank knew.
double killOneOf(int worldSize, const Kill& kill) {
  Shared<Times> times;
  Options options = optionsOf(kill.mode);
  options.crossMemoryAttach = kill.attach;
  const auto outcomes =
      runRanks(Kind::processes, worldSize, options, [&](Communicator& communicator, int rank) {
        auto ordinary = ones(kill.registered ? 0 : kill.count);
        Buffer buffer;
        if (kill.registered) buffer = communicator.alloc(kill.count * sizeof(float));
        void* data = kill.registered ? buffer.data() : ordinary.data();
        communicator.allReduce(data, data, kill.count, DataType::f32, Reduction::max);
        if (rank == 1)
          std::thread([&] {
            std::this_thread::sleep_for(30ms);
            times->killed = now();
            ::kill(::getpid(), SIGKILL);
          }).detach();
        try {
          for (;;) communicator.allReduce(data, data, kill.count, DataType::f32, Reduction::max);
        } catch (...) {
          times->noticed[static_cast<std::size_t>(rank)] = now();
          throw;
        }
      });
  bool blamed = false;
  std::int64_t last = 0;
  for (int r = 0; r < worldSize; ++r) {
    const Outcome& outcome = outcomes[static_cast<std::size_t>(r)];
    if (r == 1) {
      EXPECT_EQ(outcome.text, "killed by signal 9");
      continue;
    }
    EXPECT_TRUE(outcome.code == ErrorCode::peerDied || outcome.code == ErrorCode::aborted)
        << describe(outcomes);
    if (outcome.code == ErrorCode::peerDied && outcome.blamed == 1) blamed = true;
    last = std::max(last, times->noticed[static_cast<std::size_t>(r)].load());
  }
  EXPECT_TRUE(blamed) << describe(outcomes);
  return static_cast<double>(last - times->killed.load()) / 1e6;
}

TEST(Failure, AKilledRankIsAnErrorOnAllOthersSoon) {
  const Kill kills[] = {
      {Mode::p2p, 2, true, true},          {Mode::p2p, 2, false, true},
      {Mode::p2p, 4 << 20, true, true},    {Mode::p2p, 4 << 20, false, true},
      {Mode::p2p, 4 << 20, false, false},  {Mode::multicast, 4 << 20, false, false},
      {Mode::multicast, 1000, true, true}, {Mode::cc, 2, false, false},
      {Mode::cc, 4 << 20, false, false},   {Mode::ccMulticast, 4 << 20, true, false},
  };
  double slowest = 0;
  for (const int worldSize : {2, 4})
    for (const Kill& kill : kills) {
      SCOPED_TRACE(fmt::format("{} ranks, {}, count {}, {}, {} attach", worldSize, name(kill.mode),
                               kill.count, kill.registered ? "registered" : "ordinary",
                               kill.attach ? "with" : "without"));
      const double milliseconds = killOneOf(worldSize, kill);
      EXPECT_LT(milliseconds, 1000);  // promised: 100; a loaded machine may take its time
      slowest = std::max(slowest, milliseconds);
    }
  std::printf("the slowest rank knew of a death after %.1f ms\n", slowest);
}

// ---- a rank does not come ----

/// Ranks that are done, so that one that makes no call can stay until then.
using Done = std::atomic<int>;

void stayUntil(Done& done, int ranks) {
  while (done < ranks) std::this_thread::sleep_for(1ms);
}

TEST(Failure, ARankThatNeverCallsIsNamedWithOperationAndSequence) {
  for (const Kind kind : kKindsAll)
    for (const Mode mode : kModesAll)
      for (const std::string algorithm : {"", "ring"}) {
        SCOPED_TRACE(fmt::format("{}, {}, '{}'", name(kind), name(mode), algorithm));
        Shared<Done> done;
        Options options = optionsOf(mode);
        options.timeout = 500ms;
        options.algorithm = algorithm;
        const auto outcomes = runRanks(kind, 3, options, [&](Communicator& communicator, int rank) {
          communicator.barrier();
          if (rank == 2) return stayUntil(*done, 2);
          auto data = ones(100);
          try {
            sumInPlace(communicator, data);
          } catch (...) {
            ++*done;
            throw;
          }
          ++*done;
        });
        bool named = false;
        for (int r = 0; r < 2; ++r) {
          const Outcome& outcome = outcomes[static_cast<std::size_t>(r)];
          EXPECT_TRUE(outcome.code == ErrorCode::timeout || outcome.code == ErrorCode::aborted)
              << describe(outcomes);
          EXPECT_EQ(outcome.operation, "allreduce #2 (count 100, f32 sum)");
          if (outcome.code != ErrorCode::timeout) continue;
          named = true;
          EXPECT_EQ(outcome.blamed, 2) << describe(outcomes);
          EXPECT_THAT(outcome.text, HasSubstr("allreduce #2 (count 100, f32 sum)"));
          EXPECT_THAT(outcome.text, HasSubstr("rank 2"));
          EXPECT_THAT(outcome.text, HasSubstr("barrier #1"));
        }
        EXPECT_TRUE(named) << describe(outcomes);
      }
}

// ---- a rank calls something else ----

struct Call {
  bool barrier;
  std::size_t count;
  DataType type;
  Reduction reduction;

  std::string text() const {
    return barrier
               ? "barrier #2"
               : fmt::format("allreduce #2 (count {}, {} {})", count, name(type), name(reduction));
  }
  void make(Communicator& communicator, void* data) const {
    if (barrier) return communicator.barrier();
    communicator.allReduce(data, data, count, type, reduction);
  }
};

TEST(Failure, AMismatchedCallIsToldToEveryRankWithBothCalls) {
  constexpr Call kUsual{false, 8, DataType::f32, Reduction::sum};
  constexpr Call kLarge{false, 300000, DataType::f32, Reduction::sum};
  const std::pair<Call, Call> pairs[] = {
      {kUsual, {false, 7, DataType::f32, Reduction::sum}},
      {kUsual, {false, 8, DataType::i32, Reduction::sum}},
      {kUsual, {false, 8, DataType::f32, Reduction::max}},
      {kUsual, {true, 0, DataType::u8, Reduction::sum}},
      {{true, 0, DataType::u8, Reduction::sum}, kUsual},
      {kUsual, kLarge},  // another algorithm and protocol
      {kLarge, kUsual},
      {kLarge, {false, 299999, DataType::f32, Reduction::sum}},
      {kLarge, {false, 300000, DataType::f32, Reduction::prod}},
  };
  for (const Kind kind : {Kind::threads, Kind::processes})
    for (const Mode mode : kModesAll)
      for (const bool registered : {false, true})
        for (const auto& [usual, other] : pairs) {
          SCOPED_TRACE(fmt::format("{}, {}, {}: {} and {}", name(kind), name(mode),
                                   registered ? "registered" : "ordinary", usual.text(),
                                   other.text()));
          const auto outcomes =
              runRanks(kind, 3, optionsOf(mode), [&](Communicator& communicator, int rank) {
                Buffer buffer = communicator.alloc(registered ? 1200000 : 8);
                auto ordinary = ones(registered ? 0 : 300000);
                communicator.barrier();
                (rank == 2 ? other : usual)
                    .make(communicator, registered ? buffer.data() : ordinary.data());
                communicator.barrier();  // never
              });
          for (const Outcome& outcome : outcomes) {
            ASSERT_EQ(outcome.code, ErrorCode::mismatch) << describe(outcomes);
            EXPECT_THAT(outcome.text, HasSubstr("called " + usual.text()));
            EXPECT_THAT(outcome.text, HasSubstr("called " + other.text()));
          }
        }
}

/// Of two roots of a short message neither waits for anybody: both get what they have. Who next
/// receives from the other meets the message that it did not take.
TEST(Failure, DifferentRootsOfAShortMessageShowWhenOneReceivesFromTheOther) {
  for (const Kind kind : {Kind::threads, Kind::processes})
    for (const Mode mode : kModesAll) {
      SCOPED_TRACE(fmt::format("{}, {}", name(kind), name(mode)));
      const auto outcomes =
          runRanks(kind, 2, optionsOf(mode), [](Communicator& communicator, int rank) {
            int mine = rank + 1;
            communicator.broadcast(&mine, &mine, 1, DataType::i32, rank);
            require(mine == rank + 1, "a root got another's message");
            communicator.broadcast(&mine, &mine, 1, DataType::i32, 0);
            if (rank == 0) communicator.barrier();
          });
      EXPECT_EQ(outcomes[1].code, ErrorCode::mismatch) << describe(outcomes);
      EXPECT_EQ(outcomes[1].blamed, 0);
      EXPECT_THAT(outcomes[1].text, HasSubstr("broadcast #1 (count 1, i32, root 0)"));
      EXPECT_THAT(outcomes[1].text, HasSubstr("broadcast #1 (count 1, i32, root 1)"));
      EXPECT_FALSE(outcomes[0].ok) << describe(outcomes);
    }
}

// ---- a rank leaves or gives up ----

TEST(Failure, ARankThatDestroysItsCommunicatorEarlyIsNamed) {
  for (const Kind kind : kKindsAll)
    for (const Mode mode : kModesAll) {
      SCOPED_TRACE(fmt::format("{}, {}", name(kind), name(mode)));
      const auto outcomes =
          runRanks(kind, 3, optionsOf(mode), [](Communicator& communicator, int rank) {
            auto data = ones(5000);
            sumInPlace(communicator, data);
            if (rank != 1) sumInPlace(communicator, data);
          });
      EXPECT_TRUE(outcomes[1].ok) << describe(outcomes);
      bool named = false;
      for (const int r : {0, 2}) {
        const Outcome& outcome = outcomes[static_cast<std::size_t>(r)];
        EXPECT_TRUE(outcome.code == ErrorCode::peerDied || outcome.code == ErrorCode::aborted)
            << describe(outcomes);
        if (outcome.code == ErrorCode::peerDied && outcome.blamed == 1) named = true;
      }
      EXPECT_TRUE(named) << describe(outcomes);
    }
}

/// Leaving after one's last call is no failure, however long the others still take for theirs.
TEST(Failure, LeavingAfterTheLastCallIsNoFailure) {
  for (const Kind kind : kKindsAll)
    for (int round = 0; round < 20; ++round) {
      const auto outcomes =
          runRanks(kind, 5, optionsOf(Mode::p2p), [&](Communicator& communicator, int rank) {
            auto data = ones(3000);
            std::this_thread::sleep_for(std::chrono::milliseconds((rank + round) % 5 * 3));
            sumInPlace(communicator, data);
          });
      ASSERT_EQ(failures(outcomes), "") << name(kind);
    }
}

TEST(Failure, AnAbortFromAnotherThreadWakesAllRanks) {
  for (const Kind kind : kKindsAll)
    for (const Mode mode : kModesAll)
      for (const std::size_t count : {std::size_t{1}, std::size_t{300000}}) {
        SCOPED_TRACE(fmt::format("{}, {}, count {}", name(kind), name(mode), count));
        Shared<Done> done;
        const auto outcomes =
            runRanks(kind, 3, optionsOf(mode), [&](Communicator& communicator, int rank) {
              auto data = ones(count);
              sumInPlace(communicator, data);
              if (rank == 2) return stayUntil(*done, 2);
              std::thread aborter;
              if (rank == 0)
                aborter = std::thread([&] {
                  std::this_thread::sleep_for(20ms);
                  communicator.abort();
                });
              const auto begin = Clock::now();
              try {
                sumInPlace(communicator, data);
              } catch (const Error& error) {
                if (rank == 0) aborter.join();
                ++*done;
                require(error.code() == ErrorCode::aborted, error.what());
                require(Clock::now() - begin < 1s, "the abort took longer than a second");
                // And so does everything later.
                try {
                  communicator.barrier();
                } catch (const Error& later) {
                  require(later.code() == ErrorCode::aborted, later.what());
                  return;
                }
                throw std::runtime_error("a call after the abort succeeded");
              }
              throw std::runtime_error("an all-reduce without rank 2 succeeded");
            });
        EXPECT_EQ(failures(outcomes), "");
      }
}

// ---- another process with the same communicator ----

TEST(Failure, AForkedChildGetsAnErrorAndDisturbsNobody) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    SCOPED_TRACE(name(mode));
    const auto outcomes =
        runRanks(Kind::processes, 2, optionsOf(mode), [](Communicator& communicator, int rank) {
          auto data = ones(1000);
          sumInPlace(communicator, data);
          if (rank == 0) {
            const pid_t child = ::fork();
            if (child == 0) {
              const auto refused = [&](auto call) {
                try {
                  call();
                } catch (const Error& error) {
                  return error.code() == ErrorCode::invalidArgument &&
                         std::string(error.what()).find("fork") != std::string::npos;
                }
                return false;
              };
              const bool all = refused([&] { sumInPlace(communicator, data); }) &&
                               refused([&] { communicator.barrier(); }) &&
                               refused([&] { communicator.alloc(64); });
              { const Communicator destroyedHere = std::move(communicator); }
              ::_exit(all ? 0 : 1);
            }
            int status = 0;
            ::waitpid(child, &status, 0);
            require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child was not refused");
          }
          for (int i = 0; i < 100; ++i) sumInPlace(communicator, data);
          communicator.barrier();
        });
    EXPECT_EQ(failures(outcomes), "");
  }
}

/// A child's abort must not reach its parent's world either.
TEST(Failure, AForkedChildCannotAbort) {
  const auto outcomes =
      runRanks(Kind::processes, 2, optionsOf(Mode::p2p), [](Communicator& communicator, int rank) {
        communicator.barrier();
        if (rank == 0) {
          const pid_t child = ::fork();
          if (child == 0) {
            communicator.abort();
            ::_exit(0);
          }
          ::waitpid(child, nullptr, 0);
        }
        communicator.barrier();
        communicator.barrier();
      });
  EXPECT_EQ(failures(outcomes), "");
}

}  // namespace
}  // namespace lockstep::testing
