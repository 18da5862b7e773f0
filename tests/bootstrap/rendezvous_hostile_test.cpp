// What a process of this user may say at a rendezvous, without libFuzzer.
#include <random>

#include <gtest/gtest.h>

#include "fuzz/rendezvous_target.hpp"

namespace lockstep::test {
namespace {

TEST(HostileRendezvous, SurvivesSeededFuzzing) {
  std::mt19937 random(13);
  for (int i = 0; i < 100; ++i) {
    std::vector<std::byte> bytes(random() % 100);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random() % (random() % 3 == 0 ? 256 : 4));
    fuzz::rendezvous(bytes);
  }
}

}  // namespace
}  // namespace lockstep::test
