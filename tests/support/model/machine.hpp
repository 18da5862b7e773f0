// Executes one step of a program on a state. A step may read what is new or what is stale: it asks
// Choices, and the explorer runs it once for every answer.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/model/state.hpp"

namespace lockstep::model {

/// The program did what it must not. Found by the machine or by a program's own check.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Counts through every combination of answers to the questions that a step asks.
class Choices {
 public:
  /// One of `options` >= 1.
  std::size_t pick(std::size_t options) {
    if (asked_ == digits_.size()) digits_.push_back({0, options});
    return digits_[asked_++].at;
  }
  /// Goes on to the next combination; false after the last.
  bool next() {
    asked_ = 0;
    while (!digits_.empty() && digits_.back().at + 1 == digits_.back().options) digits_.pop_back();
    if (digits_.empty()) return false;
    ++digits_.back().at;
    return true;
  }

 private:
  struct Digit {
    std::size_t at, options;
  };
  std::vector<Digit> digits_;
  std::size_t asked_ = 0;
};

/// A word of a program.
struct WordSpec {
  std::string name{};
  std::size_t writer = 0;
  std::vector<std::size_t> readers{};
  bool relaxedStores = false, relaxedLoads = false;  ///< whatever the code asks for
  bool weak = false;    ///< sequentially consistent accesses are only acquire and release
  unsigned modulo = 0;  ///< keeps values modulo this; 0: all of them
};

/// What a load yields: a value that may have lost its upper part, which a comparison for equality
/// then ignores on the other side too.
class Counter {
 public:
  Counter(std::uint64_t value, unsigned modulo) : value_(value), modulo_(modulo) {}
  operator std::uint64_t() const { return value_; }  // NOLINT: as an atomic's load
  friend bool operator==(Counter counter, std::unsigned_integral auto whole) {
    return counter.value_ == (counter.modulo_ == 0 ? whole : whole % counter.modulo_);
  }

 private:
  std::uint64_t value_;
  unsigned modulo_;
};

class Machine;

/// Stands for std::atomic<std::uint64_t> in the code under test.
class Word {
 public:
  Word(Machine& machine, std::size_t index) : machine_(&machine), index_(index) {}
  Counter load(std::memory_order order) const;
  void store(std::uint64_t value, std::memory_order order);
  std::size_t index() const { return index_; }

 private:
  Machine* machine_;
  std::size_t index_;
};

/// A step is any number of loads and then any number of stores, or a fence alone; accesses to cells
/// anywhere. That such a step runs at one instant hides nothing: a load can as well be made later
/// (it may read what is stale by then), a store as well earlier (nobody need read it yet), and
/// races are judged by happens-before. Steps of any other form are refused.
///
/// Sequentially consistent accesses have one order, that of the steps: such a load does not read
/// what is older than the last such store. C++20 promises no less. To be alone in its step is up to
/// the program.
class Machine {
 public:
  Machine(const std::vector<WordSpec>& words, State& state, std::size_t thread, std::size_t lane,
          Choices& choices)
      : words_(words), state_(state), thread_(thread), lane_(lane), choices_(choices) {}

  Word word(std::size_t index) { return {*this, index}; }

  Counter load(std::size_t word, std::memory_order order) {
    const WordSpec& spec = words_.at(word);
    if (stored_ || fenced_) throw std::logic_error("a load after a store or fence in one step");
    if (!mayRead(spec)) throw std::logic_error("thread reads " + spec.name + " undeclared");
    loaded_ = true;
    const bool strong = order == std::memory_order_seq_cst && !spec.weak;
    Byte& oldest = me().now.view.time[word];
    if (strong) oldest = std::max(oldest, state_.core.strong.time[word]);
    const Store& store = pickStore(word);
    me().now.view.time[word] = store.time;
    const bool acquires = order != std::memory_order_relaxed && !spec.relaxedLoads;
    (acquires ? me().now : me().pending).join(store.told);
    return {store.value, spec.modulo};
  }

  void store(std::size_t word, std::uint64_t value, std::memory_order order) {
    const WordSpec& spec = words_.at(word);
    if (fenced_) throw std::logic_error("a store after a fence in one step");
    if (spec.writer != thread_) throw std::logic_error("a second writer of " + spec.name);
    stored_ = true;
    const Byte time = next(state_.core.latest.time[word]);
    me().now.view.time[word] = time;
    const bool releases = order != std::memory_order_relaxed && !spec.relaxedStores;
    if (order == std::memory_order_seq_cst && !spec.weak) state_.core.strong.time[word] = time;
    Store made{.word = static_cast<Byte>(word),
               .time = time,
               .value = byte(spec.modulo == 0 ? value : value % spec.modulo),
               .told = releases ? me().now : me().fenced};
    made.told.view.time[word] = time;
    insert(made);
    if (releases) tick();
  }

  /// std::atomic_thread_fence(std::memory_order_seq_cst).
  void fence() {
    if (loaded_ || stored_) throw std::logic_error("a fence beside other accesses in one step");
    fenced_ = true;
    me().now.join(me().pending);
    me().now.view.join(state_.core.fences);  // an order of fences, not happens-before: no clock
    state_.core.fences = me().now.view;
    me().fenced = me().now;
    tick();
  }

  Byte read(std::size_t cell) {
    Cell& c = state_.core.cells.at(cell);
    if (c.writeEpoch > me().now.clock.epoch[c.writer])
      throw Violation("data race: a read of cell " + std::to_string(cell) +
                      " is not ordered after the write by thread " + std::to_string(c.writer));
    c.readEpoch[thread_] = epoch();
    return c.value;
  }

  void write(std::size_t cell, std::uint64_t value) {
    Cell& c = state_.core.cells.at(cell);
    const Clock& clock = me().now.clock;
    for (std::size_t t = 0; t < kMaxThreads; ++t)
      if (c.readEpoch[t] > clock.epoch[t] || (c.writer == t && c.writeEpoch > clock.epoch[t]))
        throw Violation("data race: a write of cell " + std::to_string(cell) +
                        " is not ordered after the access by thread " + std::to_string(t));
    c = {.value = byte(value), .writer = static_cast<Byte>(thread_), .writeEpoch = epoch()};
  }

  /// FUTEX_WAIT: sleeps unless the word differs. The kernel reads the word under a lock that
  /// FUTEX_WAKE takes too (futex(2): the comparison is atomic with respect to other futex
  /// operations on the word). True: this thread now sleeps. No time-out and no spurious wake-up,
  /// which would hide a lost one. `anyway`: sleeps whatever the word, as only a mutant does.
  bool futexWait(std::size_t word, std::uint64_t expected, bool anyway = false) {
    me().now.view.join(state_.core.kernel);
    const bool sleeps = load(word, std::memory_order_relaxed) == expected || anyway;
    state_.core.kernel.join(me().now.view);
    if (sleeps) me().sleepsOn = static_cast<Byte>(word + 1);
    return sleeps;
  }
  void futexWake(std::size_t word) {
    stored_ = true;
    state_.core.kernel.join(me().now.view);
    for (Thread& thread : state_.core.threads)
      if (thread.sleepsOn == word + 1) thread.sleepsOn = 0;
  }
  bool asleep() { return me().sleepsOn != 0; }

  /// A variable of this thread.
  Byte& local(std::size_t index) { return me().local.at(index); }
  /// How far a lane of this thread is in its phase.
  std::size_t at(std::size_t lane) { return me().at.at(lane); }
  /// The lane goes on at this step, if the present one is done.
  void jump(std::size_t step) { me().at[lane_] = static_cast<Byte>(step - 1); }

  static void check(bool good, const char* complaint) {
    if (!good) throw Violation(complaint);
  }

 private:
  static Byte byte(std::uint64_t value) {
    if (value > 255) throw std::length_error("more than a byte");
    return static_cast<Byte>(value);
  }
  static Byte next(Byte& counter) { return counter = byte(counter + 1U); }

  Thread& me() { return state_.core.threads[thread_]; }
  /// Accesses from here on are in the next epoch, of which nobody has been told.
  void tick() { next(me().now.clock.epoch[thread_]); }
  /// Epochs of accesses count from 1.
  Byte epoch() { return byte(me().now.clock.epoch[thread_]); }
  bool mayRead(const WordSpec& spec) const {
    return std::find(spec.readers.begin(), spec.readers.end(), thread_) != spec.readers.end();
  }
  static bool earlier(const Store& a, const Store& b) {
    return std::pair(a.word, a.time) < std::pair(b.word, b.time);
  }
  /// Any store that is not older than what this thread knows.
  const Store& pickStore(std::size_t word) {
    const Store oldest{.word = static_cast<Byte>(word), .time = me().now.view.time[word]};
    const auto first =
        std::lower_bound(state_.stores.begin(), state_.stores.end(), oldest, earlier);
    auto last = first;
    while (last != state_.stores.end() && last->word == word) ++last;
    return first[static_cast<std::ptrdiff_t>(
        choices_.pick(static_cast<std::size_t>(last - first)))];
  }
  void insert(const Store& store) {
    state_.stores.insert(
        std::upper_bound(state_.stores.begin(), state_.stores.end(), store, earlier), store);
  }

  const std::vector<WordSpec>& words_;
  State& state_;
  std::size_t thread_, lane_;
  Choices& choices_;
  bool loaded_ = false, stored_ = false, fenced_ = false;
};

inline Counter Word::load(std::memory_order order) const {
  return machine_->load(index_, order);
}

inline void Word::store(std::uint64_t value, std::memory_order order) {
  machine_->store(index_, value, order);
}

}  // namespace lockstep::model
