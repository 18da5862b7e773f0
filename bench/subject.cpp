#include "bench/subject.hpp"

#include <fmt/format.h>

namespace lockstep::bench {
namespace {

Contender describeMode(const Communicator& communicator) {
  const Mode mode = communicator.options().mode;
  Contender contender;
  contender.name = name(mode);
  contender.describe = fmt::format("Lockstep {}", version());
  contender.provenance = mode == Mode::p2p ? "host" : "host, emulated";
  contender.cipher = communicator.cipher();
  contender.keySource = communicator.keySource();
  contender.ordinaryPath = communicator.ordinaryPath();
  contender.sealed = isSealed(mode);
  return contender;
}

}  // namespace

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

PlanText LockstepSubject::plan(const Task& task) const {
  // Products are in the caller's memory if `out` is as large as `in` on every rank.
  const bool elsewhere = task.reduction == Reduction::preMulSum &&
                         (task.op == Collective::reduceScatter || task.op == Collective::reduce);
  const Plan plan =
      communicator_.plan(task.op, task.count, task.type, ordinary_ == nullptr && !elsewhere);
  return {plan.algorithm, plan.protocol, plan.transport, plan.tileBytes, plan.depth};
}

CallBytes LockstepSubject::counters() const {
  const Counters c = communicator_.counters();
  return {static_cast<double>(c.moved), static_cast<double>(c.sealed),
          static_cast<double>(c.opened), static_cast<double>(c.records)};
}

}  // namespace lockstep::bench
