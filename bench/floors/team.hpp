// Processes on cores and the memory between them: what every floor is built from.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <sched.h>
#include <sys/types.h>

#include "base/clock.hpp"
#include "base/mapping.hpp"

namespace lockstep::floors {

/// A number that only ever grows, alone on its cache line: one rank writes it, the others wait.
struct alignas(kCacheLine) Flag {
  std::atomic<std::uint64_t> value{0};

  void raise(std::uint64_t v) { value.store(v, std::memory_order_release); }
};

/// How a rank waits: it spins where it has a core to itself, and yields where another may need it.
enum class Waiting : std::uint8_t { spin, yield };

/// Throws timeout once another rank has kept this one waiting for 20 s; `since` is set by the first
/// call.
void checkPatience(Clock::time_point& since);

/// Waits until `ready()`. The first polls come without a pause, because on Zen 4 one pause (about
/// 60 cycles) is a tenth of the whole latency of a small all-reduce.
template <Waiting How = Waiting::spin, class Ready>
void waitUntil(Ready&& ready) {
  constexpr bool kYields = How == Waiting::yield;
  constexpr unsigned kEager = kYields ? 4 : 64, kCheckEvery = kYields ? 1U << 10 : 1U << 16;
  for (unsigned spins = 0; spins < kEager; ++spins)
    if (ready()) return;
  Clock::time_point since{};
  for (unsigned spins = 1; !ready(); ++spins) {
    if constexpr (kYields)
      sched_yield();
    else
      __builtin_ia32_pause();
    if (spins % kCheckEvery == 0) checkPatience(since);
  }
}

template <Waiting How = Waiting::spin>
void await(const Flag& flag, std::uint64_t value) {
  waitUntil<How>([&] { return flag.value.load(std::memory_order_acquire) >= value; });
}

/// Time that this thread has had a core. What others do with the core between its turns is not in
/// it. Seconds.
double cpuSeconds();

/// Moves this process to that CPU. Throws system.
void pinTo(int cpu);

/// One rank's end of a team. Made before the fork, so that shared memory has the same address in
/// all processes; `enter` then says which rank this process is.
class Team {
 public:
  /// Shares room for one side of `sideBytes` per rank: what the floors put there with `takeShared`.
  Team(int ranks, std::size_t sideBytes, Waiting waiting);

  /// Becomes that rank and moves to `cpu`. Throws system.
  void enter(int rank, int cpu);

  int ranks() const { return ranks_; }
  int rank() const { return rank_; }
  Waiting waiting() const { return waiting_; }

  /// `bytes` of zeroed shared memory on this rank's side, page aligned. All ranks take the same in
  /// the same order, so that `at` finds another's piece. Throws invalidArgument when full.
  std::byte* takeShared(std::size_t bytes);
  template <class T>
  T* takeShared(std::size_t count) {
    return reinterpret_cast<T*>(takeShared(count * sizeof(T)));
  }

  /// Another rank's copy of something on this rank's side.
  template <class T>
  T* at(int rank, T* mine) const {
    const auto distance = static_cast<std::ptrdiff_t>(sideBytes_) * (rank - rank_);
    return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(mine) +
                                static_cast<std::uintptr_t>(distance));
  }

  /// Returns once the others have come too.
  void barrier();
  /// All ranks learn the largest of their values.
  double agreeOnMax(double mine);
  /// All ranks learn rank 0's value.
  std::uint64_t follow(std::uint64_t mine);

  /// 32 random bytes for what one rank seals for another.
  using Key = std::array<std::byte, 32>;
  const Key& key(int sender, int receiver) const {
    return keys_[static_cast<std::size_t>(sender * ranks_ + receiver)];
  }

 private:
  int ranks_;
  Waiting waiting_;
  std::size_t sideBytes_;
  Mapping shared_;
  std::vector<Key> keys_;
  int rank_ = 0;
  std::size_t taken_ = 0;
  Flag* signal_ = nullptr;
  std::uint64_t* mailbox_ = nullptr;
  std::uint64_t round_ = 0;
};

}  // namespace lockstep::floors
