#include "bench/tune_subject.hpp"

#include <utility>

namespace lockstep::bench {

CandidateSubject::CandidateSubject(Turns& turns, std::string name, std::string table)
    : turns_(turns), table_(std::move(table)) {
  contender_.name = std::move(name);
}

/// True: the turn was another's.
bool CandidateSubject::takeTurn() const {
  if (turns_.current == this) return false;
  turns_.communicator.retune(table_, "a candidate");
  turns_.current = this;
  return true;
}

void CandidateSubject::run(const Task& task, const void* in, void* out) {
  takeTurn();
  turns_.communicator.run(collectiveOf(task.op).value(), in, out, task.count, task.type,
                          task.reduction, task.root);
  if (turns_.warm) last_ = {task, in, out, true};
}

void CandidateSubject::barrier() {
  if (takeTurn() && turns_.warm && last_.made) run(last_.task, last_.in, last_.out);
  turns_.communicator.barrier();
}

PlanText CandidateSubject::plan(const Task& task) const {
  takeTurn();
  const Plan plan = turns_.communicator.plan(collectiveOf(task.op).value(), task.count, task.type,
                                             turns_.registered);
  return {plan.algorithm, plan.protocol, plan.transport, plan.tileBytes, plan.depth, plan.reason};
}

CallBytes CandidateSubject::counters() const {
  const Counters c = turns_.communicator.counters();
  return {static_cast<double>(c.moved), static_cast<double>(c.sealed),
          static_cast<double>(c.opened), static_cast<double>(c.records)};
}

}  // namespace lockstep::bench
