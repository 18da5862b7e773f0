// Owners of memory: a shareable memfd, a mapping of one, and anonymous private pages.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "base/fd.hpp"

namespace lockstep {

inline constexpr std::size_t kPage = 4096;
inline constexpr std::size_t kCacheLine = 64;

constexpr std::size_t roundUp(std::size_t n, std::size_t unit) {
  return (n + unit - 1) / unit * unit;
}

/// A mapping of memory, unmapped when destroyed. Move-only.
class Mapping {
 public:
  enum class Access { read, readWrite };

  Mapping() = default;
  /// Maps `bytes` of `fd` from its start, shared. Throws system.
  static Mapping ofFile(const Fd& fd, std::size_t bytes, Access access);
  /// Private zeroed pages, on huge pages where the system gives them and `bytes` is large. Throws
  /// system.
  static Mapping anonymous(std::size_t bytes);

  Mapping(Mapping&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  Mapping& operator=(Mapping&& o) noexcept {
    if (this != &o) {
      reset();
      data_ = std::exchange(o.data_, nullptr);
      size_ = std::exchange(o.size_, 0);
    }
    return *this;
  }
  ~Mapping() { reset(); }

  std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }
  std::size_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }
  void reset() noexcept;

 private:
  Mapping(void* data, std::size_t size) : data_(data), size_(size) {}
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Anonymous memory of exactly `bytes` (rounded up to pages) that can be passed over a Unix socket.
/// Sealed against growing and shrinking, so that no holder can make another fault. Not in /dev/shm.
Fd createSharedMemory(const char* label, std::size_t bytes);

/// Checks that `fd` is what createSharedMemory made: size and seals. Throws bootstrap otherwise.
void checkSharedMemory(const Fd& fd, std::size_t bytes);

}  // namespace lockstep
