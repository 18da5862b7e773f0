#include "bench/floors/contest.hpp"

#include <algorithm>

#include "base/fail.hpp"
#include "bench/floors/transfer.hpp"
#include "bench/statistics.hpp"
#include "bench/tasks.hpp"

namespace lockstep::floors {
namespace {

/// Long enough for the clock and the two barriers not to matter, short enough for neighbouring
/// batches to see the same machine; longer where ranks share cores and the scheduler has a say.
double batchSeconds(const Team& team) {
  return team.waiting() == Waiting::spin ? 1e-3 : 1e-2;
}
constexpr int kTrials = 5;
constexpr std::size_t kFinalists = 3;

/// Seconds per call of a batch: the slower rank's.
double timeBatch(Team& team, const Contender& contender, std::size_t count, std::uint64_t calls) {
  team.barrier();
  const auto start = Clock::now();
  for (std::uint64_t i = 0; i < calls; ++i) contender.loop->run(contender.in, contender.out, count);
  const std::chrono::duration<double> took = Clock::now() - start;
  return team.agreeOnMax(took.count()) / static_cast<double>(calls);
}

void verify(Team& team, Collective op, const Contender& contender, std::size_t count) {
  const std::size_t outputs =
      contractOf(op).outPerRank ? static_cast<std::size_t>(team.ranks()) * count : count;
  std::fill_n(contender.out, outputs, -1.0F);
  team.barrier();
  contender.loop->run(contender.in, contender.out, count);
  for (std::size_t i = 0; i < outputs; ++i) {
    const float expected = expectedAt(op, team.rank(), team.ranks(), count, i);
    if (contender.out[i] != expected)
      fail(ErrorCode::internal, "{}, {} elements: element {} on rank {} is {}, not {}",
           contender.name, count, i, team.rank(), contender.out[i], expected);
  }
  team.barrier();
}

/// A contender with what was measured of it.
struct Entry {
  const Contender* contender;
  std::uint64_t calls;  ///< per batch
  std::vector<double> samples;
};

Entry enter(Team& team, Collective op, const Contender& contender, std::size_t count) {
  verify(team, op, contender, count);
  timeBatch(team, contender, count, 1);
  const double once = timeBatch(team, contender, count, 3);
  const double fitting = std::clamp(batchSeconds(team) / once, 1.0, 1e5);
  return {&contender, team.follow(static_cast<std::uint64_t>(fitting)), {}};
}

void round(Team& team, std::vector<Entry>& entries, std::size_t count) {
  for (Entry& e : entries) e.samples.push_back(timeBatch(team, *e.contender, count, e.calls));
}

/// The order in which both ranks see the same medians: samples are agreed on.
void sortByMedian(std::vector<Entry>& entries) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return bench::median(a.samples) < bench::median(b.samples);
  });
}

double timeFlag(Team& team) {
  constexpr int kExchanges = 500;
  const auto start = Clock::now();
  for (int i = 0; i < kExchanges; ++i) team.barrier();
  return std::chrono::duration<double>(Clock::now() - start).count() / kExchanges;
}

void compare(const Entry& challenger, const Entry& floor, Standing& standing) {
  standing.compared = true;
  standing.seconds = bench::median(challenger.samples);
  standing.ratio = bench::medianOfRatios(challenger.samples, floor.samples);
}

}  // namespace

Standing compete(Team& team, Collective op, const std::vector<Contender>& floors,
                 const Contender* challenger, std::size_t bytes, int samples) {
  const std::size_t count =
      bytes / sizeof(float) / bench::blocksOf(bench::operationOf(op), team.ranks());
  std::vector<Entry> entries;
  for (const Contender& floor : floors)
    if (bytes >= floor.minBytes && bytes <= floor.maxBytes)
      entries.push_back(enter(team, op, floor, count));
  for (int i = 0; i < kTrials; ++i) round(team, entries, count);
  sortByMedian(entries);
  entries.resize(std::min(entries.size(), kFinalists));
  for (Entry& e : entries) e.samples.clear();

  std::vector<Entry> challengers;
  if (challenger != nullptr) challengers.push_back(enter(team, op, *challenger, count));
  std::vector<double> flags;
  for (int i = 0; i < samples; ++i) {
    flags.push_back(timeFlag(team));
    round(team, challengers, count);
    round(team, entries, count);
  }
  sortByMedian(entries);

  Standing standing;
  standing.bytes = bytes;
  standing.floor = entries.front().contender->name;
  standing.floorSeconds = bench::median(entries.front().samples);
  standing.flagSeconds = bench::median(flags);
  if (challenger != nullptr) compare(challengers.front(), entries.front(), standing);
  return standing;
}

}  // namespace lockstep::floors
