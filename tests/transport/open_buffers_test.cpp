#include "transport/shm/open_buffers.hpp"

#include <array>
#include <cstddef>
#include <memory>

#include <gtest/gtest.h>

namespace lockstep::shm {
namespace {

TEST(OpenBuffers, TouchWhatHasAByteOfThem) {
  std::array<std::byte, 100> bytes{};
  OpenBuffers known;
  EXPECT_FALSE(known.touch(bytes.data(), bytes.size()));
  const OpenBuffer open(bytes.data() + 10, 20);
  EXPECT_TRUE(known.touch(bytes.data(), bytes.size()));
  EXPECT_TRUE(known.touch(bytes.data(), 11));
  EXPECT_TRUE(known.touch(bytes.data() + 29, 1));
  EXPECT_TRUE(known.touch(bytes.data() + 15, 2));
  EXPECT_FALSE(known.touch(bytes.data(), 10));
  EXPECT_FALSE(known.touch(bytes.data() + 30, 1));
  EXPECT_FALSE(known.touch(bytes.data() + 15, 0));
  EXPECT_FALSE(known.touch(nullptr, 0));
}

TEST(OpenBuffers, AreNoneAnyMoreOnceGone) {
  std::array<std::byte, 100> bytes{};
  OpenBuffers known;
  auto first = std::make_unique<OpenBuffer>(bytes.data(), 50);
  const OpenBuffer second(bytes.data() + 50, 50);
  EXPECT_TRUE(known.touch(bytes.data(), 1));
  first.reset();
  EXPECT_FALSE(known.touch(bytes.data(), 1));
  EXPECT_TRUE(known.touch(bytes.data() + 50, 1));
}

}  // namespace
}  // namespace lockstep::shm
