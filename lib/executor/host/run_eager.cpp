// The one-shot exchange by lines, fused: what the interpreter would do for the two operations of
// that schedule, without interpreting them. For messages so small that the interpreter would be
// felt.
#include "executor/host/run.hpp"

namespace lockstep::host {

Progress Run::stepEager() {
  const std::size_t bytes = call_->count * plan_->elementBytes;
  const auto* in = static_cast<const std::byte*>(call_->in);
  if (!eagerSent_) {
    for (std::size_t i = 0; i < outBase_.size(); ++i)
      if (!plan_->outs[i].channel->hasCredit(outBase_[i])) {
        awaited_ = plan_->outs[i].channel->lacking();
        return Progress::none;
      }
    for (std::size_t i = 0; i < outBase_.size(); ++i) {
      shm::OutChannel& channel = *plan_->outs[i].channel;
      channel.writeLines(outBase_[i], stamp_, in, bytes);
      if (env_.doorbell.armed()) channel.ring(env_.doorbell, outBase_[i], bytes);
    }
    counters_.moved += bytes * outBase_.size();
    eagerSent_ = true;
  }
  for (std::size_t i = 0; i < inBase_.size(); ++i) {
    const shm::InChannel& channel = *plan_->ins[i].channel;
    if (channel.ready(inBase_[i], bytes)) continue;
    awaited_ = channel.awaited(inBase_[i], bytes);
    return Progress::none;
  }
  const PlanOp& op = plan_->ops[1];
  std::array<const void*, schedule::kMaxWorld> src;
  for (std::uint32_t k = 0; k < op.srcs; ++k) {
    const Term& term = plan_->terms[op.src + k];
    src[k] = term.kind == Term::Kind::message ? arrived(contexts_[0], term, bytes, k) : in;
  }
  for (std::size_t i = 0; i < inBase_.size(); ++i) checkStamp(*plan_->ins[i].channel, inBase_[i]);
  void* out = call_->out;
  reduceInto(op, &out, 1, src.data(), bytes, false);
  for (std::size_t i = 0; i < inBase_.size(); ++i) {
    shm::InChannel& channel = *plan_->ins[i].channel;
    channel.consumed(inBase_[i]);
    env_.doorbell.ring(channel.credit(inBase_[i]), channel.writer());
  }
  // Whoever sends in this call has finished the one before, and consumed all I sent until then.
  for (std::size_t i = 0; i < outBase_.size(); ++i)
    plan_->outs[i].channel->allConsumedBefore(outBase_[i]);
  return Progress::done;
}

}  // namespace lockstep::host
