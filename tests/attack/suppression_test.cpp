// Every word that somebody waits for, held at what it was: whoever waits goes on without it or
// comes to its deadline. Nobody hangs, and nobody has a wrong result.
#include <algorithm>
#include <array>
#include <functional>
#include <latch>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>

#include "attack/arena.hpp"
#include "attack/scenes.hpp"
#include "base/clock.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;
using shm::Protocol;

// ---- stepped: no rank ever sees the word change ----

struct Held {
  int trials = 0, stalled = 0, right = 0;
};

/// A word of the second call is put back after each step of any rank.
void hold(SteppedWorld& world, std::mt19937& random, shm::Word& word, const Spot& at, Held& held) {
  const std::uint64_t old = word.load();
  const auto fates = world.drive(random, [&](int, const std::vector<Message>&) {
    word.store(old);
    return false;
  });
  ++held.trials;
  EXPECT_TRUE(world.errors().empty());
  EXPECT_EQ(std::ranges::find(fates, Fate::wrong), fates.end());
  if (std::ranges::find(fates, Fate::stalled) == fates.end()) {
    ++held.right;
    return;
  }
  ++held.stalled;
  // Somebody waits for this very word, or for the line after it in its slot.
  bool named = false;
  for (int rank = 0; rank < world.view().world(); ++rank) {
    const shm::Word* awaited = world.awaited(rank);
    named |= awaited == &word || (awaited != nullptr && world.spotOf(awaited) == at);
  }
  EXPECT_TRUE(named);
}

/// Where the next call's first message of a channel will lie, and how large it is: as this call's.
struct Next {
  Spot at;
  std::size_t bytes = 0;
};
Next nextLike(const SteppedWorld& world, const Message& like) {
  const auto channelOf = [](const Message& m) {
    return std::tuple(m.at.writer, m.at.channel, m.at.protocol);
  };
  const Message *first = &like, *last = &like;
  for (const Message& m : world.history()) {
    if (channelOf(m) != channelOf(like)) continue;
    if (m.step < first->step) first = &m;
    if (m.step > last->step) last = &m;
  }
  Spot at = like.at;
  at.slot = (last->step + 1) % shm::slotsOf(at.protocol);
  return {at, first->content.size()};
}

/// The second call of a scene has begun; returns some message of the first.
const Message& beginSecond(SteppedWorld& world, const Scene& scene, std::mt19937& random) {
  world.renew(scene, {});
  world.playUntouched(random);
  const std::size_t some = random() % world.history().size();
  world.begin();
  return world.history()[some];
}

TEST(Suppression, AFlagThatIsHeldStallsWhoeverWaitsForIt) {
  Held held;
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const Scene scene = drawScene(random);
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, toString(scene)));
    SteppedWorld& world = steppedWorld(scene.world);
    const Next next = nextLike(world, beginSecond(world, scene, random));
    shm::Word& word = isLines(next.at.protocol)
                          ? world.view().lines(next.at)[random() % shm::linesOf(next.bytes)].flag
                          : world.view().flag(next.at);
    hold(world, random, word, next.at, held);
  }
  fmt::print("flags held: {} stalled, {} right of {}\n", held.stalled, held.right, held.trials);
  EXPECT_GE(held.stalled, held.trials * 3 / 4);
}

TEST(Suppression, ACreditThatIsHeldStallsWhoeverWaitsForIt) {
  Held held;
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const Scene scene = drawLongScene(random);
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, toString(scene)));
    SteppedWorld& world = steppedWorld(scene.world);
    const Spot at = beginSecond(world, scene, random).at;
    const auto readers = world.readersOf(at);
    hold(world, random, world.view().credit(at, readers[random() % readers.size()]), at, held);
  }
  fmt::print("credits held: {} stalled, {} right of {}\n", held.stalled, held.right, held.trials);
  EXPECT_GE(held.stalled, held.trials / 2);
}

// ---- communicators: whoever waits for what is held comes to its deadline ----

/// Rank 0 has waited for rank 1 in vain; or, if it came late itself, rank 1 for it before.
void expectDeadline(const std::vector<Outcome>& outcomes, std::string_view operation) {
  const std::size_t late = outcomes[0].code == ErrorCode::timeout ? 0 : 1;
  EXPECT_EQ(outcomes[late].code, ErrorCode::timeout) << describe(outcomes);
  EXPECT_EQ(outcomes[late].blamed, late == 0 ? 1 : 0) << describe(outcomes);
  EXPECT_TRUE(outcomes[0].operation.starts_with(operation)) << describe(outcomes);
  const Outcome& other = outcomes[1 - late];
  EXPECT_TRUE((late == 0 && other.ok) || other.code == ErrorCode::aborted ||
              other.code == ErrorCode::timeout)
      << describe(outcomes);
}

/// Rank 1 goes first; what it has written of `words` is put back; then comes rank 0.
std::vector<Outcome> suppress(Arena& arena, const Words& words,
                              const std::function<void(Communicator&, int rank)>& what) {
  const Before before(words);
  return arena.play([&](Communicator& comm, int rank) {
    if (rank == 0) {
      before.awaitChange();
      before.putBack();
    }
    what(comm, rank);
  });
}

void sumOne(Communicator& comm, int rank) {
  std::int32_t value = rank + 1;
  comm.allReduce(&value, &value, 1, DataType::i32);
  require(value == 3, "a wrong sum");
}

TEST(Suppression, AHeldFlagEndsACall) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast, Mode::p2p})
    for (const char* protocol : {"ll", "simple"}) {
      SCOPED_TRACE(fmt::format("{} {}", name(mode), protocol));
      Arena arena(2, mode, "one_shot", protocol);
      expectDeadline(suppress(arena, arena.flagsOf(1), sumOne), "allreduce #1");
    }
}

TEST(Suppression, AHeldFlagEndsABarrier) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast, Mode::p2p}) {
    SCOPED_TRACE(name(mode));
    Arena arena(2, mode);
    expectDeadline(
        suppress(arena, arena.flagsOf(1), [](Communicator& comm, int) { comm.barrier(); }),
        "barrier #1");
  }
}

/// A root runs ahead of its readers by as many messages as a channel has slots.
TEST(Suppression, AHeldCreditEndsACall) {
  struct Case {
    const char* protocol;
    std::size_t slots;
  };
  for (const Mode mode : {Mode::cc, Mode::ccMulticast, Mode::p2p})
    for (const auto& [protocol, slots] :
         {Case{"ll", shm::slotsOf(Protocol::brief)}, Case{"simple", shm::kSlots}}) {
      SCOPED_TRACE(fmt::format("{} {}", name(mode), protocol));
      Arena arena(2, mode, "direct", protocol);
      const Before before(arena.creditsOf(1));
      const auto broadcast = [](Communicator& comm) {
        std::int32_t value = 7;
        comm.broadcast(&value, &value, 1, DataType::i32, 0);
      };
      const auto outcomes = arena.play([&, most = slots](Communicator& comm, int) {
        for (std::size_t i = 0; i < most; ++i) broadcast(comm);
      });
      ASSERT_EQ(failures(outcomes), "");
      before.putBack();
      expectDeadline(arena.play([&](Communicator& comm, int rank) {
        if (rank == 0) broadcast(comm);
      }),
                     fmt::format("broadcast #{}", slots + 1));
    }
}

/// Of a transfer that is one message, and of one whose payload follows in slots.
TEST(Suppression, AHeldFlagEndsATransfer) {
  struct Case {
    Mode mode;
    std::size_t bytes;
    bool payload;
  };
  for (const Case& c : {Case{Mode::cc, 8, false}, Case{Mode::cc, 100000, false},
                        Case{Mode::cc, 100000, true}, Case{Mode::p2p, 8, false}}) {
    SCOPED_TRACE(fmt::format("{} {} {}", name(c.mode), c.bytes, c.payload));
    Arena arena(2, c.mode);
    shm::OutArea& channel = arena.view().out(1, 0);
    // One message has crossed when segments were told apart.
    const Before before({c.payload ? &channel.headers[0].flag : &channel.lines[1][0].flag});
    std::latch sent(1);
    const auto outcomes = arena.play([&](Communicator& comm, int rank) {
      std::vector<std::uint8_t> data(c.bytes);
      if (rank == 1) {
        comm.send(data.data(), c.bytes, DataType::u8, 0);
        sent.count_down();
        return;
      }
      sent.wait();
      before.putBack();
      comm.receive(data.data(), c.bytes, DataType::u8, 1);
    });
    expectDeadline(outcomes, "receive of");
  }
}

/// As many messages as a channel has slots have been received.
TEST(Suppression, AHeldCreditEndsATransfer) {
  constexpr std::size_t kTile = std::size_t{32} << 10;
  struct Case {
    std::size_t times, bytes, last;
  };
  // In lines, where one has crossed already; in slots.
  for (const Case& c : {Case{shm::kSlots - 1, 8, 8}, Case{1, shm::kSlots * kTile, kTile}}) {
    SCOPED_TRACE(c.bytes);
    Arena arena(2, Mode::cc);
    const Before before(arena.creditsOf(1));
    std::vector<std::uint8_t> out(c.bytes), in(c.bytes);
    const auto outcomes = arena.play([&](Communicator& comm, int rank) {
      for (std::size_t i = 0; i < c.times; ++i)
        if (rank == 0)
          comm.send(out.data(), c.bytes, DataType::u8, 1);
        else
          comm.receive(in.data(), c.bytes, DataType::u8, 0);
    });
    ASSERT_EQ(failures(outcomes), "");
    before.putBack();
    expectDeadline(arena.play([&](Communicator& comm, int rank) {
      for (int i = 0; rank == 0 && i < 9; ++i) comm.send(out.data(), c.last, DataType::u8, 1);
    }),
                   "send of");
  }
}

/// In the clear ranks read each other's memory in place, when it has been exposed.
TEST(Suppression, AHeldExposureEndsACall) {
  Arena arena(2, Mode::p2p, "one_shot", "zero_copy");
  expectDeadline(suppress(arena, {&arena.view().control(1).exposure.entered}, sumOne),
                 "allreduce #1");
}

/// Rank 0 exposes its buffer, and goes on when rank 1 has read it and let go of it.
TEST(Suppression, AHeldReleaseEndsACall) {
  Arena arena(2, Mode::p2p, "one_shot", "zero_copy");
  const Before before({&arena.view().control(1).release.released});
  std::latch exposed(1);
  const auto outcomes = arena.play([&](Communicator& comm, int rank) {
    if (rank == 1) {
      exposed.wait();
      return sumOne(comm, rank);
    }
    std::int32_t value = 1;
    Group group;
    group.run(comm, Collective::allReduce, &value, &value, 1, DataType::i32);
    Work work = group.start();
    for (int looks = 0; looks < 5; ++looks) require(!work.test(), "nobody else is there yet");
    exposed.count_down();
    before.awaitChange();
    before.putBack();
    work.wait();
  });
  expectDeadline(outcomes, "allreduce #1");
}

/// In the clear a long transfer stays where it is until its receiver has fetched it.
TEST(Suppression, AHeldReturnEndsATransfer) {
  constexpr std::size_t kBytes = 100000;
  Arena arena(2, Mode::p2p);
  const Before before(arena.creditsOf(1));
  std::latch lent(1);
  const auto outcomes = arena.play([&](Communicator& comm, int rank) {
    std::vector<std::uint8_t> data(kBytes, static_cast<std::uint8_t>(1 - rank));
    if (rank == 1) {
      lent.wait();
      comm.receive(data.data(), kBytes, DataType::u8, 0);
      return require(data == std::vector<std::uint8_t>(kBytes, 1), "wrong bytes");
    }
    Group group;
    group.send(comm, data.data(), kBytes, DataType::u8, 1);
    Work work = group.start();
    for (int looks = 0; looks < 5; ++looks) require(!work.test(), "nobody has fetched it yet");
    lent.count_down();
    before.awaitChange();
    before.putBack();
    work.wait();
  });
  expectDeadline(outcomes, "send of");
}

TEST(Suppression, AHeldAbortLeavesEachRankItsOwnDeadline) {
  for (const Mode mode : {Mode::cc, Mode::p2p}) {
    Arena arena(3, mode);
    const Before before({&arena.view().control(2).status.presence});
    arena.ranks()[2].abort();
    before.putBack();
    const Holder holder(
        {&arena.view().control(0).status.presence, &arena.view().control(1).status.presence});
    const auto outcomes = arena.play([&](Communicator& comm, int rank) {
      if (rank != 2) comm.barrier();
    });
    for (const int rank : {0, 1}) {
      const Outcome& outcome = outcomes[static_cast<std::size_t>(rank)];
      // That the other has failed, one may see before it is unsaid.
      EXPECT_TRUE(outcome.code == ErrorCode::timeout || outcome.code == ErrorCode::aborted)
          << describe(outcomes);
      if (outcome.code == ErrorCode::timeout) {
        EXPECT_EQ(outcome.blamed, 2) << describe(outcomes);
      }
    }
    EXPECT_TRUE(outcomes[0].code == ErrorCode::timeout || outcomes[1].code == ErrorCode::timeout);
  }
}

TEST(Suppression, AHeldDepartureLeavesEachRankItsOwnDeadline) {
  Arena arena(3, Mode::cc);
  const Before before({&arena.view().control(2).status.presence});
  { const Communicator gone = std::move(arena.ranks()[2]); }
  before.putBack();
  const auto outcomes = arena.play([&](Communicator& comm, int rank) {
    if (rank != 2) comm.barrier();
  });
  for (const std::size_t rank : {std::size_t{0}, std::size_t{1}})  // the kernel's word is not held
    EXPECT_TRUE(outcomes[rank].code == ErrorCode::timeout ||
                outcomes[rank].code == ErrorCode::peerDied ||
                outcomes[rank].code == ErrorCode::aborted)
        << describe(outcomes);
}

// ---- whoever waits is told by words alone that it waits in vain ----

/// By its own words the sender has made this very call: what is missing may have been held back.
TEST(Suppression, AFlagHeldUntilItsSenderHasGoneOnIsToldAsWhatItMayBe) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast, Mode::p2p})
    for (const char* protocol : {"ll", "simple"}) {
      SCOPED_TRACE(fmt::format("{} {}", name(mode), protocol));
      Arena arena(2, mode, "direct", protocol);
      const Before before(arena.flagsOf(1));
      std::latch gone(1);
      const auto outcomes = arena.play([&](Communicator& comm, int rank) {
        std::int32_t value = 7;
        if (rank == 0) {
          gone.wait();
          before.putBack();
        }
        comm.broadcast(&value, &value, 1, DataType::i32, 1);
        if (rank == 0) return;
        comm.broadcast(&value, &value, 1, DataType::i32, 1);
        gone.count_down();
      });
      EXPECT_TRUE(outcomes[1].ok);
      EXPECT_EQ(outcomes[0].code, ErrorCode::mismatch) << describe(outcomes);
      EXPECT_EQ(outcomes[0].blamed, 1);
      for (const std::string_view words : {std::string_view("held back"), shm::kHearsay})
        EXPECT_EQ(outcomes[0].text.find(words) != std::string::npos, isSealed(mode))
            << outcomes[0].text;
    }
}

/// Rank 1 makes no call, and is said to make others than rank 0.
TEST(Suppression, AMismatchByWordsAloneIsCalledHearsay) {
  struct Case {
    std::uint64_t sequence;
    bool receives;
  };
  for (const Mode mode : {Mode::cc, Mode::ccMulticast, Mode::ccMasked, Mode::p2p})
    for (const auto& [sequence, receives] :
         {Case{1, false}, Case{2, false}, Case{100, false}, Case{1, true}}) {
      SCOPED_TRACE(fmt::format("{} {} {}", name(mode), sequence, receives));
      Arena arena(2, mode);
      for (std::uint64_t i = 1; i <= sequence; ++i)
        shm::announce(arena.view().control(1).call,
                      {.sequence = i, .type = DataType::i32, .count = 9});
      const auto outcomes = arena.play([&, receive = receives](Communicator& comm, int rank) {
        if (rank == 1) return;
        std::array<std::int32_t, 3> data{};
        if (receive)
          comm.receive(data.data(), data.size(), DataType::i32, 1);
        else
          comm.allReduce(data.data(), data.data(), data.size(), DataType::i32);
      });
      EXPECT_EQ(outcomes[0].code, ErrorCode::mismatch) << describe(outcomes);
      EXPECT_EQ(outcomes[0].text.find(shm::kHearsay) != std::string::npos, isSealed(mode))
          << outcomes[0].text;
    }
}

/// What ranks call serves error texts; calls that differ fail without it.
TEST(Suppression, AHeldCallLineHidesNoMismatch) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    Arena arena(2, mode, "one_shot", "ll");
    shm::CallLine& line = arena.view().control(1).call;
    const Holder holder({&line.version, &line.sequence, &line.calls[1].what, &line.calls[1].count});
    const auto outcomes = arena.play([&](Communicator& comm, int rank) {
      std::array<std::int32_t, 2> data{1, 1};
      comm.allReduce(data.data(), data.data(), static_cast<std::size_t>(1 + rank), DataType::i32);
    });
    bool told = false;
    for (const Outcome& outcome : outcomes) {
      EXPECT_FALSE(outcome.ok) << describe(outcomes);
      told |= outcome.code == ErrorCode::integrity || outcome.code == ErrorCode::mismatch;
    }
    EXPECT_TRUE(told) << describe(outcomes);
  }
}

/// Ranks that outnumber cores sleep, and are woken; if they are said to be awake, they wake up by
/// themselves.
TEST(Suppression, AHeldSleepWordOnlyCostsTime) {
  cpu_set_t all, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  Arena arena(2, Mode::cc);
  ASSERT_EQ(::sched_setaffinity(0, sizeof all, &all), 0);
  const Holder holder(
      {&arena.view().control(0).sleep.asleep, &arena.view().control(1).sleep.asleep});
  EXPECT_EQ(failures(arena.play([&](Communicator& comm, int rank) {
              for (int call = 0; call < 50; ++call) sumOne(comm, rank);
            })),
            "");
}

}  // namespace
}  // namespace lockstep::testing
