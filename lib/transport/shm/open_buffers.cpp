#include "transport/shm/open_buffers.hpp"

#include <mutex>
#include <set>

namespace lockstep::shm {

namespace {

struct Registry {
  std::mutex mutex;
  std::set<const OpenBuffer*> all;
};

/// Never destroyed: a Buffer may be of static storage.
Registry& registry() {
  static Registry& registry = *new Registry;
  return registry;
}

}  // namespace

std::atomic<std::uint64_t> OpenBuffers::latest_{0};

OpenBuffer::OpenBuffer(const void* data, std::size_t bytes)
    : begin_(reinterpret_cast<std::uintptr_t>(data)), end_(begin_ + bytes) {
  const std::lock_guard lock(registry().mutex);
  registry().all.insert(this);
  OpenBuffers::latest_.fetch_add(1, std::memory_order_release);
}

OpenBuffer::~OpenBuffer() {
  const std::lock_guard lock(registry().mutex);
  registry().all.erase(this);
  OpenBuffers::latest_.fetch_add(1, std::memory_order_release);
}

void OpenBuffers::lookUp() {
  const std::lock_guard lock(registry().mutex);
  edition_ = latest_.load(std::memory_order_relaxed);
  known_.clear();
  for (const OpenBuffer* buffer : registry().all)
    known_.push_back({buffer->begin(), buffer->end()});
}

}  // namespace lockstep::shm
