// What ranks say of themselves in the clear (who is there, who has failed and whom it blames, what
// it calls) says nothing but lies, while others wait: that ends a call at most.
#include <algorithm>
#include <array>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "attack/arena.hpp"
#include "base/clock.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kWorld = 3;

/// What is written into a rank's control words.
struct Lie {
  const char* name;
  bool ends;  ///< others must take it for what it says
  void (*tell)(shm::ControlArea&, std::mt19937&);
};

/// Small numbers mean most here: an index, a code.
std::uint64_t any(std::mt19937& random) {
  return random() % 4 == 0 ? std::uint64_t{random()} << 32 | random() : random() % 5;
}
void scatter(std::mt19937& random, const Words& words) {
  for (shm::Word* word : words) word->store(any(random));
}
void say(shm::ControlArea& c, shm::Presence presence) {
  c.status.presence.store(static_cast<std::uint64_t>(presence));
}

using Random = std::mt19937;
constexpr std::array kLies{
    Lie{"failed", true, [](shm::ControlArea& c, Random&) { say(c, shm::Presence::failed); }},
    Lie{"failed, and why", true,
        [](shm::ControlArea& c, Random& random) {
          scatter(random,
                  {&c.status.errorCode, &c.status.culprit, &c.status.witness, &c.status.sequence});
          say(c, shm::Presence::failed);
        }},
    Lie{"left", false, [](shm::ControlArea& c, Random&) { say(c, shm::Presence::left); }},
    Lie{"presence", false,
        [](shm::ControlArea& c, Random& random) { scatter(random, {&c.status.presence}); }},
    Lie{"another call", true,
        [](shm::ControlArea& c, Random& random) {
          scatter(random, {&c.call.calls[1].count});
          c.call.calls[1].what.store(random() % 2);
          c.call.sequence.store(1);
        }},
    Lie{"any call", false,
        [](shm::ControlArea& c, Random& random) {
          shm::CallLine::Call& call = c.call.calls[random() % 4];
          scatter(random, {&c.call.sequence, &call.what, &call.count, &c.call.transfers});
        }},
    Lie{"half a call", false, [](shm::ControlArea& c, Random&) { c.call.version.store(1); }},
    Lie{"exposures", false,
        [](shm::ControlArea& c, Random& random) {
          scatter(random,
                  {&c.exposure.entered, &c.exposure.fingerprint, &c.exposure.inRegion,
                   &c.exposure.in, &c.exposure.outRegion, &c.exposure.out, &c.release.released});
        }},
    Lie{"sleep", false, [](shm::ControlArea& c, Random&) { c.sleep.asleep.store(1); }}};

/// Until somebody has failed, or nobody seems to.
void lookOn(const Arena& arena) {
  const auto failed = [&](int rank) {
    return arena.view().control(rank).status.presence.load() ==
           static_cast<std::uint64_t>(shm::Presence::failed);
  };
  for (const Deadline deadline = Deadline::in(50ms); !deadline.passed() && !failed(0);)
    std::this_thread::yield();
}

/// Ranks 0 and 1 wait for rank 2; then words of rank 2 are forged; then comes rank 2.
std::vector<Outcome> tell(Arena& arena, const Lie& lie, std::mt19937& random) {
  return arena.play([&](Communicator& comm, int rank) {
    if (rank == 2) {
      const shm::Word& called = arena.view().control(0).call.sequence;
      for (const Deadline deadline = Deadline::in(20s); called.load() == 0 && !deadline.passed();)
        std::this_thread::yield();
      lie.tell(arena.view().control(2), random);
      lookOn(arena);
    }
    std::array<std::uint32_t, 9> data;
    data.fill(1U << rank);
    comm.allReduce(data.data(), data.data(), data.size(), DataType::u32);
    require(std::ranges::count(data, 7U) == 9, "a wrong sum");
  });
}

TEST(ControlForgery, LiesEndACallAtMost) {
  constexpr int kTrials = 12;
  std::mt19937 random(9);
  for (const Lie& lie : kLies) {
    SCOPED_TRACE(lie.name);
    int right = 0, ended = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      Arena arena(kWorld, trial % 2 == 0 ? Mode::cc : Mode::ccMulticast);
      const auto outcomes = tell(arena, lie, random);
      for (const Outcome& outcome : outcomes) {
        if (outcome.ok) continue;
        ASSERT_TRUE(outcome.code == ErrorCode::aborted || outcome.code == ErrorCode::mismatch ||
                    outcome.code == ErrorCode::peerDied || outcome.code == ErrorCode::timeout ||
                    outcome.code == ErrorCode::integrity)
            << describe(outcomes);
        ASSERT_GE(outcome.blamed, 0);
        ASSERT_LT(outcome.blamed, kWorld);
      }
      ++(failures(outcomes).empty() ? right : ended);
    }
    fmt::print("{:16} {:3} trials: {:3} right, {:3} ended\n", lie.name, kTrials, right, ended);
    if (lie.ends) {
      EXPECT_GE(ended, kTrials / 2);  // a rank may have no core until it is all over
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
