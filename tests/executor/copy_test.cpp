// copyBytes: every byte, and no other.
#include "executor/host/copy.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

#include "support/targets.hpp"

namespace lockstep::host {
namespace {

constexpr std::byte kGuard{0xa5};

std::vector<std::byte> numbered(std::size_t n) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i * 131 + i / 251);
  return bytes;
}

TEST(CopyBytes, CopiesEveryByteAndNoOther) {
  testing::forEachTarget([] {
    for (const std::size_t n : {0, 1, 63, 64, 4095, 4096, 4097, 5000, 70001})
      for (const std::size_t dstOffset : {0, 1, 63, 64})
        for (const std::size_t srcOffset : {0, 3})
          for (const bool streaming : {false, true}) {
            SCOPED_TRACE(::testing::Message() << n << " bytes to +" << dstOffset << " from +"
                                              << srcOffset << " streaming " << streaming);
            const auto src = numbered(srcOffset + n);
            std::vector<std::byte> dst(dstOffset + n + 128, kGuard);
            std::vector<std::byte> expected = dst;
            std::copy(src.begin() + static_cast<std::ptrdiff_t>(srcOffset), src.end(),
                      expected.begin() + static_cast<std::ptrdiff_t>(dstOffset));
            copyBytes(dst.data() + dstOffset, src.data() + srcOffset, n, streaming);
            ASSERT_EQ(dst, expected);
          }
  });
}

TEST(CopyBytes, OfNothingTakesNullPointers) {
  copyBytes(nullptr, nullptr, 0, false);
  copyBytes(nullptr, nullptr, 0, true);
}

}  // namespace
}  // namespace lockstep::host
