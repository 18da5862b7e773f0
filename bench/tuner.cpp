#include "bench/tuner.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/tune_choice.hpp"
#include "bench/tune_file.hpp"

namespace lockstep::bench {
namespace {

/// A first look at a candidate: the median of so many rounds.
constexpr int kLooks = 3;
/// Whoever is this much slower at first look is not looked at again.
constexpr double kOut = 1.3;
constexpr std::size_t kFinalists = 3;
constexpr std::size_t kAnySize = std::numeric_limits<std::size_t>::max();

TunedPlan planOf(const PlanText& text) {
  return {text.algorithm, text.protocol, text.tileBytes, text.depth};
}

/// A tile larger than the message is as large as the message.
bool runsAlike(const TunedPlan& a, const TunedPlan& b, std::size_t blockBytes) {
  return a == b || (a.algorithm == b.algorithm && a.protocol == b.protocol &&
                    std::min(a.tileBytes, b.tileBytes) >= blockBytes);
}

}  // namespace

std::vector<BufferKind> kindsOf(const std::string& wanted, Mode mode) {
  if (isSealed(mode)) return {BufferKind::any};
  // Registered ones first: a call on ordinary buffers asks whether they are, if that matters.
  if (wanted == "both") return {BufferKind::registered, BufferKind::ordinary};
  return {wanted == "registered" ? BufferKind::registered : BufferKind::ordinary};
}

struct Tuner::Entry {
  TunedPlan plan;
  double predicted = 0;  ///< seconds
  std::string table;
  double look = 0;     ///< microseconds at first look; 0: not yet
  bool wrong = false;  ///< its results were, or it cannot be made to run
};

struct Tuner::Ladder {
  Communicator& communicator;
  Turns& turns;
  Measured where;  ///< without sizes
  DataType type;
  std::vector<nlohmann::json> given;  ///< rules found before, for registered buffers
  std::vector<Bucket> buckets;
};

Tuner::Tuner(const RunConfig& config, int rank, std::vector<Communicator>& communicators,
             Listener listener)
    : config_(config),
      rank_(rank),
      communicators_(communicators),
      agreement_(communicators.front()),
      listener_(std::move(listener)),
      gauge_(config, rank, agreement_) {
  for (std::size_t m = 1; m < config.modes.size(); ++m)
    for (std::size_t k = 0; k < kindsOf(config.tune, config.modes[m]).size(); ++k)
      for (const Task& task : listTasks(config)) sizesLeft_.push_back(task.bytes);
  total_ = sizesLeft_.size();
}

std::vector<Bucket> Tuner::run() {
  for (std::size_t m = 1; m < config_.modes.size(); ++m)
    tuneMode(communicators_[m], config_.modes[m]);
  return std::move(buckets_);
}

std::vector<Task> Tuner::tasksOf(Operation op, DataType type) const {
  std::vector<Task> tasks = listTasks(config_);
  std::erase_if(tasks, [&](const Task& task) {
    return task.op != op || (contractOf(op).hasData && task.type != type);
  });
  return tasks;
}

void Tuner::tuneMode(Communicator& communicator, Mode mode) {
  const std::size_t bytes = config_.sizes.maxBytes;
  const std::vector<BufferKind> kinds = kindsOf(config_.tune, mode);
  const bool registers = kinds.front() == BufferKind::registered;
  const OrdinaryBuffers ordinary(bytes);
  Buffer in, out;
  if (registers) {
    in = communicator.alloc(bytes + kGuardBytes);
    out = communicator.alloc(bytes + kGuardBytes);
  }
  for (const Operation op : config_.ops) {
    const std::size_t types = contractOf(op).hasData ? config_.types.size() : 1;
    for (std::size_t t = 0; t < types; ++t) {
      std::vector<nlohmann::json> given;
      for (const BufferKind kind : kinds) {
        const bool registered = kind == BufferKind::registered;
        Turns turns{
            communicator, registered ? static_cast<std::byte*>(in.data()) : ordinary.in.data(),
            registered ? static_cast<std::byte*>(out.data()) : ordinary.out.data(), registered};
        Ladder ladder{communicator,     turns, {op, mode, kind, {}, config_.ranks},
                      config_.types[t], given, {}};
        tuneLadder(ladder);
        given = rulesOf(ladder.where, ladder.buckets);
        buckets_.insert(buckets_.end(), ladder.buckets.begin(), ladder.buckets.end());
      }
    }
  }
}

void Tuner::tuneLadder(Ladder& ladder) {
  for (const Task& task : tasksOf(ladder.where.op, ladder.type)) {
    tell(ladder, task);
    ladder.buckets.push_back(tuneSize(ladder, task));
    sizesLeft_.erase(sizesLeft_.begin());
  }
}

Bucket Tuner::tuneSize(Ladder& ladder, const Task& task) {
  Bucket bucket{.op = task.op,
                .mode = ladder.where.mode,
                .type = task.type,
                .buffers = ladder.where.buffers,
                .bytes = task.bytes,
                .blockBytes = task.count * sizeOf(task.type)};
  if (!contractOf(task.op).hasData) bucket.blockBytes = 0;
  const Question question{.op = collectiveOf(task.op).value(),
                          .mode = bucket.mode,
                          .ranks = config_.ranks,
                          .root = task.root,
                          .blockBytes = bucket.blockBytes,
                          .inPlace = ladder.turns.registered,
                          .attachable = ladder.communicator.ordinaryPath() == "process_vm_readv"};
  const schedule::Speeds& speeds = gauge_.of(std::max<std::size_t>(task.bytes, 64), task.type);
  const std::vector<Candidate> all = listCandidates(question, speeds);
  bucket.candidates = static_cast<int>(all.size());

  // The built-in choice: what runs under no other rules than those found before.
  std::vector<Entry> entries{{.plan = {}, .table = tableOf(ladder.given)}};
  ladder.communicator.retune(entries[0].table, "built-in");
  ladder.turns.current = nullptr;
  const Plan builtIn = ladder.communicator.plan(collectiveOf(task.op).value(), task.count,
                                                task.type, ladder.turns.registered);
  entries[0].plan = {builtIn.algorithm, builtIn.protocol, builtIn.tileBytes, builtIn.depth};
  entries[0].predicted = predictSeconds(question, entries[0].plan, speeds);

  tryOut(ladder, task, firstOfEach(all), entries, bucket);
  if (secondsLeft() > 0) {
    // Tiles and depths of whatever may win with better ones.
    double best = HUGE_VAL;
    for (const Entry& e : entries)
      if (!e.wrong) best = std::min(best, e.look);
    std::vector<Candidate> variants;
    for (const Entry& e : entries)
      if (!e.wrong && e.look < kOut * best)
        for (Candidate& c : variantsOf(all, e.plan)) variants.push_back(std::move(c));
    tryOut(ladder, task, variants, entries, bucket);
  }
  decide(ladder, task, entries, bucket);
  return bucket;
}

/// Verifies candidates that are not in `entries` yet, and times those that are right.
void Tuner::tryOut(Ladder& ladder, const Task& task, const std::vector<Candidate>& candidates,
                   std::vector<Entry>& entries, Bucket& bucket) {
  const std::size_t old = entries.size();
  for (const Candidate& c : candidates) {
    if (std::ranges::any_of(
            entries, [&](const Entry& e) { return runsAlike(e.plan, c.plan, bucket.blockBytes); }))
      continue;
    Measured where = ladder.where;
    where.maxBytes = kAnySize;
    std::vector<nlohmann::json> rules{ruleOf(where, c.plan)};
    rules.insert(rules.end(), ladder.given.begin(), ladder.given.end());
    entries.push_back({.plan = c.plan, .predicted = c.predicted, .table = tableOf(rules)});
  }
  std::vector<Entry*> fresh;
  for (std::size_t e = old == 1 ? 0 : old; e < entries.size(); ++e) fresh.push_back(&entries[e]);
  leaveOutWhatIsNotRun(ladder, task, fresh);
  if (fresh.empty()) return;
  bucket.measured += static_cast<int>(fresh.size());

  const Row verified = measure(ladder, task, fresh, 0, true);
  for (std::size_t e = 0; e < fresh.size(); ++e) {
    fresh[e]->wrong = verified.series[e].wrong > 0;
    bucket.wrong += fresh[e]->wrong ? 1 : 0;
  }
  std::erase_if(fresh, [](const Entry* e) { return e->wrong; });
  if (fresh.empty()) return;
  const Row timed = measure(ladder, task, fresh, kLooks, false);
  for (std::size_t e = 0; e < fresh.size(); ++e) fresh[e]->look = median(timed.series[e].samples);
}

/// The library passes over rules that the communicator's options exclude; what then ran would be
/// something else than the candidate.
void Tuner::leaveOutWhatIsNotRun(Ladder& ladder, const Task& task, std::vector<Entry*>& entries) {
  for (Entry* e : entries) {
    CandidateSubject subject(ladder.turns, "", e->table);
    ladder.turns.current = nullptr;
    e->wrong = planOf(subject.plan(task)) != e->plan;
  }
  ladder.turns.current = nullptr;
  std::erase_if(entries, [](const Entry* e) { return e->wrong; });
}

/// The fastest few, the built-in one and the one of the size before, in the same rounds.
void Tuner::decide(Ladder& ladder, const Task& task, std::vector<Entry>& entries, Bucket& bucket) {
  const TunedPlan builtIn = entries.front().plan;
  const TunedPlan before = ladder.buckets.empty() ? builtIn : ladder.buckets.back().chosen;
  bucket.builtIn = bucket.chosen = builtIn;
  bucket.builtInPredictedUs = bucket.chosenPredictedUs = 1e6 * entries.front().predicted;
  std::erase_if(entries, [](const Entry& e) { return e.wrong; });
  if (entries.empty()) return;
  std::ranges::stable_sort(entries, {}, &Entry::look);
  std::vector<Entry*> finalists;
  for (Entry& e : entries)
    if (finalists.size() < kFinalists || e.plan == builtIn || e.plan == before)
      finalists.push_back(&e);
  Row row = measure(ladder, task, finalists, config_.iterations, false);

  Finals finals;
  bool builtInRan = false;
  for (std::size_t f = 0; f < finalists.size(); ++f) {
    finals.samples.push_back(std::move(row.series[f].samples));
    if (finalists[f]->plan == before) finals.neighbour = static_cast<std::ptrdiff_t>(f);
    if (finalists[f]->plan != builtIn) continue;
    finals.builtIn = f;
    builtInRan = true;
  }
  const std::size_t chosen = builtInRan ? choose(finals) : 0;
  if (builtInRan && chosen == finals.builtIn) {
    bucket.builtInUs = bucket.chosenUs = median(finals.samples[chosen]);
    return;
  }
  confirm(ladder, task, *finalists[chosen], builtInRan ? finalists[finals.builtIn] : nullptr,
          bucket);
}

/// Whoever is fastest of several was lucky too: it has to be so again, and that is what is told.
/// `builtIn` null: its results are wrong, so whoever is right is better.
void Tuner::confirm(Ladder& ladder, const Task& task, Entry& winner, Entry* builtIn,
                    Bucket& bucket) {
  std::vector<Entry*> both{&winner};
  if (builtIn != nullptr) both.push_back(builtIn);
  const Row row = measure(ladder, task, both, config_.iterations, false);
  const std::vector<double>& mine = row.series.front().samples;
  if (builtIn != nullptr) {
    const std::vector<double>& usual = row.series.back().samples;
    bucket.builtInUs = bucket.chosenUs = median(usual);
    if (!surelyFaster(mine, usual)) return;
    const Ratio ratio = ratioOfMedians(usual, mine);
    bucket.speedup = ratio.value;
    bucket.low = ratio.interval.low;
    bucket.high = ratio.interval.high;
  }
  bucket.chosen = winner.plan;
  bucket.chosenUs = median(mine);
  bucket.chosenPredictedUs = 1e6 * winner.predicted;
}

/// One row of Measurement, with candidates for contenders. `rounds` 0: what the time allows.
Row Tuner::measure(Ladder& ladder, const Task& task, const std::vector<Entry*>& entries, int rounds,
                   bool check) {
  RunConfig config = config_;
  config.ops = {task.op};
  config.types = {task.type};
  config.reductions = {task.reduction};
  config.sizes = {std::max<std::size_t>(task.bytes, 1), std::max<std::size_t>(task.bytes, 1), 0, 2};
  config.check = config.checkOnly = check;
  config.iterations = rounds;
  config.warmups = 1;
  const double left = secondsLeft();
  config.budgetSeconds = std::max(0.001, timeShare(left, sizesLeft_));
  std::vector<std::unique_ptr<Subject>> subjects;
  for (const Entry* e : entries)
    subjects.push_back(
        std::make_unique<CandidateSubject>(ladder.turns, describe(e->plan), e->table));
  ladder.turns.current = nullptr;
  ladder.turns.warm = !check;
  // One size may take longer than a parent waits for a sign of life.
  const auto progress = [&](std::size_t, std::size_t, const std::string&) { tell(ladder, task); };
  Measurement measurement(config, rank_, agreement_, subjects,
                          {progress, listener_.fault, [](const RunResult&) {}});
  Row row = std::move(measurement.run().rows.front());
  ladder.turns.current = nullptr;  // the subjects end here
  return row;
}

/// Of rank 0's clock.
double Tuner::secondsLeft() {
  const double mine = std::chrono::duration<double>(Clock::now() - start_).count();
  return config_.budgetSeconds - agreement_.max(rank_ == 0 ? mine : 0.0);
}

void Tuner::tell(const Ladder& ladder, const Task& task) {
  if (rank_ != 0) return;
  listener_.progress(total_ - sizesLeft_.size(), total_,
                     fmt::format("{} {}, {} buffers", name(ladder.where.mode), describe(task),
                                 name(ladder.where.buffers)));
}

}  // namespace lockstep::bench
