// Which plans a call could run, and what the cost model says of them. Looks inside the library, for
// schedules and their costs; what is measured is measured through the public headers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/agreement.hpp"
#include "bench/config.hpp"
#include "bench/rates.hpp"
#include "bench/tune_result.hpp"
#include "collectives/cost/cost.hpp"

namespace lockstep::bench {

/// What a call is, as far as plans care.
struct Question {
  Collective op = Collective::allReduce;
  Mode mode = Mode::p2p;
  int ranks = 2;
  int root = 0;
  std::size_t blockBytes = 0;
  bool inPlace = false;     ///< peers can read all buffers in place (registered)
  bool attachable = false;  ///< or by process_vm_readv
};

struct Candidate {
  TunedPlan plan;
  double predicted = 0;  ///< seconds
};

/// Plans that can answer it, every algorithm and protocol with each sensible tile and depth, the
/// fastest by prediction first.
std::vector<Candidate> listCandidates(const Question& question, const schedule::Speeds& speeds);

/// Seconds by the cost model; 0 for a plan that there is not.
double predictSeconds(const Question& question, const TunedPlan& plan,
                      const schedule::Speeds& speeds);

/// Fills in what the model says of every Lockstep plan of a run that only explains. All ranks call
/// it: they measure how fast the machine is.
void predictAll(const RunConfig& config, class SpeedGauge& gauge, RunResult& result);

/// Of a sorted list: the first of each algorithm and protocol that is predicted to take at most
/// kHopeless times the best.
std::vector<Candidate> firstOfEach(const std::vector<Candidate>& sorted);
/// Those of the same algorithm and protocol as `plan` that are predicted to be no hopeless case.
std::vector<Candidate> variantsOf(const std::vector<Candidate>& sorted, const TunedPlan& plan);
inline constexpr double kHopeless = 4;

/// Measures how fast the ranks' machine is, on as much data as a message works on. Every rank gets
/// the same. A few milliseconds; up to a second for messages that stream.
class SpeedGauge {
 public:
  SpeedGauge(const RunConfig& config, int rank, Agreement agreement)
      : config_(config), rank_(rank), agreement_(agreement) {}
  const schedule::Speeds& of(std::size_t bytes, DataType type);

 private:
  double signal();
  double mean(double mine);

  const RunConfig& config_;
  int rank_;
  Agreement agreement_;
  double signal_ = 0;
  std::map<std::pair<std::size_t, DataType>, schedule::Speeds> known_;
};

}  // namespace lockstep::bench
