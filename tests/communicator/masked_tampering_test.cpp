// Masked sums against whoever writes to the shared memory, and what he reads there.
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "communicator/adversary.hpp"
#include "support/shared_segments.hpp"
#include "support/world.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::testing {
namespace {

/// Bytes that no pad may show: what ranks give and get, as elements and as the words they become.
bool shows(const std::vector<std::byte*>& all, int world, std::uint32_t value) {
  const std::uint32_t biased = value + (1U << 31), sum = value * static_cast<std::uint32_t>(world),
                      biasedSum = biased * static_cast<std::uint32_t>(world);
  const std::size_t bytes = shm::Layout(world).bytes();
  for (const std::byte* segment : all)
    for (std::size_t at = 0; at + 4 <= bytes; at += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, segment + at, 4);
      if (word == value || word == biased || word == sum || word == biasedSum) return true;
    }
  return false;
}

TEST(MaskedTampering, SegmentsShowNeitherElementsNorSums) {
  for (const std::size_t count : {std::size_t{3}, std::size_t{20000}})
    for (const Mode mode : {Mode::ccMasked, Mode::multicast}) {
      Options options = optionsOf(mode);
      options.algorithm = "two_shot";  // sums cross too
      options.protocol = "simple";
      auto communicators = Communicator::createInProcess(3, options);
      const auto outcomes = playRanks(Kind::threads, 3, [&](int rank) {
        std::vector<std::int32_t> data(count, 0x5ec7e7a1);
        communicators[static_cast<std::size_t>(rank)].allReduce(data.data(), data.data(), count,
                                                                DataType::i32);
      });
      ASSERT_EQ(failures(outcomes), "");
      EXPECT_EQ(shows(Segments::mapped().writable, 3, 0x5ec7e7a1), mode == Mode::multicast)
          << name(mode);
    }
}

TEST(MaskedTampering, RandomFlipsNeverGiveAWrongResult) {
  const auto mayBe = [](ErrorCode code) { return code == ErrorCode::mismatch; };
  int noticed = 0;
  for (std::uint32_t seed = 0; seed < 10; ++seed)
    for (const DataType type : {DataType::i32, DataType::f32})
      for (const std::size_t count : {std::size_t{1}, std::size_t{20000}})
        noticed += sumUntilNoticed(Mode::ccMasked, type, count, seed, mayBe);
  EXPECT_GE(noticed, 30);  // of 40 worlds
}

}  // namespace
}  // namespace lockstep::testing
