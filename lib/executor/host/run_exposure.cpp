// The exposure operations of a run: peers' buffers read and written in place.
#include "base/cpu.hpp"
#include "base/fail.hpp"
#include "executor/host/run.hpp"

namespace lockstep::host {

namespace {
constexpr auto kRelaxed = std::memory_order_relaxed;
}

bool Run::expose() {
  if (!closed_ && !close()) return false;  // an exposure that ended in a fall-back
  closed_ = false;
  ++epoch_;
  shm::ExposureLine& line = env_.fabric.mine().exposure;
  line.inRegion.store(call_->inAt.region, kRelaxed);
  line.in.store(call_->inAt.offset, kRelaxed);
  line.outRegion.store(call_->outAt.region, kRelaxed);
  line.out.store(call_->outAt.offset, kRelaxed);
  line.fingerprint.store(call_->fingerprint, kRelaxed);
  line.entered.store(epoch_, std::memory_order_release);
  env_.doorbell.ringAll(line.entered);
  return true;
}

bool Run::acquire() {
  for (int r = 0; r < env_.fabric.worldSize(); ++r) {
    const shm::Word& entered = env_.fabric.of(r).exposure.entered;
    if (r == env_.fabric.rank() || entered.load(std::memory_order_acquire) >= epoch_) continue;
    awaited_ = {&entered, r};
    return false;
  }
  // A buffer is reachable by others exactly if it is in a region: then the answer is the same
  // everywhere. Threads reach all memory.
  const auto inRegion = [](shm::Location where) { return where.region != shm::Location::kAddress; };
  allDirect_ = call_->direct();
  for (int r = 0; r < env_.fabric.worldSize(); ++r) {
    if (r == env_.fabric.rank()) continue;
    const View& theirs = view(r);
    allDirect_ = allDirect_ && inRegion(theirs.inAt) && inRegion(theirs.outAt);
  }
  allDirect_ = allDirect_ || env_.sameProcess;
  if (!fallBackUnlessDirect_ || allDirect_) return true;
  fellBack_ = true;  // every rank has read the same lines and decides alike
  release();
  return false;
}

/// Reads where a peer's buffers are, and finds them in my address space if they are there.
const Run::View& Run::view(int rank) {
  const shm::ExposureLine& line = env_.fabric.of(rank).exposure;
  if (line.fingerprint.load(kRelaxed) != call_->fingerprint)
    throw Error(ErrorCode::mismatch, rank, shm::toString(call_->what), mismatchWith(rank));
  const shm::Location in{line.inRegion.load(kRelaxed), line.in.load(kRelaxed)};
  const shm::Location out{line.outRegion.load(kRelaxed), line.out.load(kRelaxed)};
  View& known = views_[static_cast<std::size_t>(rank)];
  const std::uint64_t edition = env_.regions.edition();
  const std::size_t blockBytes = call_->count * plan_->elementBytes;
  // The same buffers call after call, as is usual, are looked up once.
  if (in == known.inAt && out == known.outAt && plan_->blocks == known.blocks &&
      blockBytes <= known.blockBytes && edition == known.edition)
    return known;
  known = {.in = find(rank, in, plan_->blocks[0] * blockBytes),
           .out = find(rank, out, plan_->blocks[1] * blockBytes),
           .inAt = in,
           .outAt = out,
           .blocks = plan_->blocks,
           .blockBytes = blockBytes,
           .edition = edition};
  return known;
}

/// Where a peer's buffer is in my address space; nullptr if it is not there.
std::byte* Run::find(int rank, shm::Location where, std::size_t bytes) const {
  if (where.region == shm::Location::kNothing) return nullptr;
  if (where.region == shm::Location::kAddress)
    return env_.sameProcess ? reinterpret_cast<std::byte*>(where.offset) : nullptr;  // NOLINT
  std::byte* here = env_.regions.resolve(rank, where, bytes);
  if (here == nullptr)
    throw Error(ErrorCode::internal, rank, shm::toString(call_->what),
                fmt::format("rank {} exposed a buffer outside every region it shares", rank));
  return here;
}

std::optional<bool> Run::exposedInPlace(int rank) const {
  if (!plan_->exposes) return std::nullopt;
  const View& theirs = views_[static_cast<std::size_t>(rank)];
  return rank == env_.fabric.rank() ? call_->inAt == call_->outAt : theirs.inAt == theirs.outAt;
}

void Run::release() {
  shm::ReleaseLine& line = env_.fabric.mine().release;
  line.released.store(epoch_, std::memory_order_release);
  env_.doorbell.ringAll(line.released);
}

bool Run::close() {
  for (int r = 0; r < env_.fabric.worldSize(); ++r) {
    const shm::Word& released = env_.fabric.of(r).release.released;
    if (r == env_.fabric.rank() || released.load(std::memory_order_acquire) >= epoch_) continue;
    awaited_ = {&released, r};
    return false;
  }
  closed_ = true;
  prefetchForWrite(
      &env_.fabric.mine().exposure);  // the peers have read them; the next call writes them first
  prefetchForWrite(&env_.fabric.mine().release);
  return true;
}

}  // namespace lockstep::host
