// Memory that holds keys: out of core dumps, wiped in forked children, zeroed before it is given
// back.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "base/mapping.hpp"

namespace lockstep {

/// Overwrites memory in a way the compiler may not drop.
inline void wipe(void* data, std::size_t bytes) noexcept {
  if (bytes == 0) return;  // `data` may be null then
  std::memset(data, 0, bytes);
  asm volatile("" : : "r"(data) : "memory");  // the zeroes count as read
}

/// Wipes what a container holds when this goes out of scope. A container that has been moved from
/// by then holds nothing. (Not for what a function returns by its name: that is the caller's.)
template <class Container>
class WipeAtEnd {
 public:
  explicit WipeAtEnd(Container& container) : container_(container) {}
  WipeAtEnd(const WipeAtEnd&) = delete;
  WipeAtEnd& operator=(const WipeAtEnd&) = delete;
  ~WipeAtEnd() { wipe(container_.data(), container_.size() * sizeof(*container_.data())); }

 private:
  Container& container_;
};

/// Pages with MADV_DONTDUMP and MADV_WIPEONFORK, zeroed when destroyed.
class SecretPages {
 public:
  SecretPages() = default;
  explicit SecretPages(std::size_t bytes);
  SecretPages(SecretPages&&) noexcept = default;
  SecretPages& operator=(SecretPages&& o) noexcept {
    if (this != &o) {
      clear();
      pages_ = std::move(o.pages_);
    }
    return *this;
  }
  ~SecretPages() { clear(); }
  std::byte* data() const noexcept { return pages_.data(); }
  std::size_t size() const noexcept { return pages_.size(); }

 private:
  void clear() noexcept {
    if (pages_) wipe(pages_.data(), pages_.size());
  }
  Mapping pages_;
};

/// One T in secret pages. T needs no destructor: the pages are zeroed instead.
template <class T>
class Secret {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  Secret() : pages_(sizeof(T)), value_(new (pages_.data()) T()) {}
  T& operator*() const noexcept { return *value_; }
  T* operator->() const noexcept { return value_; }
  T* get() const noexcept { return value_; }

 private:
  SecretPages pages_;
  T* value_;
};

}  // namespace lockstep
