// Sealed modes against whoever writes to the shared memory: every changed byte of a record and
// every forged flag ends in an error, never in a wrong result.
#include <atomic>
#include <chrono>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "cc_mode/aead/aead.hpp"
#include "support/world.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;

/// The writable segments of the ranks in this process, in the order of their addresses.
std::vector<std::byte*> segments() {
  std::vector<std::byte*> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:lockstep (deleted)") == std::string::npos) continue;
    if (line.find(" rw-s ") == std::string::npos) continue;
    found.push_back(reinterpret_cast<std::byte*>(std::stoull(line, nullptr, 16)));  // NOLINT
  }
  return found;
}

shm::OutArea& areaOf(std::byte* segment, int worldSize, int channel) {
  const shm::Layout layout(worldSize);
  return *reinterpret_cast<shm::OutArea*>(segment +
                                          layout.outArea(static_cast<std::size_t>(channel)));
}

/// What the adversary does is a race by nature; ThreadSanitizer need not tell.
__attribute__((no_sanitize("thread"))) void flip(std::byte* at) {
  auto* byte = reinterpret_cast<volatile std::uint8_t*>(at);
  *byte = static_cast<std::uint8_t>(*byte ^ 0x10);
}

/// Waits for the first message in lines, wherever it goes.
shm::Line& awaitLine(const std::vector<std::byte*>& all, int worldSize) {
  for (const Deadline deadline = Deadline::in(20s); !deadline.passed();)
    for (std::byte* segment : all)
      for (int channel = 0; channel <= worldSize; ++channel) {
        shm::Line& line = areaOf(segment, worldSize, channel).lines[0][0];
        if (line.flag.load(std::memory_order_acquire) != 0) return line;
      }
  throw std::runtime_error("no rank sent anything");
}

/// Rank 0 has sent an 8-byte message; then byte `index` of its record is changed where it lies;
/// then rank 1 makes the call.
std::vector<Outcome> changeOneByte(Mode mode, std::size_t index) {
  Options options = optionsOf(mode);
  options.algorithm = "one_shot";
  options.protocol = "ll";
  auto communicators = Communicator::createInProcess(2, options);
  const auto all = segments();
  return playRanks(Kind::threads, 2, [&](int rank) {
    std::int64_t value = rank + 1;
    if (rank == 1) flip(awaitLine(all, 2).data.data() + index);
    communicators[static_cast<std::size_t>(rank)].allReduce(&value, &value, 1, DataType::i64);
  });
}

TEST(Tampering, EveryChangedByteOfARecordIsAnError) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    constexpr std::size_t kRecord = sizeof(std::int64_t) + cc::kTagBytes;
    for (std::size_t index = 0; index < kRecord; ++index) {
      const auto outcomes = changeOneByte(mode, index);
      SCOPED_TRACE(index);
      ASSERT_EQ(outcomes[1].code, ErrorCode::integrity) << describe(outcomes);
      ASSERT_EQ(outcomes[1].blamed, 0);
      // Rank 0 got a good record, and may have been done before.
      ASSERT_TRUE(outcomes[0].ok || outcomes[0].code == ErrorCode::aborted) << describe(outcomes);
    }
  }
}

/// A rank that is alone in a barrier is not let go by flags that somebody else has set.
TEST(Tampering, AForgedFlagReleasesNobody) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    auto communicators = Communicator::createInProcess(2, optionsOf(mode));
    const auto all = segments();
    const auto outcomes = playRanks(Kind::threads, 2, [&](int rank) {
      if (rank == 0) return communicators[0].barrier();
      std::this_thread::sleep_for(5ms);
      for (std::byte* segment : all)
        for (int channel = 0; channel <= 2; ++channel) {
          shm::OutArea& area = areaOf(segment, 2, channel);
          for (std::size_t slot = 0; slot < shm::kSlots; ++slot) {
            area.headers[slot].flag.store(slot + 1);
            for (shm::Line& line : area.lines[slot]) line.flag.store(slot + 1);
          }
        }
    });
    EXPECT_EQ(outcomes[0].code, ErrorCode::integrity) << describe(outcomes);
  }
}

/// Somebody flips bytes all over the channels while ranks reduce: calls go right until one fails.
void disturb(Mode mode, std::size_t count, std::uint32_t seed) {
  constexpr int kWorld = 3;
  auto communicators = Communicator::createInProcess(kWorld, optionsOf(mode));
  const auto all = segments();
  std::atomic<bool> over{false};
  std::thread adversary([&] {
    std::mt19937 random(seed);
    while (!over) {
      shm::OutArea& area =
          areaOf(all[random() % all.size()], kWorld, static_cast<int>(random() % 4));
      const std::size_t slot = random() % shm::kSlots;
      // Not the flags: a changed one may also just be waited for.
      if (random() % 2 == 0)
        flip(area.payload[slot].data() + random() % shm::kSlotStride);
      else
        flip(area.lines[slot][random() % 2].data.data() + random() % shm::kFirstLineBytes);
      if (random() % 16 == 0) std::this_thread::sleep_for(10us);
    }
  });
  const auto outcomes = playRanks(Kind::threads, kWorld, [&](int rank) {
    // Not the rank's own: its segment must outlive the adversary.
    Communicator& mine = communicators[static_cast<std::size_t>(rank)];
    std::vector<std::int32_t> in(count), out(count);
    for (int call = 0;; ++call) {
      for (std::size_t i = 0; i < count; ++i) in[i] = static_cast<int>(i) * (rank + 1) + call;
      mine.allReduce(in.data(), out.data(), count, DataType::i32);
      for (std::size_t i = 0; i < count; ++i)
        require(out[i] == static_cast<int>(i) * 6 + call * 3, "a wrong result was released");
    }
  });
  over = true;
  adversary.join();
  bool noticed = false;
  for (const Outcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.code == ErrorCode::integrity || outcome.code == ErrorCode::aborted)
        << describe(outcomes);
    noticed |= outcome.code == ErrorCode::integrity;
  }
  EXPECT_TRUE(noticed) << describe(outcomes);
}

TEST(Tampering, RandomFlipsNeverGiveAWrongResult) {
  for (std::uint32_t seed = 0; seed < 10; ++seed)
    for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
      disturb(mode, 3, seed);      // lines
      disturb(mode, 20000, seed);  // slots
    }
}

}  // namespace
}  // namespace lockstep::testing
