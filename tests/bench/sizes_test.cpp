#include "bench/sizes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::bench {
namespace {

using testing::ElementsAre;

TEST(ParseSize, TakesUnitsOf1024) {
  const std::pair<const char*, std::size_t> good[] = {
      {"8", 8},         {"64B", 64},        {"1K", 1024},        {"64k", 65536},
      {"4KiB", 4096},   {"2KB", 2048},      {"64M", 64u << 20},  {"1MiB", 1u << 20},
      {"1G", 1u << 30}, {"1GiB", 1u << 30}, {"1T", kMaxMessage}, {"0", 0}};
  for (const auto& [text, bytes] : good) {
    SCOPED_TRACE(text);
    EXPECT_EQ(parseSize(text), bytes);
  }
}

TEST(ParseSize, RefusesAnythingElse) {
  for (const char* text : {"", "K", "-8", "8X", "8 K", "1.5M", "8KiBs", "0x10", "2T",
                           "17179869185G", "99999999999999999999", "8MM"}) {
    SCOPED_TRACE(text);
    EXPECT_THROW(parseSize(text), UsageError);
  }
}

TEST(ListSizes, MultipliesOrAdds) {
  EXPECT_THAT(listSizes({8, 64, 0, 2}), ElementsAre(8, 16, 32, 64));
  EXPECT_THAT(listSizes({8, 63, 0, 4}), ElementsAre(8, 32));
  EXPECT_THAT(listSizes({10, 40, 15, 2}), ElementsAre(10, 25, 40));
  EXPECT_THAT(listSizes({7, 7, 0, 2}), ElementsAre(7));
}

TEST(ListSizes, RefusesEmptyAndEndlessRanges) {
  EXPECT_THROW(listSizes({64, 8, 0, 2}), UsageError);
  EXPECT_THROW(listSizes({0, 8, 0, 2}), UsageError);
  EXPECT_THROW(listSizes({8, 64, 0, 1}), UsageError);
  EXPECT_THROW(listSizes({8, std::size_t{64} << 20, 1, 2}), UsageError);
}

TEST(FormatBytes, UsesTheLargestUnit) {
  EXPECT_EQ(formatBytes(0), "0 B");
  EXPECT_EQ(formatBytes(1023), "1023 B");
  EXPECT_EQ(formatBytes(1024), "1 KiB");
  EXPECT_EQ(formatBytes(1536), "1.5 KiB");
  EXPECT_EQ(formatBytes(64.0 * 1024 * 1024), "64 MiB");
}

}  // namespace
}  // namespace lockstep::bench
