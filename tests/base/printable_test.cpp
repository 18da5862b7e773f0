#include "base/printable.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(Printable, LeavesTextAsItIs) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("mlx5_0, \u00e9\u4e2d\U0001f600"), "mlx5_0, \u00e9\u4e2d\U0001f600");
}

TEST(Printable, ShowsWhatTerminalsWouldObey) {
  EXPECT_EQ(printable("\x1b[2J"), "\ufffd[2J");
  EXPECT_EQ(printable("a\u009b2J\x7f\t\r\n"), "a\ufffd2J\ufffd\ufffd\ufffd\ufffd");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\ufffd");
  EXPECT_EQ(printable("\u202e\u2028\u2066"), "\ufffd\ufffd\ufffd");
}

TEST(Printable, ReplacesEachByteThatIsNoUtf8) {
  EXPECT_EQ(printable("\xff\xc3"), "\ufffd\ufffd");
  EXPECT_EQ(printable("\xc0\xaf"), "\ufffd\ufffd");            // a slash in two bytes
  EXPECT_EQ(printable("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");  // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80").size(), 4 * 3U);     // beyond the last
  EXPECT_EQ(printable("\xe2\x82"), "\ufffd\ufffd");            // cut
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(printable("\u00e9\u00e9\u00e9", 2), "\u00e9\u00e9\u2026");
  EXPECT_EQ(printable("\u00e9\u00e9", 2), "\u00e9\u00e9");
}

TEST(PrintableLines, KeepsLinesAndLength) {
  const std::string lines = std::string(1000, 'x') + "\n\ny\n";
  EXPECT_EQ(printableLines(lines), lines);
  EXPECT_EQ(printableLines("a\x1b\r\nb"), "a\ufffd\ufffd\nb");
}

}  // namespace
}  // namespace lockstep
