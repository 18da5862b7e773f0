// What is known of shared memory in builds that check what ciphers are given.
#include "base/shared_ranges.hpp"

#include <gtest/gtest.h>

#include "base/mapping.hpp"

namespace lockstep {
namespace {

TEST(SharedRanges, KnowEveryByteOfAMappingOfAFile) {
  const Fd file = createSharedMemory("ranges", 3 * kPage);
  const auto map = Mapping::ofFile(file, 2 * kPage + 1, Mapping::Access::readWrite);
  const std::byte* first = map.data();
  const std::byte* end = first + 3 * kPage;  // the rest of the last page is mapped too
  EXPECT_TRUE(isShared(first, 1));
  EXPECT_TRUE(isShared(first + kPage, kPage));
  EXPECT_TRUE(isShared(end - 1, 1));
  EXPECT_TRUE(isShared(first - 1, 2)) << "reaches into it";
  EXPECT_TRUE(isShared(first - 10, 4 * kPage)) << "around it";
  EXPECT_FALSE(isShared(first - 10, 10));
  EXPECT_FALSE(isShared(end, 10));
  EXPECT_FALSE(isShared(first + 5, 0)) << "nothing, wherever it is";
  EXPECT_FALSE(isShared(nullptr, 0));
}

TEST(SharedRanges, ReadOnlyMappingsAreSharedTooAndPrivateMemoryIsNot) {
  const Fd file = createSharedMemory("ranges", kPage);
  const auto reader = Mapping::ofFile(file, kPage, Mapping::Access::read);
  EXPECT_TRUE(isShared(reader.data(), 1));
  const auto anonymous = Mapping::anonymous(kPage);
  EXPECT_FALSE(isShared(anonymous.data(), kPage));
  const int here = 0;
  EXPECT_FALSE(isShared(&here, sizeof here));
}

TEST(SharedRanges, AreForgottenWithTheirMapping) {
  const Fd file = createSharedMemory("ranges", kPage);
  auto first = Mapping::ofFile(file, kPage, Mapping::Access::readWrite);
  const auto second = Mapping::ofFile(file, kPage, Mapping::Access::readWrite);
  const std::byte* where = first.data();
  auto moved = std::move(first);
  EXPECT_TRUE(isShared(where, 1));
  moved.reset();
  EXPECT_FALSE(isShared(where, 1));
  EXPECT_TRUE(isShared(second.data(), kPage));
}

}  // namespace
}  // namespace lockstep
