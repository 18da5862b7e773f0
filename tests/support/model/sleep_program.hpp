// Ranks that sleep until another rank has written a word, and are woken by the doorbell: step by
// step what lib/executor/host/wait.cpp does where ranks outnumber cores, without its time-out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "support/model/explorer.hpp"

namespace lockstep::model {

enum class SleepBug : std::uint8_t {
  none,
  noFenceInWaker,
  noFenceInSleeper,
  wakeBeforeStore,      ///< the doorbell rings before the word is written
  sleepsWithoutTrying,  ///< no attempt between announcing and sleeping
  sleepsOnAnotherWord,  ///< than the one announced
  comparesNothing,      ///< sleeps whatever the word's value
};

/// One act of a rank: sets its word to `value`, or waits until each word of `awaits` has reached
/// it: whoever is ahead may have set it again.
struct SleepAct {
  std::vector<std::size_t> awaits;  ///< empty: signals
  std::uint64_t value = 0;
};

/// By rank. Rank r owns word r, which every other rank may wait for.
struct SleepWorld {
  std::string name;
  std::vector<std::vector<SleepAct>> ranks;
  SleepBug bug = SleepBug::none;
};

class SleepProgram {
 public:
  explicit SleepProgram(const SleepWorld& world) : world_(world), ranks_(world.ranks.size()) {
    program_.cells = false;
    for (std::size_t kind = 0; kind < 2; ++kind)
      for (std::size_t rank = 0; rank < ranks_; ++rank)
        program_.words.push_back(
            {.name = kind == 0 ? "word" : "asleep", .writer = rank, .readers = othersThan(rank)});
    for (std::size_t rank = 0; rank < ranks_; ++rank) {
      Lane lane;
      for (const SleepAct& act : world.ranks[rank])
        act.awaits.empty() ? addSignal(lane, rank, act.value) : addWait(lane, rank, act);
      program_.threads.push_back({{std::move(lane)}});
    }
  }
  const Program& program() const { return program_; }

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  /// The fields of Wait, in the variables of a thread.
  enum Local : std::uint8_t { announced, word, seen, awaited };

  bool has(SleepBug bug) const { return world_.bug == bug; }
  std::size_t asleep(std::size_t rank) const { return ranks_ + rank; }
  std::vector<std::size_t> othersThan(std::size_t rank) const {
    std::vector<std::size_t> others;
    for (std::size_t other = 0; other < ranks_; ++other)
      if (other != rank) others.push_back(other);
    return others;
  }
  static Step fence(const std::string& who, bool missing) {
    return {who + ": fence", [missing](Machine& m) {
              if (!missing) m.fence();
              return Outcome::done;
            }};
  }

  /// Doorbell::wakeAll, after the store that it follows.
  void addSignal(Lane& lane, std::size_t rank, std::uint64_t value) const {
    const Step store{"store the word", [rank, value](Machine& m) {
                       m.store(rank, value, std::memory_order_release);
                       return Outcome::done;
                     }};
    if (!has(SleepBug::wakeBeforeStore)) lane.push_back(store);
    lane.push_back(fence("doorbell", has(SleepBug::noFenceInWaker)));
    lane.push_back({"doorbell: wake who is asleep", [this, rank](Machine& m) {
                      bool any = false;
                      for (const std::size_t other : othersThan(rank))
                        if (m.load(asleep(other), kRelaxed) != 0U) any = true;
                      if (any) m.futexWake(rank);
                      return Outcome::done;
                    }});
    if (has(SleepBug::wakeBeforeStore)) lane.push_back(store);
  }

  /// The loop of a caller of Wait: try; pause; try again. Steps of it, counted from its first:
  enum Place : std::uint8_t { kTry, kAnnounce, kFence, kLook, kFutex, kSleep, kAwake, kEnd };

  void addWait(Lane& lane, std::size_t rank, const SleepAct& act) const {
    const std::size_t at = lane.size();
    lane.push_back(
        {"try", [this, rank, act, at](Machine& m) { return attempt(m, rank, act, at); }});
    lane.push_back({"announce", [this, rank](Machine& m) {
                      m.local(announced) = 1;
                      m.local(word) = m.local(awaited);
                      m.store(asleep(rank), 1, kRelaxed);
                      return Outcome::done;
                    }});
    lane.push_back(fence("sleeper", has(SleepBug::noFenceInSleeper)));
    lane.push_back({"look", [this, at](Machine& m) {
                      m.local(seen) = static_cast<Byte>(m.load(m.local(word), kRelaxed));
                      m.jump(at + (has(SleepBug::sleepsWithoutTrying) ? kFutex : kTry));
                      return Outcome::done;
                    }});
    lane.push_back({"futex wait", [this, at](Machine& m) {
                      const Byte current = m.local(awaited);
                      const bool sleeps =
                          m.futexWait(current, m.local(seen), has(SleepBug::comparesNothing));
                      if (!sleeps) m.jump(at + kAwake);
                      return Outcome::done;
                    }});
    lane.push_back(
        {"sleep", [](Machine& m) { return m.asleep() ? Outcome::blocked : Outcome::done; }});
    lane.push_back({"awake", [this, rank, at](Machine& m) {
                      awake(m, rank);
                      m.jump(at + kTry);
                      return Outcome::done;
                    }});
  }

  Outcome attempt(Machine& m, std::size_t rank, const SleepAct& act, std::size_t at) const {
    for (const std::size_t other : act.awaits) {
      if (m.load(other, std::memory_order_acquire) >= act.value) continue;
      pause(m, rank, other, at);
      return Outcome::done;
    }
    if (m.local(announced) != 0) awake(m, rank);  // Wait::progress
    m.jump(at + kEnd);
    return Outcome::done;
  }

  /// Wait::sleep, as far as the next step.
  void pause(Machine& m, std::size_t rank, std::size_t other, std::size_t at) const {
    m.local(awaited) = static_cast<Byte>(other);
    if (m.local(announced) == 0) return m.jump(at + kAnnounce);
    if (m.local(word) == other || has(SleepBug::sleepsOnAnotherWord)) return m.jump(at + kFutex);
    awake(m, rank);
    m.jump(at + kTry);
  }

  void awake(Machine& m, std::size_t rank) const {
    m.local(announced) = 0;
    m.store(asleep(rank), 0, kRelaxed);
  }

  const SleepWorld& world_;
  std::size_t ranks_;
  Program program_;
};

inline Report explore(const SleepWorld& world) {
  return explore(SleepProgram(world).program());
}

}  // namespace lockstep::model
