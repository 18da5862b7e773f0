// How a call ends: waiting for it with a bound, and what kernels report when they give up.
#include <thread>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "communicator/device/impl.hpp"

namespace lockstep {
namespace {

/// Between two looks at a stream: kernels take microseconds, so first none, then ever longer.
constexpr auto kShortSleep = std::chrono::microseconds(20);
/// How often a waiting rank looks whether a peer's process is gone.
constexpr auto kLookForDead = std::chrono::milliseconds(10);
/// What a kernel may take to see the abort word, and end.
constexpr auto kGrace = std::chrono::seconds(2);

bool idleWithin(const cuda::PrimaryContext& context, cuda::StreamHandle stream,
                Clock::duration most) {
  const Deadline deadline = Deadline::in(most);
  while (!cuda::idle(context, stream)) {
    if (deadline.passed()) return false;
    std::this_thread::sleep_for(kShortSleep);
  }
  return true;
}

int lowestBit(std::uint64_t mask) {
  return __builtin_ctzll(mask);
}

}  // namespace

device::Control DeviceImpl::readControl(int rank) const {
  device::Control control;
  cuda::copyToHost(context_, std::as_writable_bytes(std::span(&control, 1)), segments_->base(rank));
  return control;
}

void DeviceImpl::checkUsable() const {
  if (failed_.load(std::memory_order_relaxed))
    lockstep::fail(ErrorCode::aborted, "this device communicator has failed; make a new one");
}

/// Every rank's kernels poll a word of their own segment.
void DeviceImpl::writeAbort() noexcept {
  for (int r = 0; r < worldSize(); ++r) {
    try {
      const device::u64 word = static_cast<device::u64>(rank()) + 1;
      cuda::copyToDevice(context_, segments_->base(r) + offsetof(device::Control, abort),
                         std::as_bytes(std::span(&word, 1)));
    } catch (...) {  // it is gone, or the device is: then its kernels are too
    }
  }
}

void DeviceImpl::abort() noexcept {
  failed_ = true;
  writeAbort();
}

std::string DeviceImpl::callOfRank(int rank) const {
  const device::Control control = readControl(rank);
  const auto call = cuda::unpack(control.what, control.count);
  if (control.calls == 0) return fmt::format("rank {} has made no call yet", rank);
  return fmt::format("rank {} is at call {}, {}", rank, control.calls,
                     call ? toString(*call) : "which makes no sense");
}

void DeviceImpl::fail(const device::Report& report) {
  const auto peer = static_cast<int>(report.rank);
  const auto text = [&](std::string_view what) {
    return fmt::format("{}: {}; {}", what, callOfRank(rank()), callOfRank(peer));
  };
  failed_ = true;
  switch (static_cast<device::Fault>(report.fault)) {
    case device::Fault::timeout:
      throw Error(
          ErrorCode::timeout, peer, "device call",
          text(fmt::format("rank {} waited {} ms for message {} of rank {} in lane {}", rank(),
                           control_->options().timeout.count(), report.step, peer, report.lane)));
    case device::Fault::mismatch:
      throw Error(ErrorCode::mismatch, peer, "device call", text("ranks made different calls"));
    case device::Fault::integrity:
      throw Error(ErrorCode::integrity, peer, "device call",
                  fmt::format("a record of rank {} did not verify: it was changed on the way; "
                              "nothing of it was used",
                              peer));
    case device::Fault::outside:
      throw Error(ErrorCode::internal, peer, "device call",
                  fmt::format("rank {} exposed a buffer outside its heap", peer));
    default:
      throw Error(ErrorCode::aborted, peer, "device call",
                  fmt::format("rank {} aborted or failed", peer));
  }
}

void DeviceImpl::check() {
  const device::Control control = readControl(rank());
  if (control.report.fault != 0) fail(control.report);
  if (control.abort == 0) {
    checkUsable();
    return;
  }
  failed_ = true;
  const auto by = static_cast<int>(control.abort) - 1;
  throw Error(ErrorCode::aborted, by, "device call",
              fmt::format("rank {} aborted or failed; what it says is on that rank", by));
}

void DeviceImpl::wait(DeviceStream stream) {
  auto* const handle = static_cast<cuda::StreamHandle>(stream != nullptr ? stream : ownStream());
  // Kernels give up by themselves; this bound is for those that were never started.
  const Deadline deadline = Deadline::in(control_->options().timeout * 2 + kGrace);
  auto nextLook = Clock::now() + kLookForDead;
  for (int looks = 0; !cuda::idle(context_, handle); ++looks) {
    if (looks > 100) std::this_thread::sleep_for(kShortSleep);
    const auto now = Clock::now();
    if (now < nextLook) continue;
    nextLook = now + kLookForDead;
    const std::uint64_t gone = control_->peers().gone();
    if (gone == 0 && !deadline.passed(now)) continue;
    this->abort();
    idleWithin(context_, handle, kGrace);
    if (gone != 0)
      throw Error(ErrorCode::peerDied, lowestBit(gone), "device call",
                  fmt::format("the process of rank {} is gone", lowestBit(gone)));
    throw Error(ErrorCode::timeout, -1, "device call",
                "the stream did not finish: something in it that is not Lockstep's, or a kernel "
                "that the GPU had no room to start");
  }
  check();
}

}  // namespace lockstep
