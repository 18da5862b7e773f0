// Places in memory that others write at any time. They are no pointers, and nothing turns them into
// one by accident: what needs memory of its own, a cipher above all, cannot be given one.
#pragma once

#include <cstddef>
#include <cstring>

namespace lockstep::shm {

/// Where to read. What is copied out stays what it was; what is looked at in place may not.
class ConstSharedBytes {
 public:
  ConstSharedBytes() = default;
  explicit ConstSharedBytes(const std::byte* at) : at_(at) {}
  /// Copies `n` bytes, from `offset` on, to private memory.
  void copyOut(std::size_t offset, std::byte* to, std::size_t n) const {
    if (n != 0) std::memcpy(to, at_ + offset, n);
  }
  /// The place as a pointer, for payloads that are not sealed.
  const std::byte* inTheClear() const { return at_; }

 private:
  const std::byte* at_;  ///< no value at first: arrays of these are on the way of every message
};

/// Where to write. Nothing is read back.
class SharedBytes {
 public:
  SharedBytes() = default;
  explicit SharedBytes(std::byte* at) : at_(at) {}
  /// Copies `n` private bytes to `offset`, by `copy(to, from, n)`.
  template <class Copy>
  void copyIn(std::size_t offset, const std::byte* from, std::size_t n, Copy copy) const {
    copy(at_ + offset, from, n);
  }
  void copyIn(std::size_t offset, const std::byte* from, std::size_t n) const {
    if (n != 0) std::memcpy(at_ + offset, from, n);
  }
  /// The place as a pointer, for payloads that are not sealed.
  std::byte* inTheClear() const { return at_; }

 private:
  std::byte* at_;
};

}  // namespace lockstep::shm
