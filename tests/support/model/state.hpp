// A state of a program under the C++ memory model, as the explorer sees it: what every word has
// been set to, and what every thread knows of that.
//
// The model is a view machine (Kang et al., "A promising semantics for relaxed-memory concurrency",
// POPL 2017, without promises): it has every execution of C++20 in which no load reads a store that
// depends on it (no load buffering). Words have one writer each, as all of ours do, so that the
// modification order of a word is its writer's program order.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace lockstep::model {

// Bounds of what a program may have. Everything is a byte, so that states are small and compare as
// memory.
inline constexpr std::size_t kMaxThreads = 4;
inline constexpr std::size_t kMaxLanes = 3;
inline constexpr std::size_t kMaxWords = 24;
inline constexpr std::size_t kMaxCells = 12;
inline constexpr std::size_t kMaxLocals = 16;

using Byte = std::uint8_t;

template <std::size_t n>
void joinBytes(std::array<Byte, n>& into, const std::array<Byte, n>& other) {
  for (std::size_t i = 0; i < n; ++i) into[i] = std::max(into[i], other[i]);
}

/// By word: the oldest store that may still be read, counted in the word's modification order.
struct View {
  std::array<Byte, kMaxWords> time{};
  void join(const View& other) { joinBytes(time, other.time); }
  /// Counts from `base` on; what is older counts as base itself.
  void rebase(const View& base) {
    for (std::size_t i = 0; i < kMaxWords; ++i)
      time[i] = static_cast<Byte>(std::max(time[i], base.time[i]) - base.time[i]);
  }
};

/// A vector clock. Orders accesses to cells; happens-before and nothing more.
struct Clock {
  std::array<Byte, kMaxThreads> epoch{};
  void join(const Clock& other) { joinBytes(epoch, other.epoch); }
};

/// What a thread has learned, or what a store tells those who acquire it.
struct Knowledge {
  View view;
  Clock clock;
  void join(const Knowledge& other) {
    view.join(other.view);
    clock.join(other.clock);
  }
};

/// One store to a word.
struct Store {
  Byte word = 0, time = 0, value = 0;
  Knowledge told{};
};

struct Thread {
  Knowledge now;
  Knowledge pending;                     ///< read by relaxed loads; a fence acquires it
  Knowledge fenced;                      ///< as of the last fence; relaxed stores tell it
  Byte phase = 0;                        ///< which group of lanes runs
  std::array<Byte, kMaxLanes> at{};      ///< next step of each lane
  std::array<Byte, kMaxLocals> local{};  ///< variables of the program
  Byte sleepsOn = 0;                     ///< word + 1 while in FUTEX_WAIT
};

/// Ordinary memory: two accesses that are not ordered, one of them a write, are a race.
struct Cell {
  Byte value = 0;
  Byte writer = 0, writeEpoch = 0;            ///< of the last write; epoch 0: none
  std::array<Byte, kMaxThreads> readEpoch{};  ///< since then
};

/// All but the stores, of fixed size.
struct Core {
  std::array<Thread, kMaxThreads> threads;
  std::array<Cell, kMaxCells> cells;
  View latest;  ///< each word's last store
  View fences;  ///< what sequentially consistent fences have seen
  View kernel;  ///< what callers of the futex system call have seen
  View strong;  ///< each word's last sequentially consistent store
};
static_assert(std::has_unique_object_representations_v<Core> &&
              std::has_unique_object_representations_v<Store>);

struct State {
  Core core;
  std::vector<Store> stores;  ///< those that can still be read, by word and time
};

}  // namespace lockstep::model
