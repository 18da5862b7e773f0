#include "bench/floors/pair.hpp"

#include <unistd.h>

namespace lockstep::floors {

void Pair::enter(int rank, int cpu) {
  Team::enter(rank, cpu);
  pid_t* pid = takeShared<pid_t>(1);
  *pid = getpid();
  barrier();
  peerPid_ = *theirs(pid);
}

}  // namespace lockstep::floors
