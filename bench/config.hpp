// What every rank of a run is told: plain values, and JSON to carry them.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/operation.hpp"
#include "bench/sizes.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep::bench {

struct RunConfig {
  /// Measured side by side. The first is p2p: the others are compared with it, and the ranks agree
  /// through it.
  std::vector<Mode> modes{Mode::p2p};
  /// Rival libraries ("mpi", "gloo"), each measured in the same processes as Lockstep. Ranks have
  /// one at most: for every other they are started anew.
  std::vector<std::string> rivals;
  int ranks = 2;
  /// Physical cores that the run may use.
  int cores = 1;

  std::vector<Operation> ops{Operation::allReduce};
  int root = 0;     ///< of the operations that have one
  SizeRange sizes;  ///< of the larger buffer
  std::vector<DataType> types{DataType::f32};
  std::vector<Reduction> reductions{Reduction::sum};

  int iterations = 0;  ///< timed samples per size and contender; 0: as many as the budget allows
  int warmups = 5;     ///< calls before the first sample
  bool check = true;   ///< compare every element with what it should be, before timing
  bool checkOnly = false;  ///< verify everything, time nothing
  bool planOnly = false;   ///< say what would run, run nothing
  double budgetSeconds = 50;

  /// Options::reproducible, or both of it: then every mode is measured twice.
  std::vector<bool> reproducible{false};
  bool registered = false;  ///< buffers by Communicator::alloc, read in place by peers
  std::string algorithm, protocol, cipher, tuningFile;
  bool insecureKeys = false;
  double timeoutSeconds = 30;

  bool gpu = false;    ///< the collectives of GPUs (lockstep/device.hpp); else of host memory
  int gpus = 0;        ///< that the ranks are spread over; 0: all there are
  bool graph = false;  ///< a batch of calls on GPUs is a CUDA graph
  /// Ranks that share a GPU make each call by one launch; else each in a stream of its own.
  bool together = false;

  /// Tunes instead: for "registered" or "ordinary" buffers, or "both". `modes` then has p2p, to
  /// agree through, before the modes to tune.
  std::string tune;
};

/// What tells the communicators of a run apart.
struct Variant {
  Mode mode = Mode::p2p;
  bool reproducible = false;
};
/// In the order of contenders: the modes, and if both are asked for, all of them again,
/// reproducible.
std::vector<Variant> variantsOf(const RunConfig& config);

/// Whether some GPU has several ranks: then all are threads of one process, since a GPU takes turns
/// between processes, and kernels that wait for each other must run at the same time.
bool ranksShareGpus(const RunConfig& config);

/// What a communicator of this run is made with; the key comes separately, as it is no setting.
Options communicatorOptions(const RunConfig& config, Variant variant,
                            const std::vector<std::byte>& psk);

void to_json(nlohmann::json& json, const RunConfig& config);
void from_json(const nlohmann::json& json, RunConfig& config);

}  // namespace lockstep::bench
