#include "bench/floors/team.hpp"

#include <algorithm>
#include <bit>
#include <ctime>

#include <sys/random.h>

#include "base/fail.hpp"

namespace lockstep::floors {

void checkPatience(Clock::time_point& since) {
  const auto now = Clock::now();
  if (since == Clock::time_point{}) since = now;
  if (now - since > std::chrono::seconds(20))
    fail(ErrorCode::timeout, "another process did not come within 20 s");
}

double cpuSeconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

void pinTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) failErrno("cannot move to CPU {}", cpu);
}

Team::Team(int ranks, std::size_t sideBytes, Waiting waiting)
    : ranks_(ranks), waiting_(waiting), sideBytes_(roundUp(sideBytes, kPage)) {
  const auto sides = static_cast<std::size_t>(ranks);
  const Fd fd = createSharedMemory("lockstep floors", sides * sideBytes_);
  shared_ = Mapping::ofFile(fd, sides * sideBytes_, Mapping::Access::readWrite);
  keys_.resize(sides * sides);
  for (Key& key : keys_)
    if (getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size()))
      failErrno("cannot get random bytes for the keys");
}

void Team::enter(int rank, int cpu) {
  rank_ = rank;
  pinTo(cpu);
  signal_ = takeShared<Flag>(1);
  mailbox_ = takeShared<std::uint64_t>(1);
  barrier();
}

std::byte* Team::takeShared(std::size_t bytes) {
  const std::size_t end = taken_ + roundUp(bytes, kPage);
  if (end > sideBytes_)
    fail(ErrorCode::invalidArgument, "{} B of shared memory asked, {} B are left", bytes,
         sideBytes_ - taken_);
  std::byte* at = shared_.data() + static_cast<std::size_t>(rank_) * sideBytes_ + taken_;
  taken_ = end;
  return at;
}

void Team::barrier() {
  signal_->raise(++round_);
  for (int other = 0; other < ranks_; ++other) {
    if (other == rank_) continue;
    if (waiting_ == Waiting::spin)
      await(*at(other, signal_), round_);
    else
      await<Waiting::yield>(*at(other, signal_), round_);
  }
}

double Team::agreeOnMax(double mine) {
  *mailbox_ = std::bit_cast<std::uint64_t>(mine);
  barrier();
  double most = mine;
  for (int rank = 0; rank < ranks_; ++rank)
    most = std::max(most, std::bit_cast<double>(*at(rank, mailbox_)));
  barrier();
  return most;
}

std::uint64_t Team::follow(std::uint64_t mine) {
  *mailbox_ = mine;
  barrier();
  const std::uint64_t value = *at(0, mailbox_);
  barrier();
  return value;
}

}  // namespace lockstep::floors
