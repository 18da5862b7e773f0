// The parent's side of a run: starts the ranks, tells them what to do, watches over them, and ends
// them whatever happens. Nothing outlives it: no process, no file, no shared memory.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/result.hpp"

namespace lockstep::bench {

struct Launch {
  RunConfig config;
  std::vector<std::byte> psk;
  std::vector<int>
      cpus;  ///< one hardware thread per core; ranks are pinned to them when they suffice
  std::function<void(std::size_t done, std::size_t total, const std::string& text)> progress;
};

struct Outcome {
  std::optional<RunResult> result;
  std::vector<std::string> faults;  ///< wrong results
  std::vector<std::string> errors;  ///< why there is no result, one line each, causes first
  bool badRequest = false;          ///< the library says that what was asked for does not exist
  int signal = 0;                   ///< that ended the run, or 0
};

/// Ranks as processes of this program.
Outcome launchRanks(const Launch& launch);

/// A way of running MPI.
struct MpiSetting {
  std::string name;                    ///< "default", "ucx-sysv"
  std::vector<std::string> arguments;  ///< of mpirun
};
/// Those that --baseline mpi compares with.
std::vector<MpiSetting> mpiSettings();

/// Ranks as processes of this program under mpirun. Throws unsupported when there is no mpirun.
Outcome launchUnderMpi(const Launch& launch, const MpiSetting& setting);

}  // namespace lockstep::bench
