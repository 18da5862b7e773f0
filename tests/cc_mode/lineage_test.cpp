// Keys of children: one for every birth, and none that a parent, a sibling or a stranger has.
#include "cc_mode/keys/lineage.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cc_mode/keys/handshake.hpp"
#include <lockstep/error.hpp>

namespace lockstep::cc {
namespace {

using Key = std::vector<std::byte>;

Key keyOf(char fill) {
  return Key(32, static_cast<std::byte>(fill));
}

const std::vector<int> kOne{1}, kBoth{0, 1}, kTurned{1, 0}, kMany{0, 1, 256, 512};
const std::vector<std::uint64_t> kNone, kFew{1, 2}, kSwapped{2, 1};

std::vector<Birth> births() {
  std::vector<Birth> all;
  for (const std::string_view how : {"split", "duplicate", "shrink"})
    for (const std::uint64_t number : {0, 1, 256})
      for (const std::int64_t color : {0, 1, 0x7fffffff})
        for (const auto* ranks : {&kOne, &kBoth, &kTurned, &kMany})
          for (const auto* counts : {&kNone, &kFew, &kSwapped})
            all.push_back({how, number, color, *ranks, *counts});
  return all;
}

TEST(Lineage, EveryBirthHasAKeyOfItsOwn) {
  const Key groupKeys = keyOf('k'), transcript = keyOf('i');
  std::set<Key> keys{groupKeys};
  std::size_t expected = 1;
  for (const Lineage& parent : {Lineage(groupKeys, transcript), Lineage(groupKeys, keyOf('j')),
                                Lineage(keyOf('l'), transcript)}) {
    for (const Birth& birth : births()) {
      const Key key = parent.childPsk(birth);
      EXPECT_GE(key.size(), kMinPskBytes);
      keys.insert(key);
      ++expected;
    }
  }
  EXPECT_EQ(keys.size(), expected);
}

TEST(Lineage, GrandchildrenDifferFromTheirUncles) {
  const Key groupKeys = keyOf('k'), transcript = keyOf('i');
  const Lineage parent(groupKeys, transcript);
  const Birth birth{"duplicate", 0, 0, kBoth};
  const Lineage child(parent.childPsk(birth), transcript);
  EXPECT_NE(child.childPsk(birth), parent.childPsk(birth));
}

TEST(Lineage, MembersGetTheSame) {
  const Key groupKeys = keyOf('k'), transcript = keyOf('i');
  for (const Birth& birth : births())
    EXPECT_EQ(Lineage(groupKeys, transcript).childPsk(birth),
              Lineage(groupKeys, transcript).childPsk(birth));
}

TEST(Lineage, WithoutAKeyThereIsNone) {
  EXPECT_TRUE(Lineage().childPsk({"split", 0, 0, kBoth}).empty());
}

TEST(Lineage, IsLostInAForkedChild) {
  const Lineage parent(keyOf('k'), keyOf('i'));
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      parent.childPsk({"split", 0, 0, kBoth});
    } catch (const Error& error) {
      ::_exit(error.code() == ErrorCode::invalidArgument ? 0 : 1);
    }
    ::_exit(2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace lockstep::cc
