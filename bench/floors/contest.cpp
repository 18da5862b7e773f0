#include "bench/floors/contest.hpp"

#include <algorithm>
#include <cmath>

#include "base/fail.hpp"
#include "bench/floors/transfer.hpp"
#include "bench/statistics.hpp"
#include "bench/tasks.hpp"

namespace lockstep::floors {
namespace {

/// Long enough for the clock and the two barriers not to matter, short enough for neighbouring
/// batches to see the same machine.
constexpr double kBatchSeconds = 1e-3;
constexpr int kTrials = 5;
constexpr std::size_t kFinalists = 3;

/// Seconds per call of a batch: the slower rank's.
double timeBatch(Pair& pair, const Contender& contender, std::size_t count, std::uint64_t calls) {
  pair.barrier();
  const auto start = Clock::now();
  for (std::uint64_t i = 0; i < calls; ++i) contender.loop->run(contender.in, contender.out, count);
  const std::chrono::duration<double> took = Clock::now() - start;
  return pair.agreeOnMax(took.count()) / static_cast<double>(calls);
}

void verify(Pair& pair, Collective op, const Contender& contender, std::size_t count) {
  const std::size_t outputs = contractOf(op).outPerRank ? 2 * count : count;
  std::fill_n(contender.out, outputs, -1.0F);
  pair.barrier();
  contender.loop->run(contender.in, contender.out, count);
  for (std::size_t i = 0; i < outputs; ++i) {
    const float expected = expectedAt(op, pair.rank(), count, i);
    if (contender.out[i] != expected)
      fail(ErrorCode::internal, "{}, {} elements: element {} on rank {} is {}, not {}",
           contender.name, count, i, pair.rank(), contender.out[i], expected);
  }
  pair.barrier();
}

/// A contender with what was measured of it.
struct Entry {
  const Contender* contender;
  std::uint64_t calls;  ///< per batch
  std::vector<double> samples;
};

Entry enter(Pair& pair, Collective op, const Contender& contender, std::size_t count) {
  verify(pair, op, contender, count);
  timeBatch(pair, contender, count, 1);
  const double once = timeBatch(pair, contender, count, 3);
  const double fitting = std::clamp(kBatchSeconds / once, 1.0, 1e5);
  return {&contender, pair.follow(static_cast<std::uint64_t>(fitting)), {}};
}

void round(Pair& pair, std::vector<Entry>& entries, std::size_t count) {
  for (Entry& e : entries) e.samples.push_back(timeBatch(pair, *e.contender, count, e.calls));
}

/// The order in which both ranks see the same medians: samples are agreed on.
void sortByMedian(std::vector<Entry>& entries) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return bench::median(a.samples) < bench::median(b.samples);
  });
}

double timeFlag(Pair& pair) {
  constexpr int kExchanges = 500;
  const auto start = Clock::now();
  for (int i = 0; i < kExchanges; ++i) pair.barrier();
  return std::chrono::duration<double>(Clock::now() - start).count() / kExchanges;
}

void compare(const Entry& challenger, const Entry& floor, Standing& standing) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < floor.samples.size(); ++i)
    ratios.push_back(challenger.samples[i] / floor.samples[i]);
  std::ranges::sort(ratios);
  // Order statistics n/2 -+ 1.96 sqrt(n)/2 bound the median with 95 % (binomial, normal
  // approximation); nothing is assumed about the distribution, which has a long tail.
  const auto n = static_cast<double>(ratios.size());
  const double reach = 1.96 * std::sqrt(n) / 2;
  const auto low = static_cast<std::size_t>(std::max(0.0, std::floor(n / 2 - reach)));
  const auto high = static_cast<std::size_t>(std::min(n - 1, std::ceil(n / 2 + reach)));
  standing.compared = true;
  standing.seconds = bench::median(challenger.samples);
  standing.ratio = bench::median(ratios);
  standing.low = ratios[low];
  standing.high = ratios[high];
}

}  // namespace

Standing compete(Pair& pair, Collective op, const std::vector<Contender>& floors,
                 const Contender* challenger, std::size_t bytes, int samples) {
  const std::size_t count = bytes / sizeof(float) / bench::blocksOf(bench::operationOf(op), 2);
  std::vector<Entry> entries;
  for (const Contender& floor : floors)
    if (bytes >= floor.minBytes && bytes <= floor.maxBytes)
      entries.push_back(enter(pair, op, floor, count));
  for (int i = 0; i < kTrials; ++i) round(pair, entries, count);
  sortByMedian(entries);
  entries.resize(std::min(entries.size(), kFinalists));
  for (Entry& e : entries) e.samples.clear();

  std::vector<Entry> challengers;
  if (challenger != nullptr) challengers.push_back(enter(pair, op, *challenger, count));
  std::vector<double> flags;
  for (int i = 0; i < samples; ++i) {
    flags.push_back(timeFlag(pair));
    round(pair, challengers, count);
    round(pair, entries, count);
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
