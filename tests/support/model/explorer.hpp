// Explores every execution of a small program: breadth first over states, each visited once. Finds
// what the machine refuses (races, failed checks), states where nobody can go on, and states from
// which the end is out of reach.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "support/model/machine.hpp"

namespace lockstep::model {

/// What came of trying a step. A failed attempt to wait may be `blocked`, as if it had not been
/// made: having read something stale only narrows what can be read later.
enum class Outcome : std::uint8_t {
  done,     ///< the lane goes on
  blocked,  ///< nothing happened
  again,    ///< the same step comes again, but what it read or remembered stays
};

struct Step {
  std::string name;
  std::function<Outcome(Machine&)> run;
};

/// Lanes of a thread run interleaved, in whatever order they can; a phase begins when all lanes of
/// the one before it are through.
using Lane = std::vector<Step>;
using Phase = std::vector<Lane>;

struct Program {
  std::vector<WordSpec> words{};
  std::vector<std::vector<Phase>> threads{};
  bool cells = true;  ///< has any
  /// What is wrong with a state in which all threads are through; empty: nothing.
  std::function<std::string(const Core&)> atEnd{};
};

struct Report {
  std::size_t states = 0, transitions = 0;
  std::string fault;               ///< empty: every execution is right and can end
  std::vector<std::string> trace;  ///< the shortest way to the fault
  bool ok() const { return fault.empty(); }
  std::string text() const {
    std::string all = fault;
    for (const std::string& line : trace) all += "\n  " + line;
    return all;
  }
};

class Explorer {
 public:
  /// Gives up, as a fault, beyond `limit` states.
  explicit Explorer(const Program& program, std::size_t limit = 2'000'000)
      : program_(program), limit_(limit) {}

  Report run() {
    try {
      visit(initial(), {});
      while (!queue_.empty() && report_.ok()) {
        const State state = std::move(queue_.front());
        queue_.pop_front();
        expand(state);
        ++expanding_;
      }
      if (report_.ok()) checkEndInReach();
    } catch (const TooMany&) {
      report_.fault = "more than " + std::to_string(limit_) + " states";
    }
    report_.states = origins_.size();
    report_.transitions = edges_.size();
    return std::move(report_);
  }

 private:
  struct TooMany {};
  /// How a state was first reached.
  struct Origin {
    std::uint32_t from = 0;
    Byte thread = 0, phase = 0, lane = 0, step = 0;
  };
  /// 128 bits stand for a state: two of 2^20 states collide with probability 2^-89.
  struct Digest {
    std::uint64_t a = 0x243f6a8885a308d3, b = 0x13198a2e03707344;  // digits of pi
    bool operator==(const Digest&) const = default;
    void add(const void* data, std::size_t bytes) {
      const auto* from = static_cast<const unsigned char*>(data);
      for (std::size_t i = 0; i < bytes; i += 8) {
        std::uint64_t piece = bytes;
        std::memcpy(&piece, from + i, std::min<std::size_t>(8, bytes - i));
        a = mix((a ^ piece) * 0x9e3779b97f4a7c15);
        b = mix((b + piece) * 0xc2b2ae3d27d4eb4f);
      }
    }
    static std::uint64_t mix(std::uint64_t x) { return x ^ (x >> 32); }
  };
  struct DigestHash {
    std::size_t operator()(const Digest& digest) const { return digest.a; }
  };

  State initial() const {
    State state;
    for (std::size_t word = 0; word < program_.words.size(); ++word)
      state.stores.push_back({.word = static_cast<Byte>(word)});
    for (std::size_t t = 0; t < kMaxThreads; ++t) state.core.threads[t].now.clock.epoch[t] = 1;
    for (std::size_t t = 0; t < program_.threads.size(); ++t) enterPhases(state.core.threads[t], t);
    return state;
  }

  const Phase* phaseOf(const State& state, std::size_t thread) const {
    const auto& phases = program_.threads[thread];
    const std::size_t phase = state.core.threads[thread].phase;
    return phase < phases.size() ? &phases[phase] : nullptr;
  }

  /// Goes past phases whose lanes are through.
  void enterPhases(Thread& thread, std::size_t index) const {
    const auto& phases = program_.threads[index];
    while (thread.phase < phases.size()) {
      const Phase& phase = phases[thread.phase];
      for (std::size_t lane = 0; lane < phase.size(); ++lane)
        if (thread.at[lane] < phase[lane].size()) return;
      ++thread.phase;
      thread.at = {};
    }
  }

  bool ended(const State& state) const {
    for (std::size_t t = 0; t < program_.threads.size(); ++t)
      if (phaseOf(state, t) != nullptr) return false;
    return true;
  }

  /// Drops stores that nobody can read any more and counts from the oldest that is left: states
  /// that differ in nothing else are the same.
  void forget(State& state) const {
    Core& core = state.core;
    View oldest = core.latest;
    for (std::size_t word = 0; word < program_.words.size(); ++word)
      for (const std::size_t reader : program_.words[word].readers)
        oldest.time[word] = std::min(oldest.time[word], core.threads[reader].now.view.time[word]);
    std::erase_if(state.stores,
                  [&](const Store& store) { return store.time < oldest.time[store.word]; });
    for (Store& store : state.stores) {
      store.time = static_cast<Byte>(store.time - oldest.time[store.word]);
      store.told.view.rebase(oldest);
    }
    for (Thread& thread : core.threads)
      for (Knowledge* known : {&thread.now, &thread.pending, &thread.fenced})
        known->view.rebase(oldest);
    for (View* view : {&core.latest, &core.fences, &core.kernel, &core.strong})
      view->rebase(oldest);
    if (!program_.cells) forgetClocks(state);
  }

  /// Clocks order accesses to cells and nothing else.
  static void forgetClocks(State& state) {
    for (Store& store : state.stores) store.told.clock = {};
    for (Thread& thread : state.core.threads)
      for (Knowledge* known : {&thread.now, &thread.pending, &thread.fenced}) known->clock = {};
  }

  void visit(State state, const Origin& origin) {
    forget(state);
    Digest digest;
    digest.add(&state.core, sizeof state.core);
    digest.add(state.stores.data(), state.stores.size() * sizeof(Store));
    const auto [found, isNew] =
        known_.try_emplace(digest, static_cast<std::uint32_t>(origins_.size()));
    edges_.emplace_back(expanding_, found->second);
    if (!isNew) return;
    if (origins_.size() == limit_) throw TooMany{};
    origins_.push_back(origin);
    if (ended(state)) end(state, found->second);
    queue_.push_back(std::move(state));
  }

  void end(const State& state, std::uint32_t index) {
    ends_.push_back(index);
    const std::string complaint = program_.atEnd ? program_.atEnd(state.core) : "";
    if (!complaint.empty()) fail(complaint, index);
  }

  void expand(const State& state) {
    const std::size_t before = edges_.size();
    for (std::size_t thread = 0; thread < program_.threads.size(); ++thread) {
      const Phase* phase = phaseOf(state, thread);
      if (phase == nullptr) continue;
      const Thread& at = state.core.threads[thread];
      for (std::size_t lane = 0; lane < phase->size(); ++lane) {
        if (at.at[lane] == (*phase)[lane].size()) continue;
        const Origin origin{.from = expanding_,
                            .thread = static_cast<Byte>(thread),
                            .phase = at.phase,
                            .lane = static_cast<Byte>(lane),
                            .step = at.at[lane]};
        if (!tryAll(state, origin)) return;
      }
    }
    for (std::size_t i = before; i < edges_.size(); ++i)
      if (edges_[i].second != expanding_) return;
    if (!ended(state)) fail("deadlock: " + waiting(state), expanding_);
  }

  /// Runs a step once for every choice it has. False: it broke a rule.
  bool tryAll(const State& state, const Origin& origin) {
    const Step& step = stepOf(origin);
    Choices choices;
    do {
      State after = state;
      Machine machine(program_.words, after, origin.thread, origin.lane, choices);
      try {
        const Outcome outcome = step.run(machine);
        if (outcome == Outcome::blocked) continue;
        Thread& thread = after.core.threads[origin.thread];
        if (outcome == Outcome::done) {
          ++thread.at[origin.lane];
          enterPhases(thread, origin.thread);
        }
      } catch (const Violation& violation) {
        fail(violation.what(), expanding_);
        report_.trace.push_back(describe(origin));
        return false;
      }
      visit(std::move(after), origin);
    } while (choices.next());
    return true;
  }

  /// From every state the end can be reached: under a scheduler that is fair and memory that
  /// becomes visible in the end, all executions end.
  void checkEndInReach() {
    std::vector<std::vector<std::uint32_t>> into(origins_.size());
    for (const auto& [from, to] : edges_) into[to].push_back(from);
    std::vector<bool> reaches(origins_.size());
    std::vector<std::uint32_t> work = ends_;
    while (!work.empty()) {
      const std::uint32_t state = work.back();
      work.pop_back();
      if (reaches[state]) continue;
      reaches[state] = true;
      work.insert(work.end(), into[state].begin(), into[state].end());
    }
    for (std::uint32_t state = 0; state < reaches.size(); ++state)
      if (!reaches[state]) return fail("livelock: the end is out of reach", state);
  }

  const Step& stepOf(const Origin& origin) const {
    return program_.threads[origin.thread][origin.phase][origin.lane][origin.step];
  }
  std::string describe(const Origin& origin) const {
    return "thread " + std::to_string(origin.thread) + ": " + stepOf(origin).name;
  }

  void fail(std::string fault, std::uint32_t state) {
    if (!report_.ok()) return;  // the first is the shortest to reach
    report_.fault = std::move(fault);
    for (; state != 0; state = origins_[state].from)
      report_.trace.insert(report_.trace.begin(), describe(origins_[state]));
  }

  std::string waiting(const State& state) const {
    std::string text;
    for (std::size_t t = 0; t < program_.threads.size(); ++t) {
      const Phase* phase = phaseOf(state, t);
      if (phase == nullptr) continue;
      const Thread& thread = state.core.threads[t];
      for (std::size_t lane = 0; lane < phase->size(); ++lane)
        if (thread.at[lane] < (*phase)[lane].size())
          text += "thread " + std::to_string(t) + " waits at " +
                  (*phase)[lane][thread.at[lane]].name + "; ";
    }
    return text;
  }

  const Program& program_;
  std::size_t limit_;
  Report report_;
  std::unordered_map<Digest, std::uint32_t, DigestHash> known_;  ///< index of each state
  std::vector<Origin> origins_;                                  ///< by state
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges_;
  std::vector<std::uint32_t> ends_;
  std::deque<State> queue_;      ///< states found and not yet expanded, in the order of their index
  std::uint32_t expanding_ = 0;  ///< index of the one at hand
};

inline Report explore(const Program& program) {
  return Explorer(program).run();
}

}  // namespace lockstep::model
