#include "bench/floors/pair.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include <sched.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fail.hpp"

namespace lockstep::floors {

void checkPatience(Clock::time_point& since) {
  const auto now = Clock::now();
  if (since == Clock::time_point{}) since = now;
  if (now - since > std::chrono::seconds(20))
    fail(ErrorCode::timeout, "the other process did not come within 20 s");
}

Pair::Pair(std::size_t sideBytes) : sideBytes_(roundUp(sideBytes, kPage)) {
  const Fd fd = createSharedMemory("lockstep floors", 2 * sideBytes_);
  shared_ = Mapping::ofFile(fd, 2 * sideBytes_, Mapping::Access::readWrite);
  for (Key& key : keys_)
    if (getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size()))
      failErrno("cannot get random bytes for the keys");
}

void Pair::enter(int rank, int cpu) {
  rank_ = rank;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) failErrno("cannot move to CPU {}", cpu);
  signal_ = takeShared<Flag>(1);
  mailbox_ = takeShared<std::uint64_t>(1);
  *mailbox_ = static_cast<std::uint64_t>(getpid());
  barrier();
  peerPid_ = static_cast<pid_t>(*theirs(mailbox_));
  barrier();
}

std::byte* Pair::takeShared(std::size_t bytes) {
  const std::size_t end = taken_ + roundUp(bytes, kPage);
  if (end > sideBytes_)
    fail(ErrorCode::invalidArgument, "{} B of shared memory asked, {} B are left", bytes,
         sideBytes_ - taken_);
  std::byte* at = shared_.data() + static_cast<std::size_t>(rank_) * sideBytes_ + taken_;
  taken_ = end;
  return at;
}

double Pair::agreeOnMax(double mine) {
  *mailbox_ = std::bit_cast<std::uint64_t>(mine);
  barrier();
  const double both = std::max(mine, std::bit_cast<double>(*theirs(mailbox_)));
  barrier();
  return both;
}

std::uint64_t Pair::follow(std::uint64_t mine) {
  *mailbox_ = mine;
  barrier();
  const std::uint64_t value = rank_ == 0 ? mine : *theirs(mailbox_);
  barrier();
  return value;
}

}  // namespace lockstep::floors
