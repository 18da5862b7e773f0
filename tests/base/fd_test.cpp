#include "base/fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

bool isOpen(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

Fd openSomething() {
  return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TEST(Fd, IsEmptyByDefault) {
  Fd fd;
  EXPECT_FALSE(fd);
  EXPECT_EQ(fd.get(), -1);
  fd.reset();
}

TEST(Fd, ClosesWhenDestroyed) {
  int number = -1;
  {
    const Fd fd = openSomething();
    ASSERT_TRUE(fd);
    number = fd.get();
    EXPECT_TRUE(isOpen(number));
  }
  EXPECT_FALSE(isOpen(number));
}

TEST(Fd, MovesWithoutClosing) {
  Fd a = openSomething();
  const int number = a.get();
  Fd b = std::move(a);
  EXPECT_EQ(b.get(), number);
  EXPECT_TRUE(isOpen(number));
  Fd c = openSomething();
  const int replaced = c.get();
  c = std::move(b);
  EXPECT_EQ(c.get(), number);
  EXPECT_FALSE(isOpen(replaced));
}

TEST(Fd, SurvivesMovingIntoItself) {
  Fd a = openSomething();
  Fd& same = a;
  a = std::move(same);
  EXPECT_TRUE(isOpen(a.get()));
}

TEST(Fd, ReleaseGivesItAway) {
  int number = -1;
  {
    Fd fd = openSomething();
    number = fd.release();
    EXPECT_FALSE(fd);
  }
  EXPECT_TRUE(isOpen(number));
  const Fd owner(number);
}

}  // namespace
}  // namespace lockstep
