#include "executor/host/copy.hpp"

#include <cstdint>
#include <cstring>

#include "base/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "executor/host/copy.cpp"
#include <hwy/foreach_target.h>  // compiles the part below once per target

#include "executor/host/element-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lockstep::host::HWY_NAMESPACE {

/// Whole cache lines are streamed, as parts of one cost a read of the rest. The first and last
/// bytes, parts of a line, are copied normally.
void streamBytes(std::uint8_t* dst, const std::uint8_t* src, std::size_t n) {
  using Byte = Plain<std::uint8_t>;
  constexpr std::size_t line = 64;
  constexpr std::size_t vector = kVectorBytes<Byte>;
  const std::size_t head = -reinterpret_cast<std::uintptr_t>(dst) % line;
  std::memcpy(dst, src, head);
  std::size_t i = head;
  for (; i + 4 * vector <= n; i += 4 * vector) {
    const auto a = load<Byte>(src + i);
    const auto b = load<Byte>(src + i + vector);
    const auto c = load<Byte>(src + i + 2 * vector);
    const auto d = load<Byte>(src + i + 3 * vector);
    stream<Byte>(a, dst + i);
    stream<Byte>(b, dst + i + vector);
    stream<Byte>(c, dst + i + 2 * vector);
    stream<Byte>(d, dst + i + 3 * vector);
  }
  for (; i + vector <= n; i += vector) stream<Byte>(load<Byte>(src + i), dst + i);
  std::memcpy(dst + i, src + i, n - i);
  hwy::FlushStream();
}

}  // namespace lockstep::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::host {
namespace {

HWY_EXPORT(streamBytes);

/// Below this there may be no whole line between the parts at either end.
constexpr std::size_t kLeastStreamed = 128;

}  // namespace

void copyBytes(void* dst, const void* src, std::size_t n, bool streaming) {
  if (n == 0) return;  // the pointers may be null then, which memcpy does not allow
  if (!streaming || n < kLeastStreamed) {
    std::memcpy(dst, src, n);
    return;
  }
  HWY_DYNAMIC_DISPATCH(streamBytes)
  (static_cast<std::uint8_t*>(dst), static_cast<const std::uint8_t*>(src), n);
}

}  // namespace lockstep::host
#endif
