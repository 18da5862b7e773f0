// Pre-shared keys in files.
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cc_mode/keys/psk.hpp"
#include <lockstep/error.hpp>

namespace {

/// What fsync was asked for in this program, in order; and what it answers.
std::vector<::ino_t> flushed;
int fsyncError = 0;

}  // namespace

extern "C" int fsync(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) == 0) flushed.push_back(status.st_ino);
  errno = fsyncError;
  return fsyncError == 0 ? 0 : -1;
}

namespace lockstep::test {
namespace {

using testing::HasSubstr;

class PskFile : public testing::Test {
 protected:
  PskFile() {
    std::string name = (std::filesystem::temp_directory_path() / "lockstep-psk-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    path_ = (folder_ / "key").string();
  }
  ~PskFile() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& text, ::mode_t mode = 0600) {
    std::ofstream(path_, std::ios::trunc) << text;
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
  }
  std::string refusal() {
    try {
      cc::readPskFile(path_);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalidArgument);
      return e.what();
    }
    ADD_FAILURE() << "the file was accepted";
    return {};
  }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(PskFile, FreshKeysDiffer) {
  std::set<std::vector<std::byte>> keys;
  for (int i = 0; i < 10; ++i) keys.insert(cc::freshPsk());
  EXPECT_EQ(keys.size(), 10u);
  EXPECT_EQ(keys.begin()->size(), 32u);
}

::ino_t inodeOf(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_ino;
}

TEST_F(PskFile, IsOnItsDiskWithItsNameWhenItCountsAsWritten) {
  flushed.clear();
  cc::writePskFile(path_);
  EXPECT_EQ(flushed, (std::vector{inodeOf(path_), inodeOf(folder_)}));
  flushed.clear();
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  cc::writePskFile("beside");
  std::filesystem::current_path(before);
  EXPECT_EQ(flushed, (std::vector{inodeOf(folder_ / "beside"), inodeOf(folder_)}));
}

TEST_F(PskFile, ThatDoesNotReachItsDiskIsNone) {
  fsyncError = EIO;
  EXPECT_THROW(cc::writePskFile(path_), Error);
  EXPECT_FALSE(std::filesystem::exists(path_));
  fsyncError = EINVAL;  // a file system that cannot be told
  cc::writePskFile(path_);
  fsyncError = 0;
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(PskFile, WrittenFileReadsBackAndIsTheOwnersOnly) {
  cc::writePskFile(path_);
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  EXPECT_EQ(status.st_size, 65);
  const auto key = cc::readPskFile(path_);
  EXPECT_EQ(key.size(), 32u);
  EXPECT_EQ(cc::readPskFile(path_), key);
}

TEST_F(PskFile, NeverOverwrites) {
  write("mine");
  EXPECT_THROW(cc::writePskFile(path_), Error);
  std::string text;
  std::ifstream(path_) >> text;
  EXPECT_EQ(text, "mine");
}

TEST_F(PskFile, TextIsDecodedAsWritten) {
  write("000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1FfF\r\n \n");
  const auto key = cc::readPskFile(path_);
  ASSERT_EQ(key.size(), 33u);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(key[i], static_cast<std::byte>(i));
  EXPECT_EQ(key[32], std::byte{0xff});
}

TEST_F(PskFile, LooserModesAreRefused) {
  const std::string text(64, 'a');
  for (const ::mode_t mode : {0640, 0604, 0620, 0602, 0610, 0601, 0666}) {
    SCOPED_TRACE(mode);
    write(text, mode);
    EXPECT_THAT(refusal(), HasSubstr("chmod 600"));
  }
  write(text, 0400);
  EXPECT_NO_THROW(cc::readPskFile(path_));
}

TEST_F(PskFile, OtherContentIsRefused) {
  write("");
  EXPECT_THAT(refusal(), HasSubstr("0 bytes of key"));
  write(std::string(62, 'a'));
  EXPECT_THAT(refusal(), HasSubstr("31 bytes of key"));
  write(std::string(65, 'a'));
  EXPECT_THAT(refusal(), HasSubstr("two digits per byte"));
  write(std::string(2 * 1024 + 2, 'a'));
  EXPECT_THAT(refusal(), HasSubstr("at most 1024"));
  write(std::string(2 * 1024, 'a') + std::string(100, ' ') + "aa");
  EXPECT_THAT(refusal(), HasSubstr("at most 1024"));
  write(std::string(40, 'a') + "xy" + std::string(40, 'a'));
  EXPECT_THAT(refusal(), HasSubstr("at character 41"));
}

TEST_F(PskFile, FilesOfOtherUsersAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  write(std::string(64, 'a'));
  ASSERT_EQ(::chown(path_.c_str(), 65534, 65534), 0);
  EXPECT_THAT(refusal(), HasSubstr("belongs to user 65534"));
  ASSERT_EQ(::chown(path_.c_str(), 0, 65534), 0);
  EXPECT_NO_THROW(cc::readPskFile(path_));
}

/// Who can change a link chooses the key, whoever the file at its end belongs to.
TEST_F(PskFile, LinksAreRefused) {
  const std::string target = (folder_ / "target").string();
  write(std::string(64, 'a'));
  std::filesystem::rename(path_, target);
  std::filesystem::create_symlink(target, path_);
  EXPECT_NO_THROW(cc::readPskFile(target));
  EXPECT_THAT(refusal(), HasSubstr("symbolic link"));
  EXPECT_THROW(cc::writePskFile(path_), Error);
  std::filesystem::remove(target);  // dangling: O_EXCL does not write through it either
  EXPECT_THROW(cc::writePskFile(path_), Error);
  EXPECT_FALSE(std::filesystem::exists(target));
}

/// None of them is waited for.
TEST_F(PskFile, WhatIsNotAnOrdinaryFileIsRefused) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(refusal(), HasSubstr("not an ordinary file"));
  for (const char* other : {"/dev/zero", "/dev/tty", "/tmp"}) {
    path_ = other;
    EXPECT_THROW(cc::readPskFile(path_), Error) << other;
  }
}

/// Whatever the umask says, at most the owner.
TEST_F(PskFile, TheModeDoesNotDependOnTheUmask) {
  const ::mode_t usual = ::umask(0);
  cc::writePskFile(path_);
  ::umask(usual);
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
}

TEST_F(PskFile, WhatIsNoFileIsAnError) {
  EXPECT_THROW(cc::readPskFile(path_), Error);
  EXPECT_THROW(cc::readPskFile(folder_.string()), Error);
  EXPECT_THROW(cc::writePskFile((folder_ / "no" / "key").string()), Error);
}

}  // namespace
}  // namespace lockstep::test
