#include "bench/subject.hpp"

#include <fmt/format.h>

#include "base/clock.hpp"
#include <lockstep/group.hpp>

namespace lockstep::bench {
namespace {

Contender describeMode(const Communicator& communicator) {
  const Mode mode = communicator.options().mode;
  Contender contender;
  contender.name = name(mode);
  if (communicator.options().reproducible) contender.name += ", reproducible";
  contender.describe = fmt::format("Lockstep {}", version());
  contender.provenance = mode == Mode::p2p ? "host" : "host, emulated";
  contender.cipher = communicator.cipher();
  contender.keySource = communicator.keySource();
  contender.ordinaryPath = communicator.ordinaryPath();
  contender.sealed = isSealed(mode);
  return contender;
}

}  // namespace

double Subject::secondsPerCall(const Task& task, const void* in, void* out, std::int64_t calls) {
  barrier();
  const auto start = Clock::now();
  for (std::int64_t i = 0; i < calls; ++i) run(task, in, out);
  return std::chrono::duration<double>(Clock::now() - start).count() / static_cast<double>(calls);
}

LockstepSubject::LockstepSubject(Communicator communicator,
                                 std::shared_ptr<OrdinaryBuffers> ordinary, std::size_t bytes)
    : communicator_(std::move(communicator)),
      contender_(describeMode(communicator_)),
      ordinary_(std::move(ordinary)) {
  if (ordinary_) return;
  registeredIn_ = communicator_.alloc(bytes + kGuardBytes);
  registeredOut_ = communicator_.alloc(bytes + kGuardBytes);
}

std::byte* LockstepSubject::in() {
  return ordinary_ ? ordinary_->in.data() : static_cast<std::byte*>(registeredIn_.data());
}

std::byte* LockstepSubject::out() {
  return ordinary_ ? ordinary_->out.data() : static_cast<std::byte*>(registeredOut_.data());
}

void LockstepSubject::transfer(const Task& task, const void* in, void* out) {
  const int ranks = communicator_.worldSize(), rank = communicator_.rank();
  if (task.op == Operation::sendRecv) {
    communicator_.exchange({in, task.count, task.type, (rank + 1) % ranks},
                           {out, task.count, task.type, (rank + ranks - 1) % ranks});
    return;
  }
  counts_.assign(static_cast<std::size_t>(ranks), task.count);
  offsets_.resize(counts_.size());
  for (std::size_t r = 0; r < counts_.size(); ++r) offsets_[r] = r * task.count;
  communicator_.allToAllV(in, counts_, offsets_, out, counts_, offsets_, task.type);
}

PlanText LockstepSubject::plan(const Task& task) const {
  const auto collective = collectiveOf(task.op);
  if (!collective) return {"transfers", "by size", contender_.ordinaryPath, 0, 1};
  // Products are in the caller's memory if `out` is as large as `in` on every rank.
  const bool elsewhere = task.reduction == Reduction::preMulSum &&
                         (task.op == Operation::reduceScatter || task.op == Operation::reduce);
  const Plan plan =
      communicator_.plan(*collective, task.count, task.type, ordinary_ == nullptr && !elsewhere);
  return {plan.algorithm, plan.protocol, plan.transport, plan.tileBytes, plan.depth, plan.reason};
}

CallBytes LockstepSubject::counters() const {
  const Counters c = communicator_.counters();
  return {static_cast<double>(c.moved), static_cast<double>(c.sealed),
          static_cast<double>(c.opened), static_cast<double>(c.records)};
}

}  // namespace lockstep::bench
