// The explorer itself: litmus tests of the C++ memory model with known verdicts, and programs that
// it must refuse.
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/model/explorer.hpp"

namespace lockstep::model {
namespace {

using testing::HasSubstr;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

Step store(std::size_t word, std::uint64_t value, std::memory_order order) {
  return {"store", [=](Machine& m) {
            m.store(word, value, order);
            return Outcome::done;
          }};
}
/// Loads into a variable of the thread.
Step load(std::size_t word, std::size_t local, std::memory_order order) {
  return {"load", [=](Machine& m) {
            m.local(local) = static_cast<Byte>(m.load(word, order));
            return Outcome::done;
          }};
}
Step fence() {
  return {"fence", [](Machine& m) {
            m.fence();
            return Outcome::done;
          }};
}
Step await(std::size_t word, std::uint64_t value, std::memory_order order) {
  return {"await", [=](Machine& m) {
            return m.load(word, order) == value ? Outcome::done : Outcome::blocked;
          }};
}
Step write(std::size_t cell) {
  return {"write", [=](Machine& m) {
            m.write(cell, 1);
            return Outcome::done;
          }};
}
Step read(std::size_t cell) {
  return {"read", [=](Machine& m) {
            m.read(cell);
            return Outcome::done;
          }};
}

/// Threads of one lane; word i is written by thread i and read by all.
Program program(const std::vector<Lane>& lanes, std::size_t words) {
  Program made;
  std::vector<std::size_t> all;
  for (std::size_t t = 0; t < lanes.size(); ++t) {
    made.threads.push_back({{lanes[t]}});
    all.push_back(t);
  }
  for (std::size_t word = 0; word < words; ++word)
    made.words.push_back({.name = "word", .writer = word, .readers = all});
  return made;
}

/// Can the threads end with these variables?
using Ending = std::function<bool(const Core&)>;
bool reachable(Program made, const Ending& ending) {
  made.atEnd = [&](const Core& core) { return ending(core) ? std::string("reached") : ""; };
  const Report report = explore(made);
  EXPECT_TRUE(report.ok() || report.fault == "reached") << report.text();
  return !report.ok();
}

Byte local(const Core& core, std::size_t thread, std::size_t index) {
  return core.threads[thread].local[index];
}

TEST(Litmus, StoreBufferingNeedsBothFences) {
  const Ending neither = [](const Core& c) { return local(c, 0, 0) == 0 && local(c, 1, 0) == 0; };
  const auto threads = [](bool first, bool second) {
    Lane a{store(0, 1, kRelease)}, b{store(1, 1, kRelease)};
    if (first) a.push_back(fence());
    if (second) b.push_back(fence());
    a.push_back(load(1, 0, kAcquire));
    b.push_back(load(0, 0, kAcquire));
    return program({a, b}, 2);
  };
  EXPECT_TRUE(reachable(threads(false, false), neither));
  EXPECT_TRUE(reachable(threads(true, false), neither));
  EXPECT_TRUE(reachable(threads(false, true), neither));
  EXPECT_FALSE(reachable(threads(true, true), neither));
}

TEST(Litmus, StoreBufferingNeedsBothSidesSequentiallyConsistent) {
  const Ending neither = [](const Core& c) { return local(c, 0, 0) == 0 && local(c, 1, 0) == 0; };
  const auto threads = [](bool first, bool second) {
    const auto order = [](bool strong, std::memory_order else_) {
      return strong ? std::memory_order_seq_cst : else_;
    };
    return program({{store(0, 1, order(first, kRelease)), load(1, 0, order(first, kAcquire))},
                    {store(1, 1, order(second, kRelease)), load(0, 0, order(second, kAcquire))}},
                   2);
  };
  EXPECT_TRUE(reachable(threads(false, false), neither));
  EXPECT_TRUE(reachable(threads(true, false), neither));
  EXPECT_TRUE(reachable(threads(false, true), neither));
  EXPECT_FALSE(reachable(threads(true, true), neither));
  Program weak = threads(true, true);
  for (WordSpec& word : weak.words) word.weak = true;
  EXPECT_TRUE(reachable(weak, neither));
}

// Thread 0 owns the flag, thread 1 reads it: a second word of thread 0 is the payload.
TEST(Litmus, MessagePassingNeedsReleaseAndAcquire) {
  const Ending stale = [](const Core& c) { return local(c, 1, 0) == 1 && local(c, 1, 1) == 0; };
  const auto threads = [](std::memory_order stores, std::memory_order loads, bool fences) {
    Lane a{store(1, 1, kRelaxed)}, b{load(0, 0, loads)};
    if (fences) a.push_back(fence());
    if (fences) b.push_back(fence());
    a.push_back(store(0, 1, stores));
    b.push_back(load(1, 1, kRelaxed));
    Program made = program({a, b}, 2);
    made.words[1].writer = 0;
    return made;
  };
  EXPECT_TRUE(reachable(threads(kRelaxed, kRelaxed, false), stale));
  EXPECT_TRUE(reachable(threads(kRelease, kRelaxed, false), stale));
  EXPECT_TRUE(reachable(threads(kRelaxed, kAcquire, false), stale));
  EXPECT_FALSE(reachable(threads(kRelease, kAcquire, false), stale));
  EXPECT_FALSE(reachable(threads(kRelaxed, kRelaxed, true), stale));
}

TEST(Litmus, AWordNeverGoesBack) {
  const Program made = program({{store(0, 1, kRelaxed), store(0, 2, kRelaxed)},
                                {load(0, 0, kRelaxed), load(0, 1, kRelaxed)}},
                               1);
  EXPECT_TRUE(reachable(made, [](const Core& c) { return local(c, 1, 1) == 0; }));
  EXPECT_FALSE(reachable(made, [](const Core& c) { return local(c, 1, 0) > local(c, 1, 1); }));
}

TEST(Litmus, ReadersMayDisagreeOnTheOrderOfTwoWriters) {
  const Ending disagree = [](const Core& c) {
    return local(c, 2, 0) == 1 && local(c, 2, 1) == 0 && local(c, 3, 0) == 1 && local(c, 3, 1) == 0;
  };
  const auto threads = [](bool fences) {
    Lane c{load(0, 0, kAcquire)}, d{load(1, 0, kAcquire)};
    if (fences) c.push_back(fence());
    if (fences) d.push_back(fence());
    c.push_back(load(1, 1, kAcquire));
    d.push_back(load(0, 1, kAcquire));
    return program({{store(0, 1, kRelease)}, {store(1, 1, kRelease)}, c, d}, 2);
  };
  EXPECT_TRUE(reachable(threads(false), disagree));
  EXPECT_FALSE(reachable(threads(true), disagree));
}

TEST(Litmus, ReleaseAndAcquireAreCumulative) {
  const Program made = program({{store(0, 1, kRelaxed), store(3, 1, kRelease)},
                                {await(3, 1, kAcquire), store(1, 1, kRelease)},
                                {await(1, 1, kAcquire), load(0, 0, kRelaxed)}},
                               2);
  Program owned = made;
  owned.words.resize(4, owned.words[0]);  // words 2 and 3 are thread 0's too
  EXPECT_FALSE(reachable(owned, [](const Core& c) { return local(c, 2, 0) == 0; }));
}

// The one thing that C++ allows and this model leaves out.
TEST(Litmus, LoadBufferingIsNotExplored) {
  const Program made = program({{load(1, 0, kRelaxed), store(0, 1, kRelaxed)},
                                {load(0, 0, kRelaxed), store(1, 1, kRelaxed)}},
                               2);
  EXPECT_FALSE(
      reachable(made, [](const Core& c) { return local(c, 0, 0) == 1 && local(c, 1, 0) == 1; }));
}

TEST(Litmus, RacesAreFound) {
  const auto fault = [](const Lane& a, const Lane& b) { return explore(program({a, b}, 2)).fault; };
  EXPECT_THAT(fault({write(0)}, {read(0)}), HasSubstr("data race"));
  EXPECT_THAT(fault({write(0)}, {write(0)}), HasSubstr("data race"));
  EXPECT_EQ(fault({read(0)}, {read(0)}), "");
  EXPECT_EQ(fault({write(0), store(0, 1, kRelease)}, {await(0, 1, kAcquire), read(0)}), "");
  EXPECT_THAT(fault({write(0), store(0, 1, kRelaxed)}, {await(0, 1, kAcquire), read(0)}),
              HasSubstr("data race"));
  EXPECT_THAT(fault({write(0), store(0, 1, kRelease), write(0)}, {await(0, 1, kAcquire), read(0)}),
              HasSubstr("data race"));
  EXPECT_EQ(
      fault({write(0), fence(), store(0, 1, kRelaxed)}, {await(0, 1, kRelaxed), fence(), read(0)}),
      "");
  // Fences order, but they do not synchronise unless a value is read.
  EXPECT_THAT(fault({write(0), fence()}, {fence(), read(0)}), HasSubstr("data race"));
}

TEST(Litmus, WaitingForEverIsFound) {
  EXPECT_THAT(explore(program({{await(1, 1, kAcquire)}, {}}, 2)).fault,
              HasSubstr("deadlock: thread 0 waits at await"));
  const Step round{"turn round", [](Machine& m) {
                     m.local(0) ^= 1;
                     return Outcome::again;
                   }};
  EXPECT_THAT(explore(program({{round}}, 0)).fault, HasSubstr("livelock"));
}

TEST(Litmus, TraceLeadsToTheFault) {
  const Report report =
      explore(program({{write(0), store(0, 1, kRelaxed)}, {await(0, 1, kAcquire), read(0)}}, 1));
  EXPECT_THAT(report.trace, testing::ElementsAre("thread 0: write", "thread 0: store",
                                                 "thread 1: await", "thread 1: read"));
}

TEST(Litmus, MalformedProgramsAreRefused) {
  const Step both{"store, load", [](Machine& m) {
                    m.store(0, 1, kRelease);
                    m.load(1, kAcquire);
                    return Outcome::done;
                  }};
  EXPECT_THROW(explore(program({{both}, {}}, 2)), std::logic_error);
  EXPECT_THROW(explore(program({{store(1, 1, kRelease)}, {}}, 2)), std::logic_error);
  Program undeclared = program({{}, {load(0, 0, kAcquire)}}, 1);
  undeclared.words[0].readers = {};
  EXPECT_THROW(explore(undeclared), std::logic_error);
}

}  // namespace
}  // namespace lockstep::model
