// How a rank goes: not before its own kernels have ended, nor, where ranks are processes, before
// the others are done with its memory. Bounded, and without a word from who has failed or is gone.
#include <thread>

#include "base/cuda/memory.hpp"
#include "communicator/device/impl.hpp"

namespace lockstep {
namespace {

/// Between two looks at whether the others are done, too.
constexpr auto kBetweenLooks = std::chrono::microseconds(200);
/// All have come, and drop what they have of each other's memory.
constexpr auto kDropping = std::chrono::seconds(1);

}  // namespace

DeviceImpl::~DeviceImpl() {
  if (!segments_) return;
  try {
    leave();
  } catch (...) {  // then no more can be done for the others
  }
}

void DeviceImpl::leave() {
  // Threads share their mappings: memory stays until the last of them lets go.
  const bool apart = !control_->peers().sameProcess();
  try {
    waitIdle(stream_.handle());
    wait(nullptr);
    tellOthers();
    if (apart) meetOthers();
  } catch (...) {  // who waits for this rank must not, and has heard so where it had failed before
    if (!failed_) this->abort();
  }
  multicast_.reset();
  segments_->dropOthers();
  // The owner of CUDA IPC memory must be the last to let go.
  if (apart && !failed_ && segments_->memory() == nullptr)
    control_->peers().allGather({}, Deadline::in(kDropping));
}

/// Through the segments, so that nothing is mixed up with what the control communicator does.
void DeviceImpl::tellOthers() {
  const std::byte done{1};
  for (int r = 0; r < worldSize(); ++r)
    cuda::copyToDevice(
        context_, service_,
        segments_->base(r) + offsetof(device::Control, left) + static_cast<std::size_t>(rank()),
        {&done, 1});
}

void DeviceImpl::meetOthers() {
  for (const Deadline end = deadline(); !othersLeft();) {
    if (end.passed() || goneTooEarly() != 0) failed_ = true;
    if (failed_) return;
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

/// Or have failed: then their kernels have ended.
bool DeviceImpl::othersLeft() const {
  const device::Control control = readControl(rank());
  if (control.abort != 0) return true;
  for (unsigned r = 0; r < geometry_.world; ++r)
    if (control.left[r] == 0) return false;
  return true;
}

}  // namespace lockstep
