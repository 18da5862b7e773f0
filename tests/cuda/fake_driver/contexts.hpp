// Devices' primary contexts, and which of them each thread has current.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/fake_driver/table.hpp"

namespace lockstep::cuda::fake {

class Stream;

struct Context {
  int device = 0;
  ContextHandle handle = nullptr;
  int retains = 0;                      ///< under the lock of contexts.cpp
  std::atomic<bool> destroyed = false;  ///< what is left of it is of no use any more

  std::mutex mutex;
  std::shared_ptr<Stream> defaultStream;       ///< made by its first use
  std::vector<std::weak_ptr<Stream>> streams;  ///< all others, blocking or not
};

/// Whether cuInit() has been called, by this very process.
bool isInitialised() noexcept;
int deviceCount();
void requireDevice(Device device);
/// Whether a device can be told to read another's memory.
bool canAccess(int from, int to);

/// Throws invalidContext where the thread has none, contextIsDestroyed where it was released.
std::shared_ptr<Context> currentContext();
/// -1: none.
int currentDevice() noexcept;
void requireAlive(const Context& context);
/// Primary contexts that someone retains.
std::size_t contextsAlive();

}  // namespace lockstep::cuda::fake
