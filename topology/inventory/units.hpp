// Rates with their unit in the type: bytes and bits, and transfers and bytes, cannot be mixed up.
#pragma once

#include <algorithm>
#include <compare>

namespace lockstep::topology {

/// Bytes per second in one direction. 0 is "not known".
class Bandwidth {
 public:
  constexpr Bandwidth() = default;
  static constexpr Bandwidth bytesPerSecond(double value) { return Bandwidth(value); }
  /// 1 GB = 10^9 bytes.
  static constexpr Bandwidth gigabytesPerSecond(double value) { return Bandwidth(value * 1e9); }
  /// As networks count: 10^6 bits.
  static constexpr Bandwidth megabitsPerSecond(double value) { return Bandwidth(value * 1e6 / 8); }

  constexpr double bytesPerSecond() const { return value_; }
  constexpr double gigabytesPerSecond() const { return value_ / 1e9; }
  constexpr double megabitsPerSecond() const { return value_ * 8 / 1e6; }
  constexpr bool known() const { return value_ > 0; }

  friend constexpr Bandwidth operator+(Bandwidth a, Bandwidth b) {
    return Bandwidth(a.value_ + b.value_);
  }
  friend constexpr Bandwidth operator-(Bandwidth a, Bandwidth b) {
    return Bandwidth(a.value_ - b.value_);
  }
  friend constexpr Bandwidth operator*(Bandwidth a, double factor) {
    return Bandwidth(a.value_ * factor);
  }
  constexpr Bandwidth& operator+=(Bandwidth other) { return *this = *this + other; }
  friend constexpr auto operator<=>(Bandwidth, Bandwidth) = default;

 private:
  explicit constexpr Bandwidth(double value) : value_(value) {}
  double value_ = 0;
};

/// The narrower of two parts of a way. What is not known does not narrow it.
constexpr Bandwidth narrower(Bandwidth a, Bandwidth b) {
  if (!a.known()) return b;
  if (!b.known()) return a;
  return std::min(a, b);
}

/// Transfers per second and lane, as PCIe counts: 32 GT/s is generation 5. 0 is "not known".
class TransferRate {
 public:
  constexpr TransferRate() = default;
  static constexpr TransferRate gigatransfers(double perSecond) { return TransferRate(perSecond); }
  constexpr double gigatransfers() const { return value_; }
  constexpr bool known() const { return value_ > 0; }
  friend constexpr auto operator<=>(TransferRate, TransferRate) = default;

 private:
  explicit constexpr TransferRate(double value) : value_(value) {}
  double value_ = 0;
};

}  // namespace lockstep::topology
