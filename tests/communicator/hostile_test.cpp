// The fuzzers' targets, on seeded bytes: what ranks tell each other, changed by whoever carries it.
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "fuzz/agreed_target.hpp"
#include "fuzz/control_target.hpp"
#include "fuzz/environment_target.hpp"
#include "fuzz/words_target.hpp"

namespace lockstep::testing {
namespace {

std::vector<std::byte> randomBytes(std::mt19937& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

TEST(HostileControl, IsHeardAsSaidOrBlamedOnWhomItIsSaidToBeOf) {
  fuzz::controlMessages({});
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) fuzz::controlMessages(randomBytes(random, random() % 400));
}

TEST(HostileAgreement, EndsAsItShouldOrInAnErrorThatIsSafeToShow) {
  std::mt19937 random(2);
  for (int i = 0; i < 3000; ++i) {
    auto bytes = randomBytes(random, 1 + random() % 60);
    bytes[0] = static_cast<std::byte>(i);  // each call alike
    fuzz::agreedMessages(bytes);
  }
}

TEST(HostileEnvironment, IsAPlaceInAWorldAndSoundOptionsOrAnError) {
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i) fuzz::environment(randomBytes(random, random() % 80));
}

TEST(SharedWords, AreACallThatTheSameWordsSayOrNone) {
  std::mt19937 random(4);
  for (int i = 0; i < 50000; ++i) {
    auto bytes = randomBytes(random, 51);
    for (std::byte& b : bytes)
      if (random() % 4 != 0) b &= std::byte{0x07};  // nearly right, mostly
    fuzz::words(bytes);
  }
}

}  // namespace
}  // namespace lockstep::testing
