// Sealed modes against whoever writes to the shared memory: every changed byte of a record and
// every forged flag ends in an error, never in a wrong result.
#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "cc_mode/aead/aead.hpp"
#include "communicator/adversary.hpp"
#include "communicator/segments.hpp"
#include "support/shared_segments.hpp"
#include "support/world.hpp"
#include "transport/shm/regions.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;

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
  const auto all = Segments::mapped().writable;
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
    const auto all = Segments::mapped().writable;
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

TEST(Tampering, RandomFlipsNeverGiveAWrongResult) {
  for (std::uint32_t seed = 0; seed < 10; ++seed)
    for (const Mode mode : {Mode::cc, Mode::ccMulticast})
      for (const std::size_t count : {std::size_t{3}, std::size_t{20000}})  // lines, slots
        EXPECT_GT(sumUntilNoticed(mode, DataType::i32, count, seed), 0);
}

// ---- sends and receives ----

/// Rank 0 has sent `bytes`; then a byte of the first message is changed where it lies; then rank 1
/// receives.
std::vector<Outcome> changeTransfer(std::size_t bytes, std::size_t index, unsigned bits) {
  auto communicators = Communicator::createInProcess(2, optionsOf(Mode::cc));
  const auto all = Segments::mapped().writable;
  return playRanks(Kind::threads, 2, [&](int rank) {
    std::vector<std::uint8_t> data(bytes, static_cast<std::uint8_t>(rank));
    Communicator& mine = communicators[static_cast<std::size_t>(rank)];
    if (rank == 0) return mine.send(data.data(), bytes, DataType::u8, 1);
    flip(awaitLine(all, 2).data.data() + index, bits);
    mine.receive(data.data(), bytes, DataType::u8, 0);
  });
}

/// What a message says of itself is the adversary's too: that its payload lies elsewhere (bit 0 of
/// the stamp), above all, is never believed.
TEST(Tampering, EveryChangedByteOfATransferIsAnError) {
  for (const std::size_t bytes : {std::size_t{8}, std::size_t{100000}}) {
    const std::size_t record = (bytes == 8 ? bytes : 0) + cc::kTagBytes;
    for (std::size_t index = 0; index < shm::kLineBytes; ++index) {
      const bool stamp = index >= shm::kFirstLineBytes;
      if (!stamp && index >= record) continue;  // nobody reads it
      for (const unsigned bits : {0x01U, 0x10U}) {
        SCOPED_TRACE(index);
        const auto outcomes = changeTransfer(bytes, index, bits);
        ASSERT_EQ(outcomes[1].code, ErrorCode::integrity) << describe(outcomes);
        ASSERT_EQ(outcomes[1].blamed, 0);
      }
    }
  }
}

/// Claims of blocks and where they go mean nothing where nothing is ever lent.
TEST(Tampering, ForgedClaimsMeanNothingToASealedTransfer) {
  auto communicators = Communicator::createInProcess(2, optionsOf(Mode::cc));
  const auto all = Segments::mapped().writable;
  const shm::Layout layout(2);
  for (std::byte* segment : all)
    for (std::size_t channel = 0; channel < 4; ++channel) {
      auto& claims = reinterpret_cast<shm::InArea*>(segment + layout.inArea(channel))->copy;
      claims.claims = std::uint64_t{1} << 16;  // copy 0 is open
      claims.region = shm::Location::kAddress;
      claims.offset = 0x1000;
      if (channel < 3) areaOf(segment, 2, static_cast<int>(channel)).copy.claims = 1 << 16;
    }
  const auto outcomes = playRanks(Kind::threads, 2, [&](int rank) {
    std::vector<std::uint8_t> data(1000000, static_cast<std::uint8_t>(rank));
    Communicator& mine = communicators[static_cast<std::size_t>(rank)];
    if (rank == 0) return mine.send(data.data(), data.size(), DataType::u8, 1);
    mine.receive(data.data(), data.size(), DataType::u8, 0);
    for (const std::uint8_t byte : data) require(byte == 0, "a wrong byte");
  });
  EXPECT_EQ(failures(outcomes), "");
}

/// Bytes of messages and of stamps, and credits.
void writeSomewhere(const std::vector<std::byte*>& segments, int worldSize, std::mt19937& random) {
  std::byte* segment = segments[random() % segments.size()];
  const auto world = static_cast<unsigned>(worldSize);
  shm::OutArea& area = areaOf(segment, worldSize, static_cast<int>(random() % (world + 1)));
  const std::size_t slot = random() % shm::kSlots;
  auto& credits = *reinterpret_cast<shm::InArea*>(
      segment + shm::Layout(worldSize).inArea(random() % (2 * world)));
  switch (random() % 4) {
    case 0:
      return flip(area.payload[slot].data() + random() % shm::kSlotStride);
    case 1:
      return flip(area.lines[slot][random() % 4].data.data() + random() % shm::kLineBytes);
    case 2:
      credits.simple.credit[slot] = random() % 64;
      return;
    default:
      credits.ll.credit[slot] = random() % 64;
  }
}

/// Exchanges without end.
void exchangeForEver(Communicator& comm, int rank, std::size_t bytes) {
  std::vector<std::uint8_t> out(bytes), in(bytes);
  for (int round = 0;; ++round) {
    std::fill(out.begin(), out.end(), static_cast<std::uint8_t>(rank + 2 * round));
    Group group;
    group.send(comm, out.data(), bytes, DataType::u8, 1 - rank)
        .receive(comm, in.data(), bytes, DataType::u8, 1 - rank);
    group.start().wait();
    for (const std::uint8_t byte : in)
      require(byte == static_cast<std::uint8_t>(1 - rank + 2 * round), "a wrong byte");
  }
}

/// What arrives while somebody writes all over is right, until there is an error.
TEST(Tampering, RandomWritesNeverGiveAWrongTransfer) {
  for (std::uint32_t seed = 0; seed < 10; ++seed) {
    Options options = optionsOf(Mode::cc);
    options.timeout = 500ms;  // credits that were taken away do not come back
    auto communicators = Communicator::createInProcess(2, options);
    const auto all = Segments::mapped().writable;
    const Adversary adversary(seed, [&](std::mt19937& random) { writeSomewhere(all, 2, random); });
    const auto outcomes = playRanks(Kind::threads, 2, [&](int rank) {
      exchangeForEver(communicators[static_cast<std::size_t>(rank)], rank,
                      seed % 2 == 0 ? 100000 : 200);
    });
    for (const Outcome& outcome : outcomes)
      EXPECT_TRUE(outcome.code.has_value()) << describe(outcomes);
  }
}

}  // namespace
}  // namespace lockstep::testing
