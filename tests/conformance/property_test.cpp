// Ten thousand random calls: sequences of all collectives on one communicator after another. World,
// mode, kind of ranks, algorithms, protocols, tiles and depths, types, reductions, counts, roots
// and delays are drawn from a seed; each rank draws its memory, alignment and whether it works in
// place. Whatever is called, and after whatever, the result is what the contract promises.
#include <cstdlib>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "conformance/random_calls.hpp"

namespace lockstep::testing {
namespace {

constexpr std::uint64_t kParts = 10, kSessions = 40;  ///< tests, and communicators of each
constexpr std::size_t kCalls = 25;                    ///< of a communicator

/// LOCKSTEP_TEST_SEED: play this communicator's life only.
std::optional<std::uint64_t> onlySeed() {
  const char* text = std::getenv("LOCKSTEP_TEST_SEED");
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

class RandomCalls : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(RandomCalls, GiveWhatTheContractPromises) {
  const std::uint64_t first = onlySeed().value_or(GetParam() * kSessions);
  const std::uint64_t last = onlySeed() ? first : first + kSessions - 1;
  for (std::uint64_t seed = first; seed <= last; ++seed)
    ASSERT_EQ(failureOf(drawSession(seed, kCalls)), "")
        << "again: LOCKSTEP_TEST_SEED=" << seed
        << " test_conformance --gtest_filter='*RandomCalls*/0'";
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomCalls, ::testing::Range<std::uint64_t>(0, kParts));

}  // namespace
}  // namespace lockstep::testing
