// The protocols of shared memory under the C++ memory model: every execution of small worlds, and
// mutants that must be caught.
#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/model/channel_program.hpp"
#include "support/model/expect.hpp"
#include "support/model/exposure_program.hpp"
#include "support/model/sleep_program.hpp"

namespace lockstep::model {
namespace {

using testing::HasSubstr;

// ---- channels ----

constexpr Transfer sends(int channel, int message = 0) {
  return {.to = channel, .toMessage = message};
}
constexpr Transfer takes(int channel, int message = 0) {
  return {.from = channel, .fromMessage = message};
}

/// Rank 0 sends to all others: `messages` tiles of one message, `depth` of them in flight.
ChannelWorld broadcast(std::size_t readers, std::size_t slots, std::size_t messages,
                       std::size_t depth = 1) {
  ChannelWorld world{.slots = slots, .channels = {{.writer = 0, .readers = {}}}};
  world.name = "1 writer, " + std::to_string(readers) + " readers, " + std::to_string(slots) +
               " slots, " + std::to_string(messages) + " messages, depth " + std::to_string(depth);
  ChannelCall call{.tiles = messages, .depth = depth, .perTile = 1, .ranks = {{sends(0)}}};
  for (std::size_t reader = 1; reader <= readers; ++reader) {
    world.channels[0].readers.push_back(reader);
    call.ranks.push_back({takes(0)});
  }
  world.calls.push_back(std::move(call));
  return world;
}

/// Two or three ranks send to each other on their own channels, as a one-shot all-reduce does.
ChannelWorld exchange(std::size_t ranks, std::size_t slots, std::size_t tiles, std::size_t depth) {
  ChannelWorld world{.slots = slots};
  world.name = std::to_string(ranks) + " ranks exchange, " + std::to_string(slots) + " slots, " +
               std::to_string(tiles) + " tiles, depth " + std::to_string(depth);
  ChannelCall call{.tiles = tiles, .depth = depth, .perTile = 1, .ranks = {}};
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    ChannelEnds ends{.writer = rank, .readers = {}};
    std::vector<Transfer> transfers{sends(static_cast<int>(rank))};
    for (std::size_t other = 0; other < ranks; ++other) {
      if (other == rank) continue;
      ends.readers.push_back(other);
      transfers.push_back(takes(static_cast<int>(other)));
    }
    world.channels.push_back(std::move(ends));
    call.ranks.push_back(std::move(transfers));
  }
  world.calls.push_back(std::move(call));
  return world;
}

/// Rank 0 sends two messages per tile to rank 1, which passes them on to rank 2.
ChannelWorld chain(std::size_t slots, std::size_t tiles, std::size_t depth) {
  ChannelWorld world{.slots = slots,
                     .channels = {{.writer = 0, .readers = {1}}, {.writer = 1, .readers = {2}}}};
  world.name = "chain, " + std::to_string(slots) + " slots, " + std::to_string(tiles) +
               " tiles of 2, depth " + std::to_string(depth);
  const auto passes = [](int message) {
    return Transfer{.from = 0, .fromMessage = message, .to = 1, .toMessage = message};
  };
  world.calls.push_back(
      {.tiles = tiles,
       .depth = depth,
       .perTile = 2,
       .ranks = {{sends(0, 0), sends(0, 1)}, {passes(0), passes(1)}, {takes(1, 0), takes(1, 1)}}});
  return world;
}

ChannelWorld withLines(ChannelWorld world, std::vector<std::size_t> lines) {
  world.name += ", ll";
  for (const std::size_t n : lines) world.name += " " + std::to_string(n);
  world.lines = std::move(lines);
  return world;
}

ChannelWorld readEachTime(ChannelWorld world) {
  world.name += ", credits read each time";
  world.remember = false;
  return world;
}

ChannelWorld modulo(ChannelWorld world, unsigned modulo) {
  world.name += ", flags modulo " + std::to_string(modulo);
  world.modulo = modulo;
  return world;
}

TEST(ChannelModel, InOrder) {
  std::vector<ChannelWorld> worlds;
  for (std::size_t readers : {1, 2})
    for (std::size_t slots : {1, 2, 3}) {
      worlds.push_back(broadcast(readers, slots, 4 * slots + 1));
      worlds.push_back(readEachTime(broadcast(readers, slots, 8 * slots + 1)));
    }
  worlds.push_back(broadcast(3, 2, 7));
  expectRight(worlds);
}

TEST(ChannelModel, TwoTilesInFlight) {
  expectRight<ChannelWorld>({broadcast(1, 1, 5, 2), broadcast(1, 2, 9, 2), broadcast(1, 3, 7, 2),
                             readEachTime(broadcast(1, 3, 9, 3)), broadcast(2, 2, 5, 2),
                             readEachTime(broadcast(2, 3, 7, 2)), exchange(2, 1, 4, 2),
                             exchange(2, 2, 4, 2), exchange(3, 1, 3, 1), chain(1, 3, 2),
                             chain(2, 3, 2)});
}

TEST(ChannelModel, TwoCallsShareTheChannel) {
  ChannelWorld differ = broadcast(2, 2, 3);  // in order, and then out of order
  differ.calls.push_back(differ.calls[0]);
  differ.calls[1].tiles = 4;
  differ.calls[1].depth = 2;
  differ.name += ", then 4 at depth 2";
  ChannelWorld twice = readEachTime(exchange(2, 2, 3, 2));
  twice.calls.push_back(twice.calls[0]);
  twice.name += ", twice";
  ChannelWorld turned = exchange(2, 2, 3, 1);  // rank 1 takes before it sends
  turned.calls.push_back({.tiles = 2,
                          .depth = 2,
                          .perTile = 1,
                          .ranks = {{sends(0), takes(1)}, {takes(0), sends(1)}}});
  turned.name += ", then one after the other";
  expectRight<ChannelWorld>({differ, twice, turned});
}

TEST(ChannelModel, Lines) {
  expectRight<ChannelWorld>(
      {withLines(broadcast(1, 1, 5), {2}), withLines(broadcast(1, 2, 9), {3}),
       withLines(broadcast(2, 2, 5), {2}), withLines(broadcast(1, 2, 7, 2), {2, 1, 2}),
       withLines(broadcast(2, 2, 7), {3, 1, 2}), withLines(exchange(2, 2, 4, 2), {2, 1})});
}

TEST(ChannelModel, WriterStopsAtAReaderThatNeverReads) {
  for (std::size_t slots : {1, 2, 3}) {
    SCOPED_TRACE(slots);
    ChannelWorld world = broadcast(2, slots, 2 * slots + 1);
    world.calls[0].ranks[2].clear();
    const Report report = explored(world);
    EXPECT_THAT(report.fault, HasSubstr("deadlock: thread 0 waits at sends message " +
                                        std::to_string(slots) + " on"))
        << report.text();
  }
}

// ---- flags that wrap ----

// With d messages in flight, a reader may look for step + 1 where the flag of any message since
// step - slots - d still stands, or the 0 of an untouched slot: slots + d values tell these apart,
// and 64 bits are far more. With `slots` values or fewer, the 0 or the message before is taken for
// the one awaited.
TEST(ChannelModel, FlagsMayWrapBeyondSlotsAndDepth) {
  for (unsigned slots : {1, 2, 3})
    for (unsigned depth : {1, 2}) {
      const auto flags = [&](unsigned width, std::size_t readers) {
        return modulo(readEachTime(broadcast(readers, slots, 5 * slots + 2 * depth, depth)), width);
      };
      expectRight<ChannelWorld>(
          {flags(slots + depth, 1), flags(slots + depth + 1, 1), flags(4 * slots + depth - 1, 1)});
      if (depth == 1)
        expectRight<ChannelWorld>({flags(slots + 1, 2), withLines(flags(slots + 1, 1), {2})});
      for (unsigned width = 1; width <= slots; ++width)
        EXPECT_FALSE(explore(flags(width, 1)).ok()) << flags(width, 1).name;
    }
}

// Lines that a short message leaves alone keep the flag of any earlier message: sooner or later a
// narrow flag stands there for the one awaited. Whole flags never repeat.
TEST(ChannelModel, FlagsOfLinesMustNotWrap) {
  for (unsigned slots : {1, 2}) {
    // In each slot one long message, then short ones, and a long one when the flag has come round.
    const unsigned rounds = 3, width = rounds * slots;
    std::vector<std::size_t> lines(width, 1);
    std::fill_n(lines.begin(), slots, 2);
    const ChannelWorld world = withLines(broadcast(1, slots, width + slots), lines);
    EXPECT_TRUE(explored(world).ok());
    EXPECT_FALSE(explored(modulo(world, width)).ok());
  }
}

// ---- mutants ----

TEST(ChannelModel, MutantsAreCaught) {
  using enum ChannelBug;
  const ChannelWorld plain = broadcast(1, 2, 5), two = broadcast(2, 2, 5);
  const ChannelWorld lines = withLines(broadcast(1, 2, 5), {2});
  const auto wraps = modulo(broadcast(1, 2, 9), 4);
  expectCaught<ChannelWorld, ChannelBug>({
      {"flag stored relaxed", flagStoreRelaxed, plain, "fingerprint of another"},
      {"flag loaded relaxed", flagLoadRelaxed, plain, "fingerprint of another"},
      {"credit stored relaxed", creditStoreRelaxed, plain, "data race: a write"},
      {"credit loaded relaxed", creditLoadRelaxed, plain, "data race: a write"},
      {"published before the payload", publishBeforePayload, plain, "data race"},
      {"consumed before reading", consumeBeforeReading, plain, "data race"},
      {"one credit too few needed", creditNeededOneTooFew, plain, "data race"},
      {"credit unchecked", creditUnchecked, plain, "data race"},
      {"credit of one reader checked", creditOfOneReader, two, "data race"},
      {"credit of another slot checked", creditOfNextSlot, broadcast(1, 2, 5, 2), "data race"},
      {"flag of another slot", flagOfNextSlot, plain, "deadlock"},
      {"arrived by order, wrapped", arrivedByOrder, wraps, "fingerprint of another"},
      {"fingerprint after the flag", fingerprintAfterFlag, plain, "fingerprint of another"},
      {"ll: flag stored relaxed", flagStoreRelaxed, lines, "data race: a read"},
      {"ll: flag loaded relaxed", flagLoadRelaxed, lines, "data race: a read"},
      {"ll: credit stored relaxed", creditStoreRelaxed, lines, "data race: a write"},
      {"ll: credit loaded relaxed", creditLoadRelaxed, lines, "data race: a write"},
      {"ll: published before the data", publishBeforePayload, lines, "data race"},
      {"ll: first line checked only", firstLineOnly, lines, "data race: a read"},
  });
}

// ---- sleeping ----

SleepAct signals(std::uint64_t value) {
  return {.awaits = {}, .value = value};
}
SleepAct awaits(std::vector<std::size_t> words, std::uint64_t value) {
  return {.awaits = std::move(words), .value = value};
}

/// Rank 0 and 1 wait for each other, in turn.
SleepWorld pingPong(std::uint64_t rounds) {
  SleepWorld world{.name = "ping-pong, " + std::to_string(rounds) + " rounds", .ranks = {{}, {}}};
  for (std::uint64_t round = 1; round <= rounds; ++round) {
    world.ranks[0].insert(world.ranks[0].end(), {signals(round), awaits({1}, round)});
    world.ranks[1].insert(world.ranks[1].end(), {awaits({0}, round), signals(round)});
  }
  return world;
}

/// Every rank waits for all others, as in an exposure.
SleepWorld meeting(std::size_t ranks, std::uint64_t rounds) {
  SleepWorld world{
      .name = std::to_string(ranks) + " ranks meet, " + std::to_string(rounds) + " rounds",
      .ranks = std::vector<std::vector<SleepAct>>(ranks)};
  for (std::size_t rank = 0; rank < ranks; ++rank)
    for (std::uint64_t round = 1; round <= rounds; ++round) {
      std::vector<std::size_t> others(ranks);
      std::iota(others.begin(), others.end(), 0);
      std::erase(others, rank);
      world.ranks[rank].push_back(signals(round));
      world.ranks[rank].push_back(awaits(others, round));
    }
  return world;
}

/// Rank 0 waits for two others, who wait for nobody.
SleepWorld gather() {
  return {.name = "one waits for two", .ranks = {{awaits({1, 2}, 1)}, {signals(1)}, {signals(1)}}};
}

TEST(SleepModel, NoWakeUpIsLost) {
  expectRight<SleepWorld>(
      {pingPong(1), pingPong(4), meeting(2, 1), meeting(2, 3), meeting(3, 1), gather()});
}

TEST(SleepModel, MutantsAreCaught) {
  using enum SleepBug;
  expectCaught<SleepWorld, SleepBug>({
      {"no fence in the waker", noFenceInWaker, pingPong(1), "waits at sleep"},
      {"no fence in the sleeper", noFenceInSleeper, pingPong(1), "waits at sleep"},
      {"wakes before it stores", wakeBeforeStore, pingPong(1), "waits at sleep"},
      {"sleeps without trying again", sleepsWithoutTrying, pingPong(1), "waits at sleep"},
      {"sleeps on another word than announced", sleepsOnAnotherWord, gather(), "waits at sleep"},
      {"sleeps whatever the word's value", comparesNothing, pingPong(1), "waits at sleep"},
  });
}

// ---- exposures ----

/// `calls` calls of `ranks` ranks; in the calls of `fallBacks` the last rank's buffers are not in
/// reach.
ExposureWorld exposures(std::size_t ranks, std::size_t calls, std::vector<std::size_t> fallBacks) {
  ExposureWorld world{.name = std::to_string(ranks) + " ranks, " + std::to_string(calls) +
                              " exposures, " + std::to_string(fallBacks.size()) +
                              " of them fall back",
                      .direct = std::vector(calls, std::vector<bool>(ranks, true))};
  for (const std::size_t call : fallBacks) world.direct[call][ranks - 1] = false;
  return world;
}

TEST(ExposureModel, EveryCallIsRight) {
  expectRight<ExposureWorld>({exposures(2, 5, {}), exposures(2, 5, {0, 2, 3}), exposures(3, 4, {}),
                              exposures(3, 4, {1, 2}), exposures(3, 4, {0, 3})});
}

TEST(ExposureModel, MutantsAreCaught) {
  using enum ExposureBug;
  const ExposureWorld direct = exposures(2, 3, {}), mixed = exposures(2, 3, {0, 1});
  const ExposureWorld three = exposures(3, 2, {});
  expectCaught<ExposureWorld, ExposureBug>({
      {"entered stored relaxed", enteredStoreRelaxed, direct, "line of another call"},
      {"entered loaded relaxed", enteredLoadRelaxed, direct, "line of another call"},
      {"released stored relaxed", releasedStoreRelaxed, direct, "data race"},
      {"released loaded relaxed", releasedLoadRelaxed, direct, "data race"},
      {"entered before the line", enteredBeforeLine, direct, "line of another call"},
      {"released before use", releaseBeforeUse, direct, "data race"},
      {"no close", noClose, direct, "output of another"},
      {"no close after a fall-back", noCloseAfterFallBack, mixed, "line of another call"},
      {"no release in a fall-back", noReleaseInFallBack, mixed, "deadlock"},
      {"fall-back decided alone", fallBackDecidedAlone, mixed, "out of reach"},
      {"acquires all but one", acquiresAllButOne, three, "line of another call"},
  });
}

}  // namespace
}  // namespace lockstep::model
