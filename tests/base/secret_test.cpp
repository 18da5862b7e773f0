#include "base/secret.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lockstep {
namespace {

using Words = std::array<std::uint64_t, 4>;

/// The "VmFlags:" of the mapping that holds `address`.
std::string flagsOf(const void* address) {
  std::ifstream in("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    unsigned long from = 0, to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2)
      inside = from <= reinterpret_cast<unsigned long>(address) &&
               reinterpret_cast<unsigned long>(address) < to;
    else if (inside && line.starts_with("VmFlags:"))
      return line + " ";
  }
  return {};
}

TEST(Secret, WipeOverwritesAll) {
  std::array<unsigned char, 77> bytes;
  bytes.fill(0xff);
  wipe(bytes.data() + 1, bytes.size() - 2);
  EXPECT_EQ(bytes.front(), 0xff);
  EXPECT_EQ(bytes.back(), 0xff);
  EXPECT_TRUE(std::all_of(bytes.begin() + 1, bytes.end() - 1, [](int b) { return b == 0; }));
}

TEST(Secret, NothingIsWipedOfNothing) {
  wipe(nullptr, 0);  // an empty key; UndefinedBehaviorSanitizer minds a null memset
}

TEST(Secret, BeginsAsItsTypeSays) {
  EXPECT_EQ(*Secret<Words>(), Words{});
}

TEST(Secret, MovesWithItsPages) {
  Secret<Words> first;
  *first = {1, 2, 3, 4};
  const Words* where = first.get();
  const Secret<Words> second = std::move(first);
  EXPECT_EQ(second.get(), where);
  EXPECT_EQ(*second, (Words{1, 2, 3, 4}));
}

TEST(Secret, StaysOutOfCoreDumpsAndForks) {
  const Secret<Words> secret;
  const std::string flags = flagsOf(secret.get());
  if (flags.empty()) GTEST_SKIP() << "/proc/self/smaps does not list flags here";
  EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;  // MADV_DONTDUMP
  EXPECT_NE(flags.find(" wf "), std::string::npos) << flags;  // MADV_WIPEONFORK
}

TEST(Secret, ForkedChildSeesZeros) {
  const Secret<Words> secret;
  *secret = {1, 2, 3, 4};
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(*secret == Words{} ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(*secret, (Words{1, 2, 3, 4})) << "the parent keeps its secret";
}

}  // namespace
}  // namespace lockstep
