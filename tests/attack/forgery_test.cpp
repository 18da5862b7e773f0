// Thousands of forgeries, each placed between what one rank writes and what another reads: no rank
// ever returns a wrong result. Without the check of tags the same ones give wrong results.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "attack/forgeries.hpp"

namespace lockstep::testing {
namespace {

/// What came of the trials of one class.
struct Tally {
  int trials = 0, live = 0, integrity = 0, other = 0, stalled = 0, right = 0, wrong = 0;
  int ofTransfers = 0;  ///< of integrity

  void add(const Trial& trial) {
    ++trials;
    live += trial.live ? 1 : 0;
    const auto& errors = trial.errors;
    const bool refused = std::ranges::find(errors, ErrorCode::integrity) != errors.end();
    if (trial.has(Fate::wrong))
      ++wrong;
    else if (refused)
      ++integrity, ofTransfers += trial.scene.algorithm == nullptr ? 1 : 0;
    else if (!errors.empty())
      ++other;
    else if (trial.has(Fate::stalled))
      ++stalled;
    else
      ++right;
  }
};

void print(const char* what, const Tally& t) {
  fmt::print(
      "{:24} {:6} trials, {:6} live: {:6} integrity, {:5} mismatch, {:5} stalled, {:5} right, {} "
      "wrong\n",
      what, t.trials, t.live, t.integrity, t.other, t.stalled, t.right, t.wrong);
  std::fflush(stdout);
}

unsigned seedOf(const Forgery& forgery, int trial) {
  const auto number = static_cast<unsigned>(&forgery - forgeries().data());
  return number * 1000000U + static_cast<unsigned>(trial);
}

/// Which way through the executor a scene goes.
std::string pathOf(const Scene& s) {
  if (s.algorithm == nullptr) return "transfers";
  const bool atOnce = isLines(s.protocol) && s.tileBytes == shm::kLlBytes;
  return fmt::format("{}, {}{}", name(s.mode), name(s.protocol), atOnce ? ", at once" : "");
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kTrials = 70;
#else
constexpr int kTrials = 700;
#endif

TEST(Forgery, NothingForgedIsTaken) {
  std::map<std::string, int> liveByPath;
  int total = 0, live = 0;
  for (const Forgery& forgery : forgeries()) {
    SCOPED_TRACE(forgery.name);
    Tally tally;
    for (int n = 0; n < kTrials; ++n) {
      const Trial trial = play(forgery, seedOf(forgery, n), TagCheck::on);
      SCOPED_TRACE(fmt::format("seed {}: {}", seedOf(forgery, n), toString(trial.scene)));
      ASSERT_FALSE(trial.has(Fate::wrong));
      ASSERT_FALSE(trial.has(Fate::tainted));
      for (const ErrorCode code : trial.errors)
        ASSERT_TRUE(code == ErrorCode::integrity ||
                    (code == ErrorCode::mismatch && trial.scene.algorithm == nullptr))
            << name(code);
      tally.add(trial);
      liveByPath[pathOf(trial.scene)] += trial.live ? 1 : 0;
    }
    print(forgery.name, tally);
    EXPECT_GE(tally.live, kTrials * 7 / 10);
    total += tally.trials;
    live += tally.live;
  }
  fmt::print("{} forgeries, {} of them read\n", total, live);
  EXPECT_GE(total, 14 * kTrials);
  EXPECT_EQ(liveByPath.size(), 11U);
  for (const auto& [path, hits] : liveByPath) {
    fmt::print("{:30} {:6} live\n", path, hits);
    EXPECT_GE(hits, kTrials / 4) << path;
  }
}

TEST(Forgery, WithoutTheCheckOfTagsTheSameTrialsGiveWrongResults) {
  constexpr int kFew = 60;
  for (const Forgery& forgery : forgeries()) {
    SCOPED_TRACE(forgery.name);
    Tally tally;
    for (int n = 0; n < kFew; ++n) tally.add(play(forgery, seedOf(forgery, n), TagCheck::off));
    print(forgery.name, tally);
    // A stamp that is not the receiver's own ends a transfer, whatever its tag.
    EXPECT_EQ(tally.integrity - tally.ofTransfers, 0);
    if (forgery.misleads)
      EXPECT_GE(tally.wrong, kFew * 2 / 5);
    else
      EXPECT_EQ(tally.wrong, 0);
  }
}

}  // namespace
}  // namespace lockstep::testing
