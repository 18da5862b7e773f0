// A rank: the same program as its parent, started again, on the other end of a link.
#pragma once

#include <string>
#include <vector>

#include "base/fd.hpp"

namespace lockstep::bench {

/// First argument of the hidden command lines: `ccbench __rank <rank> <fd>` is started by the
/// launcher, `ccbench __mpi-rank <socket>` by mpirun.
inline constexpr const char* kRankCommand = "__rank";
inline constexpr const char* kMpiRankCommand = "__mpi-rank";

/// `ccbench __rank-threads <fd>,<fd>,..` plays all ranks as threads, each with a link of its own.
inline constexpr const char* kRankThreadsCommand = "__rank-threads";

/// All return the exit status: 0, or 1 after the link has been told why.
int runRank(int rank, Fd link);
int runRankThreads(std::vector<Fd> links);
/// `socket`: name of the abstract Unix socket where the parent listens. The rank comes from MPI.
int runMpiRank(const std::string& socket);

}  // namespace lockstep::bench
