#include "transport/cuda/heap_allocator.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace lockstep::cuda {
namespace {

constexpr std::uint64_t kUnit = HeapAllocator::kAlignment;

TEST(HeapAllocator, GivesTheLowestPlaceThatHasRoom) {
  HeapAllocator heap(10 * kUnit);
  EXPECT_EQ(heap.allocate(2 * kUnit), 0);
  EXPECT_EQ(heap.allocate(3 * kUnit), 2 * kUnit);
  EXPECT_EQ(heap.allocate(1 * kUnit), 5 * kUnit);
  EXPECT_TRUE(heap.free(0));
  EXPECT_TRUE(heap.free(2 * kUnit));
  EXPECT_EQ(heap.allocate(5 * kUnit), 0) << "neighbours become one place";
  EXPECT_EQ(heap.allocate(4 * kUnit), 6 * kUnit);
  EXPECT_EQ(heap.allocate(1), std::nullopt);
}

TEST(HeapAllocator, RoundsUpToItsAlignment) {
  HeapAllocator heap(3 * kUnit);
  EXPECT_EQ(heap.allocate(1), 0);
  EXPECT_EQ(heap.allocate(kUnit + 1), kUnit);
  EXPECT_EQ(heap.freeBytes(), 0);
}

TEST(HeapAllocator, RoundsItsOwnSizeDown) {
  HeapAllocator heap(2 * kUnit + kUnit - 1);
  EXPECT_EQ(heap.largestFree(), 2 * kUnit);
  EXPECT_EQ(HeapAllocator(kUnit - 1).allocate(0), std::nullopt);
}

TEST(HeapAllocator, NoTwoAllocationsShareAnOffset) {
  HeapAllocator heap(2 * kUnit);
  EXPECT_EQ(heap.allocate(0), 0);
  EXPECT_EQ(heap.allocate(0), kUnit);
  EXPECT_EQ(heap.allocate(0), std::nullopt);
}

TEST(HeapAllocator, RefusesSizesThatDoNotExist) {
  HeapAllocator heap(4 * kUnit);
  EXPECT_EQ(heap.allocate(~std::uint64_t{0}), std::nullopt);
  EXPECT_EQ(heap.allocate(4 * kUnit + 1), std::nullopt);
  EXPECT_EQ(heap.allocate(4 * kUnit), 0);
}

TEST(HeapAllocator, KnowsWhatItDidNotGive) {
  HeapAllocator heap(4 * kUnit);
  EXPECT_FALSE(heap.free(0));
  EXPECT_EQ(heap.allocate(2 * kUnit), 0);
  EXPECT_FALSE(heap.free(kUnit)) << "the middle of an allocation";
  EXPECT_TRUE(heap.free(0));
  EXPECT_FALSE(heap.free(0)) << "twice";
  EXPECT_EQ(heap.freeBytes(), 4 * kUnit);
}

// Every second of many places comes back: much is free, and nothing large.
TEST(HeapAllocator, FragmentsAndBecomesWholeAgain) {
  HeapAllocator heap(100 * kUnit);
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_EQ(heap.allocate(kUnit), i * kUnit);
  for (std::uint64_t i = 0; i < 100; i += 2) ASSERT_TRUE(heap.free(i * kUnit));
  EXPECT_EQ(heap.freeBytes(), 50 * kUnit);
  EXPECT_EQ(heap.largestFree(), kUnit);
  EXPECT_EQ(heap.allocate(2 * kUnit), std::nullopt);
  for (std::uint64_t i = 1; i < 100; i += 2) ASSERT_TRUE(heap.free(i * kUnit));
  EXPECT_EQ(heap.allocate(100 * kUnit), 0);
}

/// What the allocator should do, said as plainly as possible: who has which unit.
class Model {
 public:
  explicit Model(std::size_t units) : taken_(units) {}
  std::optional<std::uint64_t> allocate(std::uint64_t bytes) {
    const std::size_t need = std::max<std::size_t>(1, (bytes + kUnit - 1) / kUnit);
    for (std::size_t at = 0; at + need <= taken_.size(); ++at) {
      const auto begin = taken_.begin() + static_cast<std::ptrdiff_t>(at);
      const auto end = begin + static_cast<std::ptrdiff_t>(need);
      if (std::find(begin, end, true) != end) continue;
      std::fill(begin, end, true);
      return at * kUnit;
    }
    return std::nullopt;
  }
  void free(std::uint64_t offset, std::uint64_t bytes) {
    const std::size_t units = std::max<std::size_t>(1, (bytes + kUnit - 1) / kUnit);
    std::fill_n(taken_.begin() + static_cast<std::ptrdiff_t>(offset / kUnit), units, false);
  }
  std::uint64_t freeBytes() const {
    return static_cast<std::uint64_t>(std::count(taken_.begin(), taken_.end(), false)) * kUnit;
  }

 private:
  std::vector<bool> taken_;
};

TEST(HeapAllocator, AgreesWithTheModelAndWithItself) {
  constexpr std::size_t kUnits = 64;
  for (unsigned seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    HeapAllocator heap(kUnits * kUnit), twin(kUnits * kUnit);
    Model model(kUnits);
    std::map<std::uint64_t, std::uint64_t> live;
    for (int step = 0; step < 400; ++step) {
      if (live.empty() || random() % 5 < 3) {
        const std::uint64_t bytes = random() % (random() % 4 == 0 ? 20 * kUnit : 3 * kUnit);
        const auto offset = heap.allocate(bytes);
        ASSERT_EQ(offset, model.allocate(bytes));
        ASSERT_EQ(offset, twin.allocate(bytes));
        if (offset) live.emplace(*offset, bytes);
      } else {
        const auto victim =
            std::next(live.begin(), static_cast<std::ptrdiff_t>(random() % live.size()));
        ASSERT_TRUE(heap.free(victim->first));
        ASSERT_TRUE(twin.free(victim->first));
        model.free(victim->first, victim->second);
        live.erase(victim);
      }
      ASSERT_EQ(heap.freeBytes(), model.freeBytes());
    }
    for (const auto& [offset, bytes] : live) ASSERT_TRUE(heap.free(offset));
    ASSERT_EQ(heap.largestFree(), kUnits * kUnit);
  }
}

}  // namespace
}  // namespace lockstep::cuda
