// The copy that both ends share: every execution of small ones under the C++ memory model, and
// mutants that must be caught.
#include "transport/shm/shared_copy.hpp"

#include <atomic>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/model/expect.hpp"
#include "support/model/shared_copy_program.hpp"

namespace lockstep::model {
namespace {

SharedCopyWorld copies(std::vector<std::uint32_t> blocks) {
  std::string name = "copies of";
  for (const std::uint32_t n : blocks) name += " " + std::to_string(n);
  return {.name = name + " blocks", .blocks = std::move(blocks)};
}
SharedCopyWorld givenUp(std::uint32_t blocks) {
  return {
      .name = std::to_string(blocks) + " blocks, given up", .blocks = {blocks}, .givesUp = true};
}

TEST(SharedCopyModel, EveryBlockIsCopiedOnceAndNoneAfterwards) {
  expectRight<SharedCopyWorld>(
      {copies({1}), copies({2}), copies({3}), copies({1, 1, 1}), copies({2, 2}), copies({1, 3})});
}

TEST(SharedCopyModel, WhatIsGivenUpIsNotWrittenAfterwards) {
  expectRight<SharedCopyWorld>({givenUp(1), givenUp(2), givenUp(3)});
}

TEST(SharedCopyModel, MutantsAreCaught) {
  using enum SharedCopyBug;
  const SharedCopyWorld two = copies({2}), again = copies({2, 2});
  expectCaught<SharedCopyWorld, SharedCopyBug>({
      {"reader's claims acquire and release only", readerClaimWeak, two, "data race"},
      {"writer's claims acquire and release only", writerClaimWeak, two, "data race"},
      {"reader's claims stored relaxed", readerClaimRelaxed, two, "data race"},
      {"writer's claims stored relaxed", writerClaimRelaxed, two, "data race"},
      {"writer's claims loaded relaxed", writerClaimLoadRelaxed, two, "data race"},
      {"reader takes what is undecided", readerTakesUndecided, two, "data race"},
      {"reader leaves what is undecided", readerLeavesUndecided, two, "without a block"},
      {"writer keeps its claim", writerKeepsClaim, two, "data race"},
      {"completion not awaited", completeNotAwaited, two, "without a block"},
      {"no copy number", noCopyNumber, again, "another place"},
      {"opened before it says where", openBeforeWhere, two, "another place"},
      {"not asked whether it is open", openUnchecked, two, "another place"},
      {"given up without waiting", quietNotAwaited, givenUp(2), "data race"},
  });
}

}  // namespace
}  // namespace lockstep::model

namespace lockstep::shm {
namespace {

TEST(Claims, AreReadAsTheyWereWritten) {
  for (const std::uint64_t copy : {0ULL, 1ULL, 0xffffffffULL, 0x123456789abULL, ~0ULL})
    for (const auto state : {Claims::State::copying, Claims::State::claiming,
                             Claims::State::resting, Claims::State::finished})
      for (const std::uint32_t block : {0U, 1U, kMostBlocks}) {
        const std::uint64_t word = pack(copy, {state, block});
        EXPECT_TRUE(isOf(word, copy));
        EXPECT_FALSE(isOf(word, copy + 1));
        EXPECT_FALSE(isOf(word, copy - 1));
        EXPECT_EQ(unpack(word).state, state);
        EXPECT_EQ(unpack(word).block, block);
      }
}

/// Of a copy 2^32 messages earlier, which is minutes, something may well be left.
TEST(Claims, OfAnEarlierCopyAreTold) {
  const std::uint64_t word = pack(5, {Claims::State::finished, 3});
  EXPECT_FALSE(isOf(word, 5 + (std::uint64_t{1} << 32)));
  for (const std::uint64_t copy : {0ULL, 0xffffffffULL, 0x1ffffffffULL})
    EXPECT_FALSE(isOf(0, copy)) << "nothing was ever written";
}

/// Whatever the other's word is, a block that is copied is one of the copy's.
TEST(Claims, ThatAreForgedLeadNowhereElse) {
  using Word = std::atomic<std::uint64_t>;
  constexpr std::uint64_t kCopy = 7;
  std::mt19937_64 random(1);
  for (int round = 0; round < 20000; ++round) {
    const auto blocks = static_cast<std::uint32_t>(1 + random() % 5);
    Word mine{0}, theirs{0};
    const auto forge = [&] {
      const auto block = static_cast<std::uint32_t>(random() % 2 == 0 ? random() : random() % 8);
      theirs = pack(kCopy, {static_cast<Claims::State>(random() % 4), block & kMostBlocks});
      if (random() % 8 == 0) theirs = random();
    };
    ReaderEnd<Word> reader;
    WriterEnd<Word> writer;
    reader.begin(mine, kCopy, blocks);
    writer.begin(kCopy, blocks);
    for (int look = 0; look < 20; ++look) {
      forge();
      if (reader.claim(mine, theirs) == Turn::copy) {
        ASSERT_LT(reader.next(), blocks);
        reader.copied();
      }
      if (writer.claim(mine, theirs) == Turn::copy) {
        ASSERT_LT(writer.next(), blocks);
        writer.copied(mine);
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::shm
