#include "cuda/fake_driver/contexts.hpp"

#include <array>

#include <pthread.h>
#include <unistd.h>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/streams.hpp"

namespace lockstep::cuda::fake {
namespace {

constexpr int kMostDevices = 64;

struct Contexts {
  std::mutex mutex;
  std::array<std::shared_ptr<Context>, kMostDevices> primary;
  Table<ContextHandle, Context> table{1, Result::invalidContext};
};

Contexts& contexts() {
  static auto* const all = new Contexts;
  return *all;
}

std::atomic<pid_t> initialisedBy = 0;

using Stack = std::vector<std::shared_ptr<Context>>;

/// Not thread_local: the loader frees what a library has of a thread when another thread needs the
/// room, which ThreadSanitizer takes for a race.
Stack& stack() {
  static const pthread_key_t key = [] {
    pthread_key_t made{};
    ::pthread_key_create(&made, [](void* mine) { delete static_cast<Stack*>(mine); });
    return made;
  }();
  auto* mine = static_cast<Stack*>(::pthread_getspecific(key));
  if (mine == nullptr) ::pthread_setspecific(key, mine = new Stack);
  return *mine;
}

}  // namespace

bool isInitialised() noexcept {
  return initialisedBy == ::getpid();
}

void init(unsigned flags) {
  require(flags == 0);
  require(deviceCount() > 0, Result::noDevice);
  pid_t none = 0;
  // A driver does not survive fork().
  require(initialisedBy.compare_exchange_strong(none, ::getpid()) || none == ::getpid(),
          Result::notInitialized);
}

int deviceCount() {
  return static_cast<int>(std::clamp(number("LOCKSTEP_FAKE_GPUS", 2), 0L, long{kMostDevices}));
}

void requireDevice(Device device) {
  require(device >= 0 && device < deviceCount(), Result::invalidDevice);
}

bool canAccess(int from, int to) {
  return from == to || !isSet("LOCKSTEP_FAKE_NO_PEER");
}

void requireAlive(const Context& context) {
  require(!context.destroyed, Result::contextIsDestroyed);
}

std::shared_ptr<Context> currentContext() {
  require(!stack().empty() && stack().back() != nullptr, Result::invalidContext);
  requireAlive(*stack().back());
  return stack().back();
}

int currentDevice() noexcept {
  return stack().empty() || stack().back() == nullptr ? -1 : stack().back()->device;
}

std::size_t contextsAlive() {
  return contexts().table.size();
}

void primaryCtxRetain(ContextHandle* context, Device device) {
  require(context != nullptr);
  requireDevice(device);
  const std::lock_guard lock(contexts().mutex);
  auto& primary = contexts().primary[static_cast<std::size_t>(device)];
  if (primary == nullptr) {
    primary = std::make_shared<Context>();
    primary->device = device;
    primary->handle = contexts().table.add(primary);
  }
  ++primary->retains;
  *context = primary->handle;
}

void primaryCtxRelease(Device device) {
  requireDevice(device);
  const std::lock_guard lock(contexts().mutex);
  auto& primary = contexts().primary[static_cast<std::size_t>(device)];
  require(primary != nullptr, Result::invalidContext);
  if (--primary->retains > 0) return;
  const auto gone = std::exchange(primary, nullptr);
  gone->destroyed = true;
  contexts().table.take(gone->handle);
  const std::lock_guard alone(gone->mutex);
  if (const auto stream = std::exchange(gone->defaultStream, nullptr)) stream->queue->close();
}

void ctxPushCurrent(ContextHandle context) {
  stack().push_back(contexts().table.get(context));
}

void ctxPopCurrent(ContextHandle* context) {
  require(!stack().empty(), Result::invalidContext);
  if (context != nullptr) ctxGetCurrent(context);
  stack().pop_back();
}

void ctxSetCurrent(ContextHandle context) {
  if (!stack().empty()) stack().pop_back();
  if (context != nullptr) ctxPushCurrent(context);
}

void ctxGetCurrent(ContextHandle* context) {
  require(context != nullptr);
  *context = stack().empty() ? nullptr : stack().back()->handle;
}

}  // namespace lockstep::cuda::fake
