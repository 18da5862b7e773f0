#include "bench/measure.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include <fmt/format.h>

#include "base/clock.hpp"
#include "bench/layout.hpp"
#include "bench/statistics.hpp"

namespace lockstep::bench {
namespace {

/// What `out` holds before a call, so that an element that is not written shows.
constexpr int kPoison = 0xa5;
/// More calls than this tell nothing more and delay the turn of the others.
constexpr double kMostCalls = 4096;

bool guardIntact(const std::byte* end) {
  return std::all_of(end, end + kGuardBytes, [](std::byte b) { return b == std::byte{kPoison}; });
}

bool sameContents(const Task& a, const Task& b) {
  return a.op == b.op && a.type == b.type && a.reduction == b.reduction;
}

}  // namespace

Measurement::Measurement(const RunConfig& config, int rank, Agreement agreement,
                         std::vector<std::unique_ptr<Subject>>& subjects, Listener listener)
    : config_(config),
      rank_(rank),
      agreement_(agreement),
      subjects_(subjects),
      listener_(std::move(listener)),
      tasks_(listTasks(config)) {}

RunResult Measurement::emptyResult() const {
  RunResult result;
  for (const auto& subject : subjects_) result.contenders.push_back(subject->contender());
  for (const Task& task : tasks_) {
    Row row{task.op, task.type, task.reduction, task.bytes, task.count, {}, {}, {}};
    for (const auto& subject : subjects_) {
      Series series;
      series.supported = subject->supports(task);
      series.plan = subject->plan(task);
      row.series.push_back(series);
    }
    result.rows.push_back(std::move(row));
  }
  return result;
}

RunResult Measurement::plan() {
  return emptyResult();
}

RunResult Measurement::run() {
  RunResult result = emptyResult();
  const bool sealed = std::any_of(result.contenders.begin(), result.contenders.end(),
                                  [](const Contender& c) { return c.sealed; });
  const double copy = config_.gpu && !config_.checkOnly ? copyRate() : 0;
  std::optional<Contents> contents;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    const Task& task = tasks_[i];
    Row& row = result.rows[i];
    row.streaming.copy = copy;
    const bool hasData = contractOf(task.op).hasData;
    if (!hasData) {
      contents.reset();
    } else if (!contents || !sameContents(task, tasks_[i - 1])) {
      contents.emplace(task, config_.ranks, rank_);
      for (const auto& subject : subjects_) {
        contents->fill(subject->hostOf(subject->in()), config_.sizes.maxBytes / sizeOf(task.type));
        subject->store(subject->in(), config_.sizes.maxBytes);
      }
    }
    if (!config_.checkOnly && !config_.gpu) {
      if (sealed && hasData && config_.ranks > 1) {  // one rank has nothing to seal
        row.streaming = ratesOn(kStreamBytes, task);
        row.cached = ratesOn(cachedWorkingSet(task.bytes), task);
      } else {
        tryCore(rateGroup_);
      }
      result.coreShare = coreShare();
    }
    measureRow(i, contents, row);
    result.seconds = secondsSinceStart();
    if (rank_ == 0)
      listener_.part({result.contenders, {row}, result.seconds, result.coreShare, {}});
  }
  return result;
}

/// Of one rank's GPU, while the others wait.
double Measurement::copyRate() {
  const double mine = rank_ == 0 ? subjects_.front()->copyRate() : 0;
  return agreement_.max(mine);
}

/// Of the rank that had its core least while rates were measured.
double Measurement::coreShare() {
  const double seconds = rateGroup_.seconds;
  const double mine = seconds > 0 ? std::min(1.0, rateGroup_.coreSeconds / seconds) : 1;
  return 1 - agreement_.max(1 - mine);
}

/// Means over the ranks that measure. What has been measured for one row holds for the others.
Rates Measurement::ratesOn(std::size_t workingSet, const Task& task) {
  const int busy = std::min(config_.ranks, config_.cores);
  const auto [transfer, newTransfer] = transferRates_.try_emplace(workingSet);
  if (newTransfer) {
    const Rates mine = measureRates(rateGroup_, config_.cipher, workingSet);
    const auto all = agreement_.sum(std::vector{mine.seal, mine.open, mine.copy});
    transfer->second = {all[0] / busy, all[1] / busy, all[2] / busy, 0};
  }
  if (!contractOf(task.op).reduces) return transfer->second;
  const auto [reduce, newReduce] =
      reduceRates_.try_emplace({workingSet, task.type, task.reduction});
  if (newReduce)
    reduce->second = agreement_.sum(measureReduceRate(rateGroup_, task.type, task.reduction,
                                                      config_.ranks, workingSet)) /
                     busy;
  Rates rates = transfer->second;
  rates.reduce = reduce->second;
  return rates;
}

void Measurement::measureRow(std::size_t index, const std::optional<Contents>& contents, Row& row) {
  const Task& task = tasks_[index];
  const double rowStart = secondsSinceStart();
  tell(index, task, true);
  for (std::size_t s = 0; s < subjects_.size(); ++s) {
    Series& series = row.series[s];
    if (!series.supported) continue;
    tell(index, task, false);
    if (config_.check && contents) series.wrong = verify(*subjects_[s], *contents, task);
    if (config_.checkOnly && !contents) subjects_[s]->run(task, nullptr, nullptr);
    if (config_.checkOnly) continue;
    series.bytes = bytesOfOneCall(*subjects_[s], task);
    for (int i = 0; i < config_.warmups; ++i) secondsPerCall(*subjects_[s], task, 1);
    series.batch = chooseBatch(*subjects_[s], task);
  }
  shareBatches(row);
  if (!config_.checkOnly) takeSamples(task, index, rowStart, row);
}

/// A mode and its reproducible self: what a barrier adds to every call of a batch must not differ.
void Measurement::shareBatches(Row& row) const {
  const std::size_t modes = config_.modes.size();
  for (std::size_t c = modes; c < variantsOf(config_).size(); ++c) {
    std::int64_t &ordinary = row.series[c - modes].batch, &reproducible = row.series[c].batch;
    ordinary = reproducible = std::max(ordinary, reproducible);
  }
}

/// Out of place, or with both in the memory of the output.
Measurement::Operands Measurement::operandsOf(Subject& subject, const Task& task,
                                              bool inPlace) const {
  const Layout layout = layoutOf(task.op, config_.ranks, rank_, task.root);
  const std::size_t block = task.count * sizeOf(task.type);
  std::byte* out = subject.out();
  Operands o;
  if (layout.inBlocks > 0) o.in = inPlace ? out + layout.inAt * block : subject.in();
  if (layout.outBlocks > 0) o.out = inPlace ? out + layout.outAt * block : out;
  o.end = out + (inPlace ? layout.blocks() : layout.outBlocks) * block;
  return o;
}

/// Out of place, unless one of the subjects has only one buffer: all shall do the same work.
Measurement::Operands Measurement::timedOperands(Subject& subject, const Task& task) const {
  const bool inPlace = std::ranges::any_of(subjects_, [&](const auto& one) {
    return one->takes(task.op, true) && !one->takes(task.op, false);
  });
  return operandsOf(subject, task, inPlace && subject.takes(task.op, true));
}

std::uint64_t Measurement::verify(Subject& subject, const Contents& contents, const Task& task) {
  std::uint64_t mine = 0;
  for (const bool inPlace : {false, true})
    if (subject.takes(task.op, inPlace)) mine += verifyOnce(subject, contents, task, inPlace);
  return static_cast<std::uint64_t>(agreement_.sum(static_cast<double>(mine)));
}

std::uint64_t Measurement::verifyOnce(Subject& subject, const Contents& contents, const Task& task,
                                      bool inPlace) {
  const Layout layout = layoutOf(task.op, config_.ranks, rank_, task.root);
  const Operands o = operandsOf(subject, task, inPlace);
  std::memset(subject.hostOf(subject.out()), kPoison, task.bytes + kGuardBytes);
  if (inPlace && o.in != nullptr)
    std::memcpy(subject.hostOf(o.in), subject.hostOf(subject.in()),
                layout.inBlocks * task.count * sizeOf(task.type));
  subject.store(subject.out(), task.bytes + kGuardBytes);
  subject.barrier();
  subject.run(task, o.in, o.out);

  subject.fetch(subject.out(), task.bytes + kGuardBytes);
  const CheckResult found =
      contents.check(o.out == nullptr ? nullptr : subject.hostOf(o.out), task.count);
  const auto report = [&](const std::string& what) {
    listener_.fault(fmt::format("{}, {}{}: {}", subject.contender().name, describe(task),
                                inPlace ? " in place" : "", what));
  };
  if (found.first)
    report(
        fmt::format("{} wrong; first: {}", found.wrong, describe(*found.first, task.type, rank_)));
  if (guardIntact(subject.hostOf(o.end))) return found.wrong;
  report(fmt::format("rank {}: written past the end of the output", rank_));
  return found.wrong + 1;
}

CallBytes Measurement::bytesOfOneCall(Subject& subject, const Task& task) {
  const Operands o = timedOperands(subject, task);
  const CallBytes before = subject.counters();
  subject.run(task, o.in, o.out);
  const CallBytes after = subject.counters();
  const auto busiest =
      agreement_.max(std::vector{after.moved - before.moved, after.sealed - before.sealed,
                                 after.opened - before.opened, after.records - before.records});
  return {busiest[0], busiest[1], busiest[2], busiest[3]};
}

double Measurement::secondsPerCall(Subject& subject, const Task& task, std::int64_t calls) {
  const Operands o = timedOperands(subject, task);
  return subject.secondsPerCall(task, o.in, o.out, calls);
}

/// Doubles until a batch is long enough: a single short call says more about the barrier.
std::int64_t Measurement::chooseBatch(Subject& subject, const Task& task) {
  const double wanted = config_.gpu                     ? kGpuSampleSeconds
                        : config_.ranks > config_.cores ? kSharedSampleSeconds
                                                        : kSampleSeconds;
  for (std::int64_t calls = 1;; calls *= 2) {
    const double each = agreement_.max(secondsPerCall(subject, task, calls));
    if (each * static_cast<double>(calls) >= wanted / 2 || static_cast<double>(calls) >= kMostCalls)
      return static_cast<std::int64_t>(std::clamp(std::ceil(wanted / each), 1.0, kMostCalls));
  }
}

void Measurement::takeSamples(const Task& task, std::size_t index, double rowStart, Row& row) {
  std::vector<std::size_t> left;
  for (std::size_t i = index; i < tasks_.size(); ++i) left.push_back(tasks_[i].bytes);
  const double budget = config_.budgetSeconds - rowStart;
  const StoppingRule rule{config_.iterations, timeShare(budget, left), budget};

  std::vector<std::size_t> order(subjects_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 random;  // the same on all ranks
  for (int round = 1;; ++round) {
    // Whoever comes next finds what the one before left in the caches.
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t s : order)
      if (row.series[s].supported)
        row.series[s].samples.push_back(1e6 *
                                        secondsPerCall(*subjects_[s], task, row.series[s].batch));
    tell(index, task, false);
    // Rank 0 decides for all, by its own samples.
    const bool stop =
        rank_ == 0 && rule.enough(round, secondsSinceStart() - rowStart, uncertainty(row));
    if (agreement_.max(stop ? 1.0 : 0.0) > 0) break;
  }
  for (Series& series : row.series)
    if (series.supported) series.samples = agreement_.max(std::move(series.samples));
}

/// Of the contender known worst. Only asked every 16 rounds: it sorts.
double Measurement::uncertainty(const Row& row) const {
  double worst = 0;
  for (const Series& series : row.series) {
    if (!series.supported) continue;
    if (series.samples.size() % 16 != 0) return HUGE_VAL;
    worst = std::max(worst, medianUncertainty(series.samples));
  }
  return worst;
}

double Measurement::secondsSinceStart() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Measurement::tell(std::size_t index, const Task& task, bool now) {
  if (rank_ != 0) return;
  const auto time = Clock::now();
  if (time - lastTold_ < (now ? std::chrono::milliseconds(100) : std::chrono::milliseconds(1000)))
    return;
  lastTold_ = time;
  listener_.progress(index, tasks_.size(), describe(task));
}

}  // namespace lockstep::bench
