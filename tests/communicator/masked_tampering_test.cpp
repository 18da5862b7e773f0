// Masked sums against whoever writes to the shared memory, and what he reads there.
#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "communicator/segments.hpp"
#include "support/shared_segments.hpp"
#include "support/world.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;

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

/// Somebody flips bytes all over the channels while ranks reduce: calls go right until one fails.
/// How often ranks noticed.
int disturbed(DataType type, std::size_t count, std::uint32_t seed) {
  constexpr int kWorld = 3;
  auto communicators = Communicator::createInProcess(kWorld, optionsOf(Mode::ccMasked));
  const auto all = Segments::mapped().writable;
  std::atomic<bool> over{false};
  std::thread adversary([&] {
    std::mt19937 random(seed);
    while (!over) {
      shm::OutArea& area =
          areaOf(all[random() % all.size()], kWorld, static_cast<int>(random() % 4));
      const std::size_t slot = random() % shm::kSlots;
      // Not the flags: a changed one may also just be waited for.
      if (random() % 2 == 0)
        flip(area.payload[slot].data() + random() % shm::kSlotBytes);
      else
        flip(area.lines[slot][random() % 2].data.data() + random() % shm::kFirstLineBytes);
      if (random() % 16 == 0) std::this_thread::sleep_for(10us);
    }
  });
  const auto outcomes = playRanks(Kind::threads, kWorld, [&](int rank) {
    Communicator& mine = communicators[static_cast<std::size_t>(rank)];
    std::vector<std::int32_t> integers(count);
    std::vector<float> numbers(count);
    for (int call = 0;; ++call) {
      for (std::size_t i = 0; i < count; ++i)
        numbers[i] = static_cast<float>(integers[i] = static_cast<int>(i) * (rank + 1) + call);
      void* data = type == DataType::i32 ? static_cast<void*>(integers.data()) : numbers.data();
      mine.allReduce(data, data, count, type);
      for (std::size_t i = 0; i < count; ++i) {
        const int want = static_cast<int>(i) * 6 + call * 3;
        require(
            type == DataType::i32 ? integers[i] == want : numbers[i] == static_cast<float>(want),
            "a wrong result was released");
      }
    }
  });
  over = true;
  adversary.join();
  int noticed = 0;
  for (const Outcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.code == ErrorCode::integrity || outcome.code == ErrorCode::mismatch ||
                outcome.code == ErrorCode::aborted)
        << describe(outcomes);
    noticed += outcome.code == ErrorCode::integrity ? 1 : 0;
  }
  return noticed;
}

TEST(MaskedTampering, RandomFlipsNeverGiveAWrongResult) {
  int noticed = 0;
  for (std::uint32_t seed = 0; seed < 10; ++seed)
    for (const DataType type : {DataType::i32, DataType::f32})
      for (const std::size_t count : {std::size_t{1}, std::size_t{20000}})
        noticed += disturbed(type, count, seed);
  EXPECT_GE(noticed, 30);  // of 40 worlds
}

}  // namespace
}  // namespace lockstep::testing
