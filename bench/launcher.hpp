// The parent's side of a run: starts the ranks, tells them what to do, watches over them, and ends
// them whatever happens. Nothing outlives it: no process, no file, no shared memory.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/result.hpp"

namespace lockstep::bench {

struct Launch {
  RunConfig config;
  std::span<const std::byte> psk;  ///< pre-shared key, or empty; its owner wipes it
  std::vector<int>
      cpus;  ///< one hardware thread per core; ranks are pinned to them when they suffice
  std::function<void(std::size_t done, std::size_t total, const std::string& text)> progress;
};

struct Outcome {
  std::optional<RunResult> result;
  std::optional<RunResult> finished;  ///< the rows that were done when it ended without a result
  std::vector<std::string> faults;    ///< wrong results
  std::vector<std::string> errors;    ///< why there is no result, one line each, causes first
  bool badRequest = false;            ///< the library says that what was asked for does not exist
  int signal = 0;                     ///< that ended the run, or 0
};

/// Ranks as processes of this program, or where they share GPUs, as threads of one.
Outcome launchRanks(const Launch& launch);

/// One way of measuring beside a rival; for each, the ranks are started anew.
struct RivalSetting {
  std::string name;   ///< "mpi default"
  std::string rival;  ///< "mpi"
  std::function<Outcome(const Launch&)> launch;
};
/// Those that --baseline with this rival compares with. Throws unsupported when it is not here.
std::vector<RivalSetting> settingsBeside(const std::string& rival);
/// Those of MPI: the ranks are processes of this program under mpirun.
std::vector<RivalSetting> mpiSettings();

}  // namespace lockstep::bench
