// Pre-shared keys of ccbench: made once, read back, and refused where others could know them.
#include "bench/keygen.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/sizes.hpp"

namespace lockstep::bench {
namespace {

using testing::HasSubstr;

class Keygen : public testing::Test {
 protected:
  Keygen() {
    std::string name = (std::filesystem::temp_directory_path() / "ccbench-psk-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    path_ = (folder_ / "key").string();
  }
  ~Keygen() override { std::filesystem::remove_all(folder_); }

  static std::string refusal(const std::function<void()>& act) {
    try {
      act();
    } catch (const UsageError& error) {
      return error.what();
    }
    return "accepted";
  }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(Keygen, MakesAKeyThatPskTakes) {
  EXPECT_EQ(runKeygen({path_}), 0);
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  const auto key = readOrDrawPsk(path_);
  EXPECT_EQ(key.size(), 32u);
  EXPECT_EQ(readOrDrawPsk(path_), key);
  const auto other = (folder_ / "other").string();
  EXPECT_EQ(runKeygen({other}), 0);
  EXPECT_NE(readOrDrawPsk(other), key);
}

TEST_F(Keygen, NeverOverwrites) {
  std::ofstream(path_) << "mine";
  EXPECT_THAT(refusal([&] { runKeygen({path_}); }), HasSubstr("exists"));
  std::string text;
  std::ifstream(path_) >> text;
  EXPECT_EQ(text, "mine");
}

TEST_F(Keygen, SaysWhatIsWrong) {
  EXPECT_THAT(refusal([&] { runKeygen({path_, "two"}); }), HasSubstr("keygen --help"));
  EXPECT_THAT(refusal([&] { runKeygen({"--bits"}); }), HasSubstr("keygen --help"));
  EXPECT_THAT(refusal([&] { runKeygen({(folder_ / "no" / "key").string()}); }),
              HasSubstr("cannot create"));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(Keygen, KeysThatOthersCouldKnowAreRefused) {
  runKeygen({path_});
  for (const ::mode_t mode : {0640, 0604, 0660, 0644}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    EXPECT_THAT(refusal([&] { readOrDrawPsk(path_); }), HasSubstr("chmod 600")) << mode;
  }
  EXPECT_THAT(refusal([&] { readOrDrawPsk("/nonexistent.psk"); }), HasSubstr("/nonexistent.psk"));
}

TEST_F(Keygen, WithoutAFileEveryKeyIsFresh) {
  const auto key = readOrDrawPsk("");
  EXPECT_EQ(key.size(), 32u);
  EXPECT_NE(readOrDrawPsk(""), key);
}

}  // namespace
}  // namespace lockstep::bench
