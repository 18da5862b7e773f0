#include "base/cuda/context.hpp"

#include "base/fail.hpp"

namespace lockstep::cuda {

struct PrimaryContext::Retained {
  explicit Retained(int ordinal) {
    const Driver& d = driver();
    int count = 0;
    check(d.deviceGetCount(&count), "count the GPUs");
    if (ordinal < 0 || ordinal >= count)
      fail(ErrorCode::invalidArgument, "there is no GPU {}: this process sees {}, from 0", ordinal,
           count);
    check(d.deviceGet(&device, ordinal), "find GPU {}", ordinal);
    check(d.primaryCtxRetain(&handle, device), "make a context on GPU {}", ordinal);
  }
  ~Retained() { findDriver()->primaryCtxRelease(device); }
  Retained(const Retained&) = delete;
  Retained& operator=(const Retained&) = delete;

  Device device = 0;
  ContextHandle handle = nullptr;
};

PrimaryContext::PrimaryContext(std::shared_ptr<const Retained> retained)
    : retained_(std::move(retained)) {}

PrimaryContext PrimaryContext::retain(int ordinal) {
  return PrimaryContext(std::make_shared<const Retained>(ordinal));
}

ContextHandle PrimaryContext::handle() const noexcept {
  return retained_ ? retained_->handle : nullptr;
}

Device PrimaryContext::device() const noexcept {
  return retained_ ? retained_->device : -1;
}

namespace {

/// Sets `pushed` where the context was not the current one already, which costs less to ask.
Result enter(const Driver& driver, ContextHandle context, bool& pushed) {
  ContextHandle now = nullptr;
  if (driver.ctxGetCurrent(&now) == Result::success && now == context) return Result::success;
  const Result result = driver.ctxPushCurrent(context);
  pushed = result == Result::success;
  return result;
}

}  // namespace

Current::Current(const PrimaryContext& context) {
  check(enter(driver(), context.handle(), pushed_), "use the context of GPU {}", context.device());
}

Current::Current(const PrimaryContext& context, std::nothrow_t) noexcept {
  enter(*findDriver(), context.handle(), pushed_);
}

Current::~Current() {
  ContextHandle left = nullptr;
  if (pushed_) findDriver()->ctxPopCurrent(&left);
}

}  // namespace lockstep::cuda
