// A rank's line that says what it is calling: read whole, or not at all, and believed with care.
#include "transport/shm/call.hpp"

#include <atomic>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::shm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CallDescription call(std::uint64_t sequence, std::uint64_t count) {
  return {.sequence = sequence,
          .collective = Collective::allReduce,
          .type = DataType::bf16,
          .reduction = Reduction::max,
          .count = count};
}

TEST(CallLine, SaysWhatWasAnnounced) {
  CallLine line{};
  for (std::uint64_t i = 1; i < 4; ++i) {
    announce(line, call(i, i * 1000));
    EXPECT_EQ(read(line), call(i, i * 1000));
  }
}

TEST(CallLine, TellsTheCallsBefore) {
  CallLine line{};
  const std::uint64_t last = 3 * kCallsKept + 5;
  for (std::uint64_t i = 1; i <= last; ++i) announce(line, call(i, i * 1000));
  for (std::uint64_t i = last - kCallsKept + 1; i <= last; ++i)
    EXPECT_EQ(read(line, i), call(i, i * 1000));
  EXPECT_EQ(read(line, last - kCallsKept), std::nullopt);
  EXPECT_EQ(read(line, last + 1), std::nullopt);
  EXPECT_EQ(read(line, last + kCallsKept), std::nullopt);
}

/// Whose calls are which, by their counts; all from number 1 on.
std::optional<Difference> differenceOf(const std::vector<std::uint64_t>& theirs,
                                       const std::vector<std::uint64_t>& mine) {
  CallLine a{}, b{};
  for (std::size_t i = 0; i < theirs.size(); ++i) announce(a, call(i + 1, theirs[i]));
  for (std::size_t i = 0; i < mine.size(); ++i) announce(b, call(i + 1, mine[i]));
  return firstDifference(a, b);
}

TEST(CallLine, TheFirstDifferenceOfTwoIsFound) {
  EXPECT_FALSE(differenceOf({}, {}));
  EXPECT_FALSE(differenceOf({1, 2, 3}, {1, 2, 3}));
  EXPECT_FALSE(differenceOf({1, 2, 3}, {1}));  // one is ahead
  EXPECT_FALSE(differenceOf({1}, {1, 2, 3}));
  const auto found = differenceOf({1, 2, 4, 9}, {1, 2, 3, 8, 7});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->theirs, call(3, 4));
  EXPECT_EQ(found->mine, call(3, 3));
}

TEST(CallLine, OnlyWhatBothLinesStillTellIsCompared) {
  std::vector<std::uint64_t> usual(kCallsKept + 9, 1), other = usual;
  other[8] = 2;
  EXPECT_FALSE(differenceOf(usual, other));
  other[9] = 2;
  const auto found = differenceOf(usual, other);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->mine.sequence, 10U);
  usual.resize(9);  // so far behind
  EXPECT_FALSE(differenceOf(usual, other));
}

TEST(CallLine, IsNotReadWhileWritten) {
  CallLine line{};
  announce(line, call(1, 2));
  line.version.fetch_add(1);
  EXPECT_EQ(read(line), std::nullopt);
}

/// The line is another rank's memory: nonsense in it is no call.
TEST(CallLine, NonsenseIsNoCall) {
  for (const std::uint64_t what :
       {~std::uint64_t{0}, std::uint64_t{kCollectives}, std::uint64_t{kDataTypes} << 8,
        std::uint64_t{kReductions} << 16, std::uint64_t{64} << 24}) {
    CallLine line{};
    announce(line, call(1, 2));
    line.calls[1].what.store(what);
    EXPECT_EQ(read(line), std::nullopt) << what;
    EXPECT_THAT(mismatchText(3, read(line), 0, call(1, 2)),
                HasSubstr("rank 3 called something else"));
  }
}

TEST(CallLine, IsReadWholeWhileItsWriterIsBusy) {
  CallLine line{};
  std::atomic<bool> over{false};
  std::thread writer([&] {
    for (std::uint64_t i = 1; !over; ++i) announce(line, call(i, i * 3));
  });
  std::uint64_t seen = 0;
  for (int i = 0; i < 100000 || seen == 0; ++i)
    if (const auto now = read(line); now && now->sequence != 0) {
      ++seen;
      ASSERT_EQ(now->count, now->sequence * 3);
    }
  over = true;
  writer.join();
}

TEST(CallLine, TheRootIsToldWhereThereIsOne) {
  CallLine line{};
  CallDescription mine = call(3, 5);
  mine.root = 63;
  announce(line, mine);
  EXPECT_EQ(read(line), mine);
  EXPECT_THAT(toString(mine), Not(HasSubstr("root")));
  mine.collective = Collective::reduce;
  EXPECT_EQ(toString(mine), "reduce #3 (count 5, bf16 max, root 63)");
  mine.collective = Collective::gather;
  EXPECT_EQ(toString(mine), "gather #3 (count 5, bf16, root 63)");
}

TEST(CallLine, AMismatchNamesBothCallsAndRanks) {
  CallLine line{};
  announce(line, call(17, 7));
  const std::string text = mismatchText(3, read(line), 0, call(17, 8));
  EXPECT_THAT(text, HasSubstr("rank 3 called allreduce #17 (count 7, bf16 max)"));
  EXPECT_THAT(text, HasSubstr("rank 0 called allreduce #17 (count 8, bf16 max)"));
}

/// Who only sent is calls ahead when its mistake shows: that one is named, not where it is now.
TEST(CallLine, AMismatchInACallThatIsOverIsNamed) {
  CallLine theirs{}, mine{};
  announce(mine, call(1, 8));
  for (std::uint64_t i = 1; i < 40; ++i) announce(theirs, call(i, i == 1 ? 7 : 8));
  const std::string text = mismatchText(3, theirs, 0, mine, call(1, 8));
  EXPECT_THAT(text, HasSubstr("rank 3 called allreduce #1 (count 7, bf16 max)"));
  EXPECT_THAT(text, HasSubstr("rank 0 called allreduce #1 (count 8, bf16 max)"));
}

TEST(Fingerprint, TellsCallsApart) {
  std::set<std::uint64_t> seen;
  std::size_t calls = 0;
  const auto add = [&](const CallDescription& call) {
    seen.insert(fingerprint(call));
    ++calls;
  };
  for (std::uint64_t sequence = 1; sequence < 20; ++sequence)
    for (std::uint64_t count = 0; count < 40; ++count)
      for (std::size_t type = 0; type < kDataTypes; ++type) {
        for (std::size_t reduction = 0; reduction < kReductions; ++reduction)
          add({.sequence = sequence,
               .collective = Collective::allReduce,
               .type = static_cast<DataType>(type),
               .reduction = static_cast<Reduction>(reduction),
               .count = count});
        for (std::size_t collective = 1; collective < kCollectives; ++collective)
          for (const int root : {0, 1, 63})
            add({.sequence = sequence,
                 .collective = static_cast<Collective>(collective),
                 .type = static_cast<DataType>(type),
                 .count = count,
                 .root = root});
      }
  EXPECT_EQ(seen.size(), calls);
}

}  // namespace
}  // namespace lockstep::shm
