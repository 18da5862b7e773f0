// Tuning, as every rank of a run does it in step. All decisions follow from numbers that are the
// same on every rank (the slowest rank's samples), so they are the same everywhere.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/measure.hpp"
#include "bench/tune_model.hpp"
#include "bench/tune_subject.hpp"

namespace lockstep::bench {

/// The kinds of buffers that are tuned apart; in sealed modes there is but one.
std::vector<BufferKind> kindsOf(const std::string& wanted, Mode mode);

class Tuner {
 public:
  /// The first communicator (p2p) is what the ranks agree through; the others are tuned, each in
  /// the mode of `config.modes` at its place. `config.tune` says for which buffers.
  Tuner(const RunConfig& config, int rank, std::vector<Communicator>& communicators,
        Listener listener);
  /// By mode, operation, type, kind of buffers and size.
  std::vector<Bucket> run();

 private:
  /// What one series of sizes has in common, and what is known of it so far.
  struct Ladder;
  /// A candidate and what was measured of it.
  struct Entry;

  void tuneMode(Communicator& communicator, Mode mode);
  void tuneLadder(Ladder& ladder);
  Bucket tuneSize(Ladder& ladder, const Task& task);
  void tryOut(Ladder& ladder, const Task& task, const std::vector<Candidate>& candidates,
              std::vector<Entry>& entries, Bucket& bucket);
  void leaveOutWhatIsNotRun(Ladder& ladder, const Task& task, std::vector<Entry*>& entries);
  void decide(Ladder& ladder, const Task& task, std::vector<Entry>& entries, Bucket& bucket);
  void confirm(Ladder& ladder, const Task& task, Entry& winner, Entry* builtIn, Bucket& bucket);
  Row measure(Ladder& ladder, const Task& task, const std::vector<Entry*>& entries, int rounds,
              bool check);
  double secondsLeft();
  std::vector<Task> tasksOf(Operation op, DataType type) const;
  void tell(const Ladder& ladder, const Task& task);

  const RunConfig& config_;
  int rank_;
  std::vector<Communicator>& communicators_;
  Agreement agreement_;
  Listener listener_;
  SpeedGauge gauge_;
  std::vector<Bucket> buckets_;
  std::vector<std::size_t> sizesLeft_;  ///< of all buckets to come, for their shares of the time
  std::size_t total_ = 0;
  Clock::time_point start_ = Clock::now();
};

}  // namespace lockstep::bench
