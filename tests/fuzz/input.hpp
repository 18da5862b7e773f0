// A fuzzer's bytes, taken as choices: so that what is tried is nearly right, and gets far.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

namespace lockstep::fuzz {

/// A law of the target: libFuzzer reports its violation as a crash.
inline void demand(bool law) {
  if (!law) std::abort();
}

/// Zeros, once the bytes are used up.
class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : left_(bytes) {}

  bool empty() const { return left_.empty(); }
  unsigned byte() {
    if (left_.empty()) return 0;
    const auto b = std::to_integer<unsigned>(left_.front());
    left_ = left_.subspan(1);
    return b;
  }
  /// 0 to bound - 1; `bound` is from 1 to 65536.
  std::size_t below(std::size_t bound) {
    const unsigned high = bound > 256 ? byte() : 0;
    return (high << 8 | byte()) % bound;
  }
  /// At most so many.
  std::vector<std::byte> bytes(std::size_t most) {
    const auto taken = left_.first(std::min(most, left_.size()));
    left_ = left_.subspan(taken.size());
    return {taken.begin(), taken.end()};
  }

 private:
  std::span<const std::byte> left_;
};

}  // namespace lockstep::fuzz
