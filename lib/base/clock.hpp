// Time: a monotonic clock and deadlines.
#pragma once

#include <chrono>

namespace lockstep {

using Clock = std::chrono::steady_clock;

/// A point in time that bounds waits. Default: never.
class Deadline {
 public:
  Deadline() = default;
  static Deadline in(Clock::duration d) {
    Deadline deadline;
    deadline.at_ = Clock::now() + d;
    return deadline;
  }
  bool passed(Clock::time_point now = Clock::now()) const { return now >= at_; }
  Clock::time_point at() const { return at_; }
  /// Milliseconds left, at least 0, for poll(2).
  int pollMilliseconds() const {
    if (at_ == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now()).count();
    return left < 0 ? 0 : left > 1000000 ? 1000000 : static_cast<int>(left);
  }

 private:
  Clock::time_point at_ = Clock::time_point::max();
};

}  // namespace lockstep
