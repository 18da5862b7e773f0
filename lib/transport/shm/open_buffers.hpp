// Which memory of this process is a Buffer of a communicator in the clear. Other processes read and
// write it, so calls of sealed communicators refuse it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lockstep::shm {

/// Says so of [data, data + bytes) while it lives.
class OpenBuffer {
 public:
  OpenBuffer(const void* data, std::size_t bytes);
  ~OpenBuffer();
  OpenBuffer(const OpenBuffer&) = delete;
  OpenBuffer& operator=(const OpenBuffer&) = delete;

  std::uintptr_t begin() const { return begin_; }
  std::uintptr_t end() const { return end_; }

 private:
  std::uintptr_t begin_, end_;
};

/// What one thread knows of them. It is asked in every call, so it looks them up only when one has
/// come or gone since.
class OpenBuffers {
 public:
  /// One has a byte of [data, data + bytes).
  bool touch(const void* data, std::size_t bytes) {
    if (edition_ != latest_.load(std::memory_order_acquire)) [[unlikely]]
      lookUp();
    if (known_.empty() || bytes == 0) return false;
    const auto begin = reinterpret_cast<std::uintptr_t>(data);
    for (const Range& range : known_)
      if (begin < range.end && range.begin < begin + bytes) return true;
    return false;
  }

 private:
  friend class OpenBuffer;
  struct Range {
    std::uintptr_t begin, end;
  };
  void lookUp();
  static std::atomic<std::uint64_t> latest_;  ///< counts what comes and goes

  std::uint64_t edition_ = 0;
  std::vector<Range> known_;
};

}  // namespace lockstep::shm
