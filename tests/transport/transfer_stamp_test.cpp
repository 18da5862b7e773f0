// What the first message of a transfer says of it.
#include "transport/shm/transfer_stamp.hpp"

#include <set>

#include <gtest/gtest.h>

namespace lockstep::shm {
namespace {

TEST(TransferStamp, DiffersWhenTransfersDoAndLeavesRoomForDirect) {
  std::set<std::uint64_t> stamps;
  std::size_t made = 0;
  for (const std::uint64_t sequence : {1, 2, 1000})
    for (const std::uint64_t count : {0ULL, 1ULL, 1ULL << 39})
      for (std::size_t type = 0; type < kDataTypes; ++type) {
        const std::uint64_t stamp =
            stampOf({.sequence = sequence, .count = count, .type = static_cast<DataType>(type)});
        EXPECT_EQ(stamp & kDirect, 0U);
        stamps.insert(stamp);
        ++made;
      }
  EXPECT_EQ(stamps.size(), made);
}

TEST(TransferStamp, IsReadBackWithOrWithoutDirect) {
  const std::uint64_t stamp = stampOf({.sequence = 77, .count = 123456, .type = DataType::bf16});
  for (const std::uint64_t read : {stamp, stamp | kDirect}) {
    const auto transfer = transferOf(read);
    ASSERT_TRUE(transfer);
    EXPECT_EQ(transfer->sequence, 77U);
    EXPECT_EQ(transfer->count, 123456U);
    EXPECT_EQ(transfer->type, DataType::bf16);
  }
}

/// In sealed modes anybody may have written it.
TEST(TransferStamp, OfSomethingElseIsNone) {
  EXPECT_FALSE(transferOf(0));
  EXPECT_FALSE(transferOf(fingerprint({.sequence = 1, .count = 5})));
  const std::uint64_t noSuchType = stampOf({.sequence = 1, .count = 1}) | std::uint64_t{31} << 41;
  EXPECT_FALSE(transferOf(noSuchType));
}

}  // namespace
}  // namespace lockstep::shm
