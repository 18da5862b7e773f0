// Two processes on two cores and the memory between them: what every floor is built from.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include <sys/types.h>

#include "base/clock.hpp"
#include "base/mapping.hpp"

namespace lockstep::floors {

/// A number that only ever grows, alone on its cache line: one rank writes it, the other waits.
struct alignas(kCacheLine) Flag {
  std::atomic<std::uint64_t> value{0};

  void raise(std::uint64_t v) { value.store(v, std::memory_order_release); }
};

/// Throws timeout once the peer has kept this rank waiting for 20 s; `since` is set by the first
/// call.
void checkPatience(Clock::time_point& since);

/// Spins until `ready()`. The first polls come without a pause, because on Zen 4 one pause (about
/// 60 cycles) is a tenth of the whole latency of a small all-reduce.
template <class Ready>
void spinUntil(Ready&& ready) {
  constexpr unsigned kEager = 64, kCheckEvery = 1U << 16;
  for (unsigned spins = 0; spins < kEager; ++spins)
    if (ready()) return;
  Clock::time_point since{};
  for (unsigned spins = 1; !ready(); ++spins) {
    __builtin_ia32_pause();
    if (spins % kCheckEvery == 0) checkPatience(since);
  }
}

inline void await(const Flag& flag, std::uint64_t value) {
  spinUntil([&] { return flag.value.load(std::memory_order_acquire) >= value; });
}

/// One rank's end of the pair. Made before the fork, so that shared memory has the same address in
/// both processes; `enter` then says which rank this process is.
class Pair {
 public:
  /// Shares room for two sides of `sideBytes` each: what the floors put there with `takeShared`.
  explicit Pair(std::size_t sideBytes);

  /// Becomes rank 0 or 1 and moves to `cpu`. Throws system.
  void enter(int rank, int cpu);

  int rank() const { return rank_; }
  int peer() const { return 1 - rank_; }
  pid_t peerPid() const { return peerPid_; }

  /// `bytes` of zeroed shared memory on this rank's side, page aligned. Both ranks take the same
  /// in the same order, so that `theirs` finds the peer's piece. Throws invalidArgument when full.
  std::byte* takeShared(std::size_t bytes);
  template <class T>
  T* takeShared(std::size_t count) {
    return reinterpret_cast<T*>(takeShared(count * sizeof(T)));
  }

  /// The peer's copy of something on this rank's side.
  template <class T>
  T* theirs(T* mine) const {
    const auto distance = static_cast<std::ptrdiff_t>(sideBytes_) * (peer() - rank_);
    return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(mine) +
                                static_cast<std::uintptr_t>(distance));
  }

  /// Returns once the peer has come too.
  void barrier() {
    signal_->raise(++round_);
    await(*theirs(signal_), round_);
  }
  /// Both ranks learn the larger of the two values.
  double agreeOnMax(double mine);
  /// Both ranks learn rank 0's value.
  std::uint64_t follow(std::uint64_t mine);

  /// 32 random bytes per direction: [0] for what rank 0 seals, [1] for what rank 1 seals.
  using Key = std::array<std::byte, 32>;
  const Key& sealKey() const { return keys_[static_cast<std::size_t>(rank_)]; }
  const Key& openKey() const { return keys_[static_cast<std::size_t>(peer())]; }

 private:
  std::size_t sideBytes_;
  Mapping shared_;
  std::array<Key, 2> keys_{};
  int rank_ = 0;
  pid_t peerPid_ = 0;
  std::size_t taken_ = 0;
  Flag* signal_ = nullptr;
  std::uint64_t* mailbox_ = nullptr;
  std::uint64_t round_ = 0;
};

}  // namespace lockstep::floors
