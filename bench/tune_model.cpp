#include "bench/tune_model.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/clock.hpp"
#include "cc_mode/secure_pass.hpp"
#include "collectives/registry.hpp"

namespace lockstep::bench {
namespace {

using schedule::Algorithm;
using schedule::Edges;

constexpr std::size_t KiB = 1024;
constexpr std::array<std::size_t, 6> kTiles{8 * KiB,  16 * KiB,  32 * KiB,
                                            64 * KiB, 128 * KiB, 256 * KiB};
constexpr std::array<int, 3> kDepths{2, 4, 8};
/// What the channels take at most (transport/shm): the lowering makes tiles smaller if it must.
constexpr std::size_t kSlotBytes = 64 * KiB, kLineBytes = 8 * KiB;
/// Beyond this, lines are slower than slots on any machine seen: their flags are an eighth of it.
constexpr std::size_t kMostByLines = 32 * KiB;
/// From here on, a message works on memory rather than in caches.
constexpr std::size_t kStreams = std::size_t{4} << 20;
constexpr int kBarriers = 200;

/// Generated, delivered and sealed, as it would run.
schedule::Schedule scheduleOf(const Algorithm& algorithm, const Question& q) {
  const bool multicast = isMulticast(q.mode);
  schedule::Schedule s = schedule::generate(
      algorithm, {.worldSize = q.ranks, .inPlace = false, .multicast = multicast, .root = q.root});
  if (!multicast) s = schedule::deliverUnicast(std::move(s));
  return isSealed(q.mode) ? cc::secure(std::move(s), multicast) : s;
}

schedule::Lowering loweringOf(const Question& q, const TunedPlan& plan) {
  const bool lines = plan.protocol == "ll", exposed = plan.protocol == "zero_copy";
  return {.lines = lines,
          .attached = exposed && !q.inPlace,
          .tileBytes = plan.tileBytes,
          .depth = plan.depth,
          .slotBytes = lines ? kLineBytes : kSlotBytes};
}

/// Tiles and depths for a message of so many bytes: one tile that holds it, or several smaller.
std::vector<TunedPlan> plansOf(const Algorithm& algorithm, const Question& q) {
  const std::string name(algorithm.name);
  if (algorithm.edges == Edges::exposure) return {{name, "zero_copy", 0, 1}};
  std::vector<TunedPlan> plans;
  const auto add = [&](const char* protocol, auto tiles) {
    for (const std::size_t tile : tiles) {
      if (tile >= q.blockBytes) {
        plans.push_back({name, protocol, tile, 1});
        return;
      }
      for (const int depth : kDepths)
        // More in flight than there are is as many as there are, or the next depth up.
        if (depth == kDepths.front() || (q.blockBytes + tile - 1) / tile > std::size_t(depth) / 2)
          plans.push_back({name, protocol, tile, depth});
    }
  };
  if (q.blockBytes <= kMostByLines) add("ll", std::array{kLineBytes, 4 * kLineBytes});
  add("simple", kTiles);
  return plans;
}

bool possible(const Algorithm& algorithm, const Question& q) {
  if (algorithm.collective != q.op) return false;
  if (algorithm.edges == Edges::channels) return true;
  return !isSealed(q.mode) && (q.inPlace || q.attachable);
}

bool sameKind(const TunedPlan& a, const TunedPlan& b) {
  return a.algorithm == b.algorithm && a.protocol == b.protocol;
}

bool hopeless(const std::vector<Candidate>& sorted, const Candidate& candidate) {
  return candidate.predicted > kHopeless * sorted.front().predicted;
}

}  // namespace

std::vector<Candidate> listCandidates(const Question& q, const schedule::Speeds& speeds) {
  std::vector<Candidate> candidates;
  for (const Algorithm* algorithm : schedule::algorithms()) {
    if (!possible(*algorithm, q)) continue;
    const schedule::Schedule s = scheduleOf(*algorithm, q);
    for (const TunedPlan& plan : plansOf(*algorithm, q)) {
      const Candidate candidate{
          plan, schedule::predict(s, q.blockBytes, loweringOf(q, plan), speeds).seconds};
      // Tiles beyond what a slot holds are cut to the same.
      if (std::ranges::none_of(candidates, [&](const Candidate& other) {
            return sameKind(other.plan, plan) && other.plan.depth == plan.depth &&
                   other.predicted == candidate.predicted;
          }))
        candidates.push_back(candidate);
    }
  }
  std::ranges::stable_sort(candidates, {}, &Candidate::predicted);
  return candidates;
}

double predictSeconds(const Question& q, const TunedPlan& plan, const schedule::Speeds& speeds) {
  const Edges edges = plan.protocol == "zero_copy" ? Edges::exposure : Edges::channels;
  const Algorithm* algorithm = schedule::findAlgorithm(q.op, plan.algorithm, edges);
  if (algorithm == nullptr) return 0;
  return schedule::predict(scheduleOf(*algorithm, q), q.blockBytes, loweringOf(q, plan), speeds)
      .seconds;
}

void predictAll(const RunConfig& config, SpeedGauge& gauge, RunResult& result) {
  for (Row& row : result.rows) {
    const schedule::Speeds& speeds = gauge.of(std::max<std::size_t>(row.bytes, 64), row.type);
    const std::vector<Variant> variants = variantsOf(config);
    for (std::size_t m = 0; m < variants.size(); ++m) {
      const PlanText& plan = row.series[m].plan;
      const auto collective = collectiveOf(row.op);
      if (!collective) continue;  // transfers have no schedule
      const bool data = contractOf(row.op).hasData;
      const Question question{.op = *collective,
                              .mode = variants[m].mode,
                              .ranks = config.ranks,
                              .root = config.root,
                              .blockBytes = data ? row.count * sizeOf(row.type) : 0,
                              .inPlace = config.registered,
                              .attachable = true};
      row.series[m].predictedUs =
          1e6 * predictSeconds(question,
                               {plan.algorithm, plan.protocol, plan.tileBytes, plan.depth}, speeds);
    }
  }
}

std::vector<Candidate> firstOfEach(const std::vector<Candidate>& sorted) {
  std::vector<Candidate> firsts;
  for (const Candidate& c : sorted)
    if (!hopeless(sorted, c) && std::ranges::none_of(firsts, [&](const Candidate& other) {
          return sameKind(other.plan, c.plan);
        }))
      firsts.push_back(c);
  return firsts;
}

std::vector<Candidate> variantsOf(const std::vector<Candidate>& sorted, const TunedPlan& plan) {
  std::vector<Candidate> variants;
  for (const Candidate& c : sorted)
    if (sameKind(c.plan, plan) && !hopeless(sorted, c)) variants.push_back(c);
  return variants;
}

/// Of the ranks that measure.
double SpeedGauge::mean(double mine) {
  return agreement_.sum(mine) / std::min(config_.ranks, config_.cores);
}

/// A barrier is one exchange of lines.
double SpeedGauge::signal() {
  if (signal_ > 0) return signal_;
  double best = 1;
  for (int spell = 0; spell < 5; ++spell) {
    const auto start = Clock::now();
    for (int i = 0; i < kBarriers; ++i) agreement_.barrier();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count() / kBarriers);
  }
  return signal_ = agreement_.max(best);
}

const schedule::Speeds& SpeedGauge::of(std::size_t bytes, DataType type) {
  std::size_t step = 64;
  while (step < bytes) step *= 8;  // near enough, and few to measure
  const std::size_t workingSet = bytes >= kStreams ? kStreamBytes : cachedWorkingSet(step);
  const auto [place, fresh] = known_.try_emplace({workingSet, type});
  schedule::Speeds& speeds = place->second;
  if (!fresh) return speeds;
  speeds.cores = config_.cores;
  speeds.signal = signal();
  RateGroup group{rank_ < config_.cores, [this] { agreement_.barrier(); }};
  const Rates rates = measureRates(group, config_.cipher, workingSet);
  speeds.seal = mean(rates.seal);
  speeds.open = mean(rates.open);
  speeds.copy = mean(rates.copy);
  speeds.reduce = mean(measureReduceRate(group, type, Reduction::sum, config_.ranks, workingSet));
  return speeds;
}

}  // namespace lockstep::bench
