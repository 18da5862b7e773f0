#include "executor/host/run.hpp"

#include <algorithm>
#include <limits>

#include "base/fail.hpp"

namespace lockstep::host {

using schedule::OpKind;

Run::Run(Surroundings surroundings)
    : env_(std::move(surroundings)),
      sealer_(env_.aead),
      views_(static_cast<std::size_t>(env_.fabric.worldSize())) {}

// ---- starting ----

void Run::begin(const Plan& plan, const Call& call, bool fallBackUnlessDirect) {
  call_ = &call;
  allDirect_ = call.direct();
  stamp_ = call.fingerprint | (call.direct() ? shm::kDirect : 0);
  fallBackUnlessDirect_ = fallBackUnlessDirect;
  fellBack_ = false;
  if (plan_ != &plan) {
    plan_ = &plan;
    outBase_.resize(plan.outs.size());
    inBase_.resize(plan.ins.size());
    nonceBase_.resize(plan.keys.size());
    cutElements_ = kNoElements;
  }
  tiles_ = plan.tilesOf(call.count);
  firstTile_ = nextTile_ = 0;
  takeSteps();
  if (plan.sealed) takeNonces();
  eager_ = plan.eager && tiles_ == 1;
  if (eager_) {
    eagerSent_ = false;
    contexts_[0].tile = contexts_[0].firstElement = 0;
    contexts_[0].elements = contexts_[0].chunkElements = call.count;
    return;
  }
  while (nextTile_ < tiles_ && nextTile_ < static_cast<std::uint64_t>(plan.request.depth))
    startTile();
}

/// The steps of this call on every channel, the same at both ends.
void Run::takeSteps() {
  for (std::size_t i = 0; i < outBase_.size(); ++i)
    outBase_[i] = plan_->outs[i].channel->take(tiles_ * plan_->outs[i].perTile);
  for (std::size_t i = 0; i < inBase_.size(); ++i)
    inBase_[i] = plan_->ins[i].channel->take(tiles_ * plan_->ins[i].perTile);
}

/// The nonces of this call under every key, the same for all who hold it.
void Run::takeNonces() {
  if (tiles_ > std::numeric_limits<decltype(RecordName::tile)>::max())
    fail(ErrorCode::invalidArgument,
         "{} tiles are more than a record can be named in: split the message into smaller calls",
         tiles_);
  turnsAt_ = cc::LiveKey::kNever;
  // A message has several blocks where each is one chunk: as many as a buffer has, at most. Who
  // counts too many changes keys early; the same number on all ranks.
  const std::size_t blocks = std::max(plan_->blocks[0], plan_->blocks[1]);
  const std::size_t blockBytes = std::min(plan_->tileElements, call_->count) * plan_->elementBytes;
  const std::size_t recordBytes =
      blockBytes < kRecordBytes ? std::min(kRecordBytes, blockBytes * blocks) : kRecordBytes;
  for (std::size_t i = 0; i < nonceBase_.size(); ++i) {
    const KeyUse& use = plan_->keys[i];
    nonceBase_[i] = use.key->reserve(tiles_, use.perTile * plan_->recordsPerMessage, recordBytes);
    turnsAt_ = std::min(turnsAt_, use.key->turnsAt());
  }
}

/// No tile before firstTile_ is under way: keys of epochs before it can go.
void Run::turnKeys() {
  turnsAt_ = cc::LiveKey::kNever;
  for (const KeyUse& use : plan_->keys) {
    use.key->done(firstTile_);
    turnsAt_ = std::min(turnsAt_, use.key->turnsAt());
  }
}

/// Elements of one chunk of a tile; remembered, since it takes a division and hardly ever changes.
std::size_t Run::chunkElements(std::size_t elements) {
  if (elements != cutElements_) {
    cutElements_ = elements;
    cutChunk_ = schedule::elementsOf({0, 1}, plan_->chunks, elements, plan_->elementBytes).size();
  }
  return cutChunk_;
}

void Run::startTile() {
  Context& c = contexts_[nextTile_ % static_cast<std::uint64_t>(plan_->request.depth)];
  c.tile = nextTile_++;
  c.firstElement = plan_->exposes ? 0 : c.tile * plan_->tileElements;
  c.elements = std::min(call_->count - c.firstElement, plan_->tileElements);
  c.chunkElements = chunkElements(c.elements);
  for (std::size_t lane = 0; lane < plan_->lanes.size(); ++lane) c.at[lane] = plan_->lanes[lane][0];
  if (plan_->scratchChunks != 0) giveScratch(c);
}

void Run::giveScratch(Context& c) {
  const auto depth = static_cast<std::size_t>(plan_->request.depth);
  const std::size_t bytes = plan_->exposes
                                ? plan_->scratchChunks * c.chunkElements * plan_->elementBytes
                                : plan_->scratchBytes;
  if (scratch_.size() < bytes * depth)
    scratch_ = Mapping::anonymous(bytes * depth);  // before any tile runs
  c.scratch = scratch_.data() + bytes * (c.tile % depth);
}

// ---- stepping ----

Progress Run::step() {
  if (eager_) return stepEager();
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
    if (firstTile_ >= turnsAt_) [[unlikely]]
      turnKeys();
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
