// Which rank a launcher has made of this process, from the environment.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace lockstep::launch {

struct Place {
  std::string launcher;  ///< "Open MPI"
  int rank = 0;
  int worldSize = 1;
  std::optional<int> localSize;  ///< ranks on this host, where the launcher tells
  std::optional<int> hosts;      ///< hosts of the job, where the launcher tells
  std::string job;               ///< the same on all ranks, and no other job's; empty: not told
};

/// A variable's value, or nullptr.
using Environment = std::function<const char*(const char*)>;

/// What the first of these says for which both the rank and the world size are set: LOCKSTEP_RANK
/// by hand, torchrun, Open MPI's mpirun, a launcher that speaks PMI (MPICH, Intel MPI), Slurm's
/// srun. An inner launcher comes before one that may have started it. LOCKSTEP_JOB, where set, is
/// the job's name. Nothing: none of them. Throws invalidArgument for a value that makes no sense,
/// naming the variable and the value.
std::optional<Place> detect(const Environment& environment);

/// For this process. Throws also if there is nothing (saying what to set), and unsupported for a
/// job on several hosts. A launcher that names no job is told by its process.
Place find();

/// "rank 2 of 4, started by Open MPI, job '1234'"
std::string toString(const Place& place);

}  // namespace lockstep::launch
