// How a call ends: waiting for it with a bound, and what kernels report when they give up.
#include <bit>
#include <thread>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "communicator/device/impl.hpp"
#include "transport/shm/call.hpp"

namespace lockstep {
namespace {

/// Between two looks at a stream: kernels take microseconds, so first none, then ever longer.
constexpr auto kShortSleep = std::chrono::microseconds(20);
/// How often a waiting rank looks whether a peer's process is gone.
constexpr auto kLookForDead = std::chrono::milliseconds(10);
/// What a kernel may take to see the abort word, and end.
constexpr auto kGrace = std::chrono::seconds(2);
/// The abort word: who wrote it, from 1; above, whose end made it do so, from 1.
constexpr int kDeadShift = 8;
constexpr device::u64 kWriter = (device::u64{1} << kDeadShift) - 1;

bool idleWithin(const cuda::PrimaryContext& context, cuda::StreamHandle stream,
                Clock::duration most) {
  const Deadline deadline = Deadline::in(most);
  while (!cuda::idle(context, stream)) {
    if (deadline.passed()) return false;
    std::this_thread::sleep_for(kShortSleep);
  }
  return true;
}

[[noreturn]] void throwGone(int rank) {
  throw Error(ErrorCode::peerDied, rank, "device call",
              fmt::format("the process of rank {} is gone", rank));
}

std::string describeMismatch(const device::Report& report, int rank, int peer) {
  const auto sent = cuda::describeTransfer(report.theirs);
  const auto expected = cuda::describeTransfer(report.fingerprint);
  if (!sent && !expected) return "ranks made different calls";
  const auto or_ = [](const auto& what, const char* other) { return what ? *what : other; };
  return fmt::format("rank {} sent {}, rank {} expected {}", peer, or_(sent, "for a collective"),
                     rank, or_(expected, "what a collective sends"));
}

}  // namespace

device::Control DeviceImpl::readControl(int rank) const {
  device::Control control;
  cuda::copyToHost(context_, service_, std::as_writable_bytes(std::span(&control, 1)),
                   segments_->base(rank));
  return control;
}

device::Verdict DeviceImpl::readVerdict() const {
  device::Verdict verdict;
  cuda::copyToHost(context_, service_, std::as_writable_bytes(std::span(&verdict, 1)),
                   verdict_.address());
  return verdict;
}

void DeviceImpl::checkUsable() const {
  control_->checkUsable();  // not in a forked child, nor after the host's communicator has failed
  if (failed_.load(std::memory_order_relaxed))
    lockstep::fail(ErrorCode::aborted, "this device communicator has failed; make a new one");
}

/// Every rank's kernels poll a word of their own segment. `dead`: the rank whose end was the cause,
/// or -1.
void DeviceImpl::writeAbort(int dead) noexcept {
  for (int r = 0; r < worldSize(); ++r) {
    try {
      const device::u64 word =
          static_cast<device::u64>(rank() + 1) | static_cast<device::u64>(dead + 1) << kDeadShift;
      cuda::copyToDevice(context_, service_, segments_->base(r) + offsetof(device::Control, abort),
                         std::as_bytes(std::span(&word, 1)));
    } catch (...) {  // it is gone, or the device is: then its kernels are too
    }
  }
}

void DeviceImpl::abort() noexcept {
  endAll(-1);
}

void DeviceImpl::endAll(int dead) noexcept {
  failed_ = true;
  if (bounce_)
    control_->abort();
  else
    writeAbort(dead);
}

std::string DeviceImpl::callOfRank(int rank) const {
  const device::Control control = readControl(rank);
  if (const auto transfers = cuda::describeTransfers(control.what))
    return fmt::format("rank {} is in an exchange of {}, after {} calls", rank, *transfers,
                       control.calls);
  const auto call = cuda::unpack(control.what, control.count);
  if (control.calls == 0) return fmt::format("rank {} has made no call yet", rank);
  return fmt::format(
      "rank {} is at call {}, {}", rank, control.calls,
      call ? toString(*call) + cuda::buffersOf(control.what) : "which makes no sense");
}

/// Who waits for other words than the peer writes sees nothing but time pass.
bool DeviceImpl::madeOtherCalls(int a, int b) const {
  const device::Control one = readControl(a), other = readControl(b);
  // Sends and receives are no calls that all make.
  if (cuda::describeTransfers(one.what) || cuda::describeTransfers(other.what)) return false;
  return one.calls == other.calls && (one.what != other.what || one.count != other.count);
}

void DeviceImpl::fail(int by, const device::Report& report) {
  failed_ = true;
  // What lies in shared memory is nobody's word: it is not to lead anywhere else.
  const int peer = report.rank < geometry_.world ? static_cast<int>(report.rank) : by;
  const auto text = [&](std::string_view what) {
    return fmt::format("{}: {}; {}", what, callOfRank(by), callOfRank(peer));
  };
  auto fault = static_cast<device::Fault>(report.fault);
  if (fault == device::Fault::timeout && madeOtherCalls(by, peer)) fault = device::Fault::mismatch;
  switch (fault) {
    case device::Fault::timeout:
      throw Error(
          ErrorCode::timeout, peer, "device call",
          text(fmt::format("rank {} waited {} ms for message {} of rank {} in lane {}", by,
                           control_->options().timeout.count(), report.step, peer, report.lane)));
    case device::Fault::mismatch:
      throw Error(ErrorCode::mismatch, peer, "device call",
                  text(describeMismatch(report, by, peer)) +
                      std::string(isSealed(control_->options().mode) ? shm::kHearsay : ""));
    case device::Fault::integrity:
      throw Error(ErrorCode::integrity, peer, "device call",
                  fmt::format("a record of rank {} did not verify on rank {}: it was changed on "
                              "the way; nothing of it was used",
                              peer, by));
    case device::Fault::overlap:
      throw Error(ErrorCode::mismatch, by, "device call",
                  fmt::format("rank {} had two calls of one communicator under way at once, on two "
                              "streams or in two graphs; they must follow each other",
                              by));
    case device::Fault::outside:
      throw Error(ErrorCode::internal, peer, "device call",
                  fmt::format("rank {} exposed a buffer outside its heap", peer));
    default:
      throw Error(ErrorCode::aborted, peer, "device call",
                  fmt::format("rank {} aborted or failed", peer));
  }
}

void DeviceImpl::check() {
  if (bounce_) {
    checkUsable();
    return;
  }
  const device::Verdict verdict = readVerdict();
  if (verdict.report.fault != 0) fail(rank(), verdict.report);
  // The word is anyone's to write; that a call stopped is this rank's own knowledge.
  const device::u64 word = readControl(rank()).abort;
  if (word == 0 && verdict.stopped == 0) {
    checkUsable();
    return;
  }
  failed_ = true;
  const device::u64 writer = word & kWriter, dead = word >> kDeadShift;
  if (writer == 0 || writer > geometry_.world)
    throw Error(ErrorCode::aborted, -1, "device call", "this call was ended by nobody known");
  const auto by = static_cast<int>(writer) - 1;
  if (const device::Control theirs = readControl(by); theirs.report.fault != 0)
    fail(by, theirs.report);
  if (dead != 0 && dead <= geometry_.world) throwGone(static_cast<int>(dead) - 1);
  throw Error(ErrorCode::aborted, by, "device call", fmt::format("rank {} aborted or failed", by));
}

/// Ranks that are gone without having done all they were to do. Not after a failure: who goes then
/// is not its cause, and what runs ends by itself.
std::uint64_t DeviceImpl::goneTooEarly() const {
  std::uint64_t gone = control_->peers().gone();
  if (gone == 0 || !segments_) return gone;
  const device::Control control = readControl(rank());
  if (control.abort != 0) return 0;
  for (unsigned r = 0; r < geometry_.world; ++r)
    if (control.left[r] != 0) gone &= ~(std::uint64_t{1} << r);
  return gone;
}

void DeviceImpl::wait(DeviceStream stream) {
  waitIdle(streamOf(stream));
  check();
}

void DeviceImpl::waitIdle(cuda::StreamHandle handle) {
  // Kernels give up by themselves; this bound is for those that were never started.
  const Deadline deadline = Deadline::in(control_->options().timeout * 2 + kGrace);
  auto nextLook = Clock::now() + kLookForDead;
  const auto idle = [&] {
    try {
      return cuda::idle(context_, handle);
    } catch (...) {  // what died of itself will never signal
      this->abort();
      throw;
    }
  };
  for (int looks = 0; !idle(); ++looks) {
    if (looks > 100) std::this_thread::sleep_for(kShortSleep);
    const auto now = Clock::now();
    if (now < nextLook) continue;
    nextLook = now + kLookForDead;
    const std::uint64_t gone = goneTooEarly();
    if (gone == 0 && !deadline.passed(now)) continue;
    const int dead = gone == 0 ? -1 : std::countr_zero(gone);
    endAll(dead);
    idleWithin(context_, handle, kGrace);
    if (dead >= 0) throwGone(dead);
    throw Error(ErrorCode::timeout, -1, "device call",
                "the stream did not finish: something in it that is not Lockstep's, or a kernel "
                "that the GPU had no room to start");
  }
}

}  // namespace lockstep
