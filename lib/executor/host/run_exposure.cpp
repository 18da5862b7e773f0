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
  const std::size_t bytes = call_->count * plan_->elementBytes;
  const shm::Location in = env_.regions.locate(call_->in, bytes);
  const shm::Location out = env_.regions.locate(call_->out, bytes);
  shm::ExposureLine& line = env_.fabric.mine().exposure;
  line.inRegion.store(in.region, kRelaxed);
  line.in.store(in.offset, kRelaxed);
  line.outRegion.store(out.region, kRelaxed);
  line.out.store(out.offset, kRelaxed);
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
  for (int r = 0; r < env_.fabric.worldSize(); ++r)
    if (r != env_.fabric.rank()) view(r);
  allDirect_ = exposedDirectly();
  if (!fallBackUnlessDirect_ || allDirect_) return true;
  fellBack_ = true;  // every rank has read the same lines and decides alike
  release();
  return false;
}

/// Reads where a peer's buffers are, and finds them in my address space if they are there.
void Run::view(int rank) {
  const shm::ExposureLine& line = env_.fabric.of(rank).exposure;
  if (line.fingerprint.load(kRelaxed) != call_->fingerprint)
    throw Error(
        ErrorCode::mismatch, rank, shm::toString(call_->what),
        shm::mismatchText(rank, env_.fabric.of(rank).call, env_.fabric.rank(), call_->what));
  const std::size_t bytes = call_->count * plan_->elementBytes;
  const auto find = [&](const shm::Location& where) -> std::byte* {
    if (where.region == shm::Location::kAddress)
      return env_.sameProcess ? reinterpret_cast<std::byte*>(where.offset) : nullptr;  // NOLINT
    std::byte* here = env_.regions.resolve(rank, where, bytes);
    if (here == nullptr)
      throw Error(ErrorCode::internal, rank, shm::toString(call_->what),
                  fmt::format("rank {} exposed a buffer outside every region it shares", rank));
    return here;
  };
  View& view = views_[static_cast<std::size_t>(rank)];
  const shm::Location in{line.inRegion.load(kRelaxed), line.in.load(kRelaxed)};
  const shm::Location out{line.outRegion.load(kRelaxed), line.out.load(kRelaxed)};
  view = {.in = find(in), .out = find(out), .inAddress = in.offset, .outAddress = out.offset};
}

/// My own buffers are reachable by others exactly if they are in a region: then the answer is the
/// same everywhere.
bool Run::exposedDirectly() const {
  for (int r = 0; r < env_.fabric.worldSize(); ++r) {
    if (env_.sameProcess) continue;
    const shm::ExposureLine& line = env_.fabric.of(r).exposure;
    if (line.inRegion.load(kRelaxed) == shm::Location::kAddress ||
        line.outRegion.load(kRelaxed) == shm::Location::kAddress)
      return false;
  }
  return true;
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
