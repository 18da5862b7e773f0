// The fuzzer's target, on seeded bytes: strokes against anything that is shared, between any two
// steps of ranks.
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "fuzz/shared_words_target.hpp"

namespace lockstep::testing {
namespace {

std::ptrdiff_t misledIn(int trials, TagCheck check) {
  std::ptrdiff_t misled = 0;
  for (int seed = 0; seed < trials; ++seed) {
    std::mt19937 random(static_cast<std::uint32_t>(seed));
    std::vector<std::byte> bytes(20 + random() % 600);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    misled += fuzz::misled(bytes, check);
  }
  return misled;
}

TEST(HostileWords, MisleadNobody) {
  EXPECT_EQ(misledIn(500, TagCheck::on), 0);
}

/// As they would if nobody compared tags.
TEST(HostileWords, WouldMisleadWhoeverComparesNoTags) {
  EXPECT_GT(misledIn(200, TagCheck::off), 10);
}

}  // namespace
}  // namespace lockstep::testing
