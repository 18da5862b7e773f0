#include "base/mapping.hpp"

#include <algorithm>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <lockstep/error.hpp>

namespace lockstep {
namespace {

/// msync(2) fails with ENOMEM on pages that are not mapped.
bool isMapped(void* page) {
  return ::msync(page, kPage, MS_ASYNC) == 0;
}

TEST(RoundUp, ReachesTheNextMultiple) {
  EXPECT_EQ(roundUp(0, 8), 0u);
  EXPECT_EQ(roundUp(1, 8), 8u);
  EXPECT_EQ(roundUp(8, 8), 8u);
  EXPECT_EQ(roundUp(kPage + 1, kPage), 2 * kPage);
}

TEST(Mapping, OfAFileIsSharedWithOtherMappings) {
  const Fd fd = createSharedMemory("mapping test", 100);
  const auto writer = Mapping::ofFile(fd, kPage, Mapping::Access::readWrite);
  const auto reader = Mapping::ofFile(fd, kPage, Mapping::Access::read);
  EXPECT_EQ(reader.data()[99], std::byte{0});
  writer.data()[99] = std::byte{7};
  EXPECT_EQ(reader.data()[99], std::byte{7});
}

TEST(Mapping, OfNothingThrows) {
  EXPECT_THROW(Mapping::ofFile(Fd(), kPage, Mapping::Access::read), Error);
}

TEST(Mapping, AnonymousIsZeroedWholePages) {
  for (const std::size_t bytes : {std::size_t{1}, kPage, std::size_t{3} << 20}) {
    const auto map = Mapping::anonymous(bytes);
    EXPECT_EQ(map.size(), roundUp(bytes, kPage));
    EXPECT_TRUE(std::all_of(map.data(), map.data() + map.size(),
                            [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(Mapping, UnmapsOnceAndMoves) {
  std::byte* first = nullptr;
  std::byte* second = nullptr;
  {
    auto a = Mapping::anonymous(kPage);
    first = a.data();
    auto b = std::move(a);
    EXPECT_EQ(b.data(), first);
    EXPECT_TRUE(isMapped(first));
    auto c = Mapping::anonymous(kPage);
    second = c.data();
    b = std::move(c);
    EXPECT_FALSE(isMapped(first));
    EXPECT_EQ(b.data(), second);
    b.reset();
    EXPECT_FALSE(b);
  }
  EXPECT_FALSE(isMapped(second));
}

TEST(SharedMemory, CannotBeResized) {
  const Fd fd = createSharedMemory("sealed", 2 * kPage);
  EXPECT_NE(::ftruncate(fd.get(), 0), 0);
  EXPECT_NE(::ftruncate(fd.get(), 4 * kPage), 0);
  EXPECT_NE(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(SharedMemory, IsCheckedForSizeAndSeals) {
  const Fd good = createSharedMemory("good", kPage + 1);
  EXPECT_NO_THROW(checkSharedMemory(good, kPage + 1));
  EXPECT_NO_THROW(checkSharedMemory(good, 2 * kPage));
  EXPECT_THROW(checkSharedMemory(good, kPage), Error);
  EXPECT_THROW(checkSharedMemory(good, 3 * kPage), Error);
  EXPECT_THROW(checkSharedMemory(Fd(), kPage), Error);

  const Fd unsealed(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), kPage), 0);
  EXPECT_THROW(checkSharedMemory(unsealed, kPage), Error);
}

}  // namespace
}  // namespace lockstep
