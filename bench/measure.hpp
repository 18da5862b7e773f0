// Measurement: what every rank of a run does in step, size by size. Verified first, then timed,
// contenders in turn, in an order drawn anew for every round, so that what disturbs the machine
// disturbs all of them and none always follows the same other.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.hpp"
#include "bench/agreement.hpp"
#include "bench/contents.hpp"
#include "bench/rates.hpp"
#include "bench/stopping.hpp"
#include "bench/subject.hpp"

namespace lockstep::bench {

/// A sample lasts at least this long, so that the clock (tens of nanoseconds) and the ranks' skew
/// when they leave a barrier (200 ns) stay near 1 % of it.
inline constexpr double kSampleSeconds = 20e-6;
/// The same when ranks share cores: there, leaving a barrier takes a turn of the scheduler.
inline constexpr double kSharedSampleSeconds = 200e-6;
/// The same in streams of GPUs, where the clock is events (0.5 us).
inline constexpr double kGpuSampleSeconds = 200e-6;

/// What a measurement tells the outside while it runs.
struct Listener {
  /// Of rank 0 only, about once a second: rows done, of all, and what is being measured.
  std::function<void(std::size_t done, std::size_t total, const std::string& text)> progress;
  /// A wrong result of this rank.
  std::function<void(const std::string& text)> fault;
  /// Of rank 0 only: a row that is done, with the contenders, and the seconds so far.
  std::function<void(const RunResult& part)> part;
};

class Measurement {
 public:
  /// `subjects[0]` is Lockstep's p2p, on the host or on GPUs. All ranks make the same calls.
  Measurement(const RunConfig& config, int rank, Agreement agreement,
              std::vector<std::unique_ptr<Subject>>& subjects, Listener listener);

  /// Rows with plans only.
  RunResult plan();
  /// All rows; samples are those of the slowest rank, so every rank's result is the same.
  RunResult run();

 private:
  /// The buffers of one call on this rank; null: it has none.
  struct Operands {
    std::byte* in = nullptr;
    std::byte* out = nullptr;
    std::byte* end = nullptr;  ///< after the last byte that the call may write
  };

  RunResult emptyResult() const;
  void measureRow(std::size_t index, const std::optional<Contents>& contents, Row& row);
  std::uint64_t verify(Subject& subject, const Contents& contents, const Task& task);
  std::uint64_t verifyOnce(Subject& subject, const Contents& contents, const Task& task,
                           bool inPlace);
  Operands operandsOf(Subject& subject, const Task& task, bool inPlace) const;
  Operands timedOperands(Subject& subject, const Task& task) const;
  CallBytes bytesOfOneCall(Subject& subject, const Task& task);
  std::int64_t chooseBatch(Subject& subject, const Task& task);
  void shareBatches(Row& row) const;
  void takeSamples(const Task& task, std::size_t index, double rowStart, Row& row);
  double secondsPerCall(Subject& subject, const Task& task, std::int64_t calls);
  double secondsSinceStart() const;
  double uncertainty(const Row& row) const;
  void tell(std::size_t index, const Task& task, bool now);
  double copyRate();
  double coreShare();
  Rates ratesOn(std::size_t workingSet, const Task& task);

  const RunConfig& config_;
  int rank_;
  Agreement agreement_;
  std::vector<std::unique_ptr<Subject>>& subjects_;
  Listener listener_;
  std::vector<Task> tasks_;
  RateGroup rateGroup_{rank_ < config_.cores, [a = agreement_]() mutable { a.barrier(); }};
  std::map<std::size_t, Rates> transferRates_;  ///< by working set, which rows share
  std::map<std::tuple<std::size_t, DataType, Reduction>, double> reduceRates_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point lastTold_{};
};

}  // namespace lockstep::bench
