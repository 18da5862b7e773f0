// Something that is measured, as one rank holds it: a Lockstep communicator, or a rival's group.
#pragma once

#include <memory>
#include <vector>

#include "base/mapping.hpp"
#include "bench/patterns.hpp"
#include "bench/result.hpp"
#include "bench/tasks.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep::bench {

/// Bytes after the end of every buffer that no call may touch.
inline constexpr std::size_t kGuardBytes = 64;

class Subject {
 public:
  virtual ~Subject() = default;
  virtual const Contender& contender() const = 0;
  /// Input and output, each of the largest message and kGuardBytes.
  virtual std::byte* in() = 0;
  virtual std::byte* out() = 0;
  virtual bool supports(const Task& task) const = 0;
  /// Whether it does a collective in place as Lockstep does, or out of place.
  virtual bool takes(Operation op, bool inPlace) const = 0;
  /// Returns when it is done. A buffer that this rank does not have is null.
  virtual void run(const Task& task, const void* in, void* out) = 0;
  /// Returns when all ranks have come.
  virtual void barrier() = 0;
  /// The mean of that many calls, one right after the other, begun by all ranks together.
  virtual double secondsPerCall(const Task& task, const void* in, void* out, std::int64_t calls);

  /// Where the host reads and writes what is at `at` in one of the buffers, between fetch() and
  /// store(). Host memory is its own.
  virtual std::byte* hostOf(std::byte* at) { return at; }
  /// Makes the host see the buffer's bytes, and the buffer have those of the host.
  virtual void fetch(std::byte* /*at*/, std::size_t /*bytes*/) {}
  virtual void store(std::byte* /*at*/, std::size_t /*bytes*/) {}

  /// Bytes per second that the memory of the buffers is copied within, while nothing else runs; 0
  /// where nobody asks.
  virtual double copyRate() { return 0; }
  virtual PlanText plan(const Task& task) const = 0;
  /// Totals since creation; zeros for what does not count: a rival, GPUs.
  virtual CallBytes counters() const = 0;
};

/// Ordinary memory, the same for all subjects of a rank.
struct OrdinaryBuffers {
  explicit OrdinaryBuffers(std::size_t bytes)
      : in(Mapping::anonymous(bytes + kGuardBytes)), out(Mapping::anonymous(bytes + kGuardBytes)) {}
  Mapping in, out;
};

class LockstepSubject final : public Subject {
 public:
  /// `ordinary` null: the communicator's own registered buffers, of `bytes` (a collective call).
  LockstepSubject(Communicator communicator, std::shared_ptr<OrdinaryBuffers> ordinary,
                  std::size_t bytes);

  Communicator& communicator() { return communicator_; }
  const Contender& contender() const override { return contender_; }
  std::byte* in() override;
  std::byte* out() override;
  bool supports(const Task&) const override { return true; }
  /// What is sent cannot be received into at the same time.
  bool takes(Operation op, bool inPlace) const override {
    return collectiveOf(op).has_value() || !inPlace;
  }
  void run(const Task& task, const void* in, void* out) override {
    if (const auto collective = collectiveOf(task.op))
      communicator_.run(*collective, in, out, task.count, task.type, task.reduction, task.root,
                        factorOf(communicator_.rank()));
    else
      transfer(task, in, out);
  }
  void barrier() override { communicator_.barrier(); }
  PlanText plan(const Task& task) const override;
  CallBytes counters() const override;

 private:
  void transfer(const Task& task, const void* in, void* out);
  Communicator communicator_;
  Contender contender_;
  std::shared_ptr<OrdinaryBuffers> ordinary_;
  Buffer registeredIn_, registeredOut_;
  std::vector<std::size_t> counts_, offsets_;  ///< of allToAllV, kept
};

}  // namespace lockstep::bench
