// An exchange by lines in one step, fused: what the interpreter would do for a schedule that only
// sends and then takes (a one-shot all-reduce, whatever is "direct"), without interpreting it. For
// messages so small that the interpreter would be felt.
#include <cstring>

#include "executor/host/run.hpp"

namespace lockstep::host {

namespace {

/// A rank's own block, if it is not where it belongs already.
void copyOwn(void* out, const void* in, std::size_t bytes) {
  if (bytes != 0 && in != out) std::memcpy(out, in, bytes);
}

}  // namespace

Progress Run::stepEager() {
  const std::size_t bytes = call_->count * plan_->elementBytes;
  const std::size_t onWire = plan_->sealed ? bytes + cc::kTagBytes : bytes;  // one record
  if (!eagerSent_ && !sendEager(bytes, onWire)) return Progress::none;
  if (!eagerArrived(onWire)) return Progress::none;
  finishEager(bytes, onWire);
  return Progress::done;
}

/// As local, where the operands are blocks.
std::byte* Run::wholeBlock(const Term& term, std::size_t bytes) const {
  void* base = term.buffer == schedule::BufferName::in ? const_cast<void*>(call_->in)  // NOLINT
                                                       : call_->out;
  return static_cast<std::byte*>(base) + term.block * bytes;
}

bool Run::sendEager(std::size_t bytes, std::size_t onWire) {
  for (std::size_t i = 0; i < outBase_.size(); ++i)
    if (!plan_->outs[i].channel->hasCredit(outBase_[i])) {
      awaited_ = plan_->outs[i].channel->lacking();
      return false;
    }
  for (std::uint32_t i = 0; i < plan_->sends; ++i) {
    const PlanOp& op = plan_->ops[i];
    const std::byte* in = wholeBlock(plan_->terms[op.src], bytes);
    for (std::uint32_t k = 0; k < op.dsts; ++k) {
      const Term& term = plan_->terms[op.dst + k];
      shm::OutChannel& channel = *plan_->outs[term.port].channel;
      const shm::Step step = outBase_[term.port];
      const std::byte* message = plan_->sealed ? sealRecord(contexts_[0], term, 0, in, bytes) : in;
      channel.writeLines(step, stamp_, message, onWire);
      if (env_.doorbell.armed()) channel.ring(env_.doorbell, step, onWire);
    }
    counters_.moved += onWire * op.dsts;
  }
  eagerSent_ = true;
  // Now is the time to ask for the lines of the next call.
  for (std::size_t i = 0; i < outBase_.size(); ++i)
    plan_->outs[i].channel->prefetchLines(outBase_[i] + 1, onWire);
  return true;
}

bool Run::eagerArrived(std::size_t onWire) {
  for (std::size_t i = 0; i < inBase_.size(); ++i) {
    const shm::InChannel& channel = *plan_->ins[i].channel;
    if (channel.ready(inBase_[i], onWire)) continue;
    awaited_ = channel.awaited(inBase_[i], onWire);
    return false;
  }
  return true;
}

void Run::takeEager(const PlanOp& op, std::size_t bytes, std::size_t onWire) {
  void* out = wholeBlock(plan_->terms[op.dst], bytes);
  const bool asItIs = op.srcs == 1 && divisorOf(op) == 1;
  std::array<const void*, schedule::kMaxWorld> src;
  for (std::uint32_t k = 0; k < op.srcs; ++k) {
    const Term& term = plan_->terms[op.src + k];
    if (term.kind == Term::Kind::local) {
      src[k] = wholeBlock(term, bytes);
      if (asItIs) return copyOwn(out, src[k], bytes);
    } else if (!plan_->sealed) {
      checkStamp(*plan_->ins[term.port].channel, inBase_[term.port]);
      if (asItIs)
        return plan_->ins[term.port].channel->readLines(inBase_[term.port],
                                                        static_cast<std::byte*>(out), bytes);
      src[k] = arrived(contexts_[0], term, bytes, k).inTheClear();
    } else {
      plan_->ins[term.port].channel->readLines(inBase_[term.port], sealer_.copyIn(), onWire);
      std::byte* plain = asItIs ? static_cast<std::byte*>(out) : sealer_.plain(k);
      openRecord(contexts_[0], term, 0, bytes, plain);
      if (asItIs) return;
      src[k] = plain;
    }
  }
  reduceInto(op, &out, 1, src.data(), bytes, false);
}

void Run::finishEager(std::size_t bytes, std::size_t onWire) {
  for (std::size_t i = plan_->sends; i < plan_->ops.size(); ++i)
    takeEager(plan_->ops[i], bytes, onWire);
  for (std::size_t i = 0; i < inBase_.size(); ++i) {
    shm::InChannel& channel = *plan_->ins[i].channel;
    channel.consumed(inBase_[i]);
    env_.doorbell.ring(channel.credit(inBase_[i]), channel.writer());
  }
  // Whoever sends in this call has finished the one before, and consumed all I sent until then. Of
  // readers that send nothing (a broadcast's) nothing is known.
  if (!plan_->hearsAll) return;
  for (std::size_t i = 0; i < outBase_.size(); ++i)
    plan_->outs[i].channel->allConsumedBefore(outBase_[i]);
}

}  // namespace lockstep::host
