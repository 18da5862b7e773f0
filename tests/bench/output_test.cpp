#include "bench/output.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "bench/sizes.hpp"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

/// A folder that is gone after the test.
class OutputFile : public testing::Test {
 protected:
  void SetUp() override { fs::create_directory(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  std::string in(const std::string& name) const { return (folder_ / name).string(); }
  std::ptrdiff_t entries() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }
  static std::string contentOf(const std::string& path) {
    std::stringstream content;
    content << std::ifstream(path).rdbuf();
    return content.str();
  }

  const fs::path folder_ = fs::path(testing::TempDir()) / ("output." + std::to_string(getpid()));
};

TEST_F(OutputFile, IsReplacedWholeAndLeavesNothingElse) {
  requireWritable(in("out.json"));
  EXPECT_EQ(entries(), 0);
  writeFile(in("out.json"), "old");
  writeFile(in("out.json"), "new");
  EXPECT_EQ(contentOf(in("out.json")), "new");
  EXPECT_EQ(entries(), 1);
}

TEST_F(OutputFile, IsWrittenThroughLinks) {
  fs::create_directory(in("elsewhere"));
  fs::create_symlink("elsewhere/target", in("link"));  // to nothing yet
  fs::create_symlink(in("link"), in("second"));
  for (const char* content : {"old", "new"}) {
    requireWritable(in("second"));
    writeFile(in("second"), content);
    EXPECT_TRUE(fs::is_symlink(in("second")));
    EXPECT_TRUE(fs::is_symlink(in("link")));
    EXPECT_EQ(contentOf(in("elsewhere/target")), content);
  }
  EXPECT_EQ(entries(), 3);
}

TEST_F(OutputFile, RefusesWhatItCannotReplace) {
  fs::create_symlink("loop", in("loop"));
  fs::create_symlink("/dev/null", in("device"));
  for (const std::string& path :
       {folder_.string(), in("absent/out.json"), in("loop"), in("device")})
    EXPECT_THROW(requireWritable(path), UsageError) << path;
  EXPECT_EQ(entries(), 2);
}

TEST(Output, ComplaintsNameOptionsOfCcbench) {
  testing::internal::CaptureStderr();
  complain("rank 0 waited. Raise Options::timeout if that is no fault, not DeviceOptions::blocks");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "ccbench: rank 0 waited. Raise --timeout if that is no fault, not "
            "DeviceOptions::blocks\n");
}

}  // namespace
}  // namespace lockstep::bench
