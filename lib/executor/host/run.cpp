#include "executor/host/run.hpp"

#include <algorithm>

namespace lockstep::host {

using schedule::OpKind;

Run::Run(Surroundings surroundings)
    : env_(std::move(surroundings)),
      sealer_(env_.aead),
      views_(static_cast<std::size_t>(env_.fabric.worldSize())) {}

// ---- starting ----

void Run::begin(const Plan& plan, const Call& call, bool fallBackUnlessDirect) {
  plan_ = &plan;
  call_ = call;
  fallBackUnlessDirect_ = fallBackUnlessDirect;
  fellBack_ = false;
  allDirect_ = call.direct;
  stamp_ = call.fingerprint | (call.direct ? shm::kDirect : 0);
  tiles_ = plan.exposes || call.count == 0 ? 1 : (call.count - 1) / plan.tileElements + 1;
  firstTile_ = nextTile_ = 0;

  outBase_.resize(plan.outs.size());
  for (std::size_t i = 0; i < plan.outs.size(); ++i) {
    outBase_[i] = plan.outs[i].channel->nextStep();
    plan.outs[i].channel->take(tiles_ * plan.outs[i].perTile);
  }
  inBase_.resize(plan.ins.size());
  for (std::size_t i = 0; i < plan.ins.size(); ++i) {
    inBase_[i] = plan.ins[i].channel->nextStep();
    plan.ins[i].channel->take(tiles_ * plan.ins[i].perTile);
  }
  nonceBase_.resize(plan.keys.size());
  const std::size_t recordBytes =
      std::min(kRecordBytes, std::min(plan.tileElements, call.count) * plan.elementBytes);
  for (std::size_t i = 0; i < plan.keys.size(); ++i)
    nonceBase_[i] = plan.keys[i].key->reserve(
        tiles_ * plan.keys[i].perTile * plan.recordsPerMessage, recordBytes);

  while (nextTile_ < tiles_ && nextTile_ < static_cast<std::uint64_t>(plan.request.depth))
    startTile();
}

void Run::startTile() {
  Context& c = contexts_[nextTile_ % static_cast<std::uint64_t>(plan_->request.depth)];
  c.tile = nextTile_++;
  c.firstElement = plan_->exposes ? 0 : c.tile * plan_->tileElements;
  c.elements = std::min(call_.count - c.firstElement, plan_->tileElements);
  c.chunkElements =
      schedule::elementsOf({0, 1}, plan_->chunks, c.elements, plan_->elementBytes).size();
  for (std::size_t lane = 0; lane < plan_->lanes.size(); ++lane) c.at[lane] = plan_->lanes[lane][0];
  if (plan_->scratchChunks == 0) return;
  const std::size_t bytes = plan_->exposes
                                ? plan_->scratchChunks * c.chunkElements * plan_->elementBytes
                                : plan_->scratchBytes;
  const std::size_t all = bytes * static_cast<std::size_t>(plan_->request.depth);
  if (scratch_.size() < all) scratch_ = Mapping::anonymous(all);  // only before the first tile runs
  c.scratch = scratch_.data() + bytes * (c.tile % static_cast<std::uint64_t>(plan_->request.depth));
}

// ---- stepping ----

Progress Run::step() {
  bool moved = false;
  const auto depth = static_cast<std::uint64_t>(plan_->request.depth);
  shm::Awaited oldest;
  for (std::uint64_t tile = firstTile_; tile < nextTile_; ++tile) {
    if (advance(contexts_[tile % depth])) moved = true;
    if (tile == firstTile_) oldest = awaited_;  // the others can wait longer than it
  }
  awaited_ = oldest;
  while (firstTile_ < nextTile_ && finished(contexts_[firstTile_ % depth])) {
    ++firstTile_;
    if (nextTile_ < tiles_) startTile();
  }
  if (firstTile_ == tiles_) return Progress::done;
  if (fellBack_) return Progress::fallBack;
  return moved ? Progress::some : Progress::none;
}

bool Run::finished(const Context& context) const {
  for (std::size_t lane = 0; lane < plan_->lanes.size(); ++lane)
    if (context.at[lane] != plan_->lanes[lane][1]) return false;
  return true;
}

/// Runs every lane of a tile as far as it goes. True if any operation completed.
bool Run::advance(Context& context) {
  bool moved = false;
  for (std::size_t lane = 0; lane < plan_->lanes.size(); ++lane) {
    std::uint32_t& at = context.at[lane];
    while (at < plan_->lanes[lane][1] && attempt(context, plan_->ops[at])) {
      ++at;
      moved = true;
    }
  }
  return moved;
}

/// Does one operation if nothing is missing.
bool Run::attempt(Context& context, const PlanOp& op) {
  switch (op.kind) {
    case OpKind::expose:
      return expose();
    case OpKind::acquire:
      return acquire();
    case OpKind::release:
      release();
      return true;
    case OpKind::close:
      return close();
    case OpKind::move:
    case OpKind::forward:
      break;
  }
  if (!ready(context, op)) return false;
  const std::size_t bytes = bytesOf(context, op);
  if (!plan_->sealed)
    move(context, op, bytes);
  else if (op.kind == OpKind::forward)
    forwardSealed(context, op, bytes);
  else
    moveSealed(context, op, bytes);
  complete(context, op, bytes);
  return true;
}

}  // namespace lockstep::host
