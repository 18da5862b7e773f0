// A candidate plan as something that is measured: candidates take turns with one communicator, so
// that they share its memory and its keys as plans of one application do.
#pragma once

#include <string>

#include "bench/subject.hpp"

namespace lockstep::bench {

/// A communicator and its buffers, and whose turn it is.
struct Turns {
  Communicator& communicator;
  std::byte* in;
  std::byte* out;
  bool registered;
  /// A turn starts with a call that is not timed: looking the plan up, its slots out of the cache.
  /// Off while results are verified, where nothing may write but the call.
  bool warm = false;
  const Subject* current = nullptr;
};

class CandidateSubject final : public Subject {
 public:
  /// `table`: text of a tuning file that makes the communicator run the candidate.
  CandidateSubject(Turns& turns, std::string name, std::string table);

  const Contender& contender() const override { return contender_; }
  std::byte* in() override { return turns_.in; }
  std::byte* out() override { return turns_.out; }
  bool supports(const Task&) const override { return true; }
  bool takes(Operation, bool) const override { return true; }
  void run(const Task& task, const void* in, void* out) override;
  /// Its turn begins here, outside of what is timed.
  void barrier() override;
  PlanText plan(const Task& task) const override;
  CallBytes counters() const override;

 private:
  bool takeTurn() const;

  Turns& turns_;
  std::string table_;
  Contender contender_;
  struct Call {
    Task task;
    const void* in = nullptr;
    void* out = nullptr;
    bool made = false;
  };
  Call last_;
};

}  // namespace lockstep::bench
