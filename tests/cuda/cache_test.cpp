// Compiled kernels on disk: what is found, and what is not trusted.
#include "executor/cuda/cache.hpp"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda/temporary_folder.hpp"
#include "executor/cuda/cache_file.hpp"
#include "fuzz/cache_file_target.hpp"

namespace lockstep::cuda {
namespace {

namespace fs = std::filesystem;

Cubin someKernel(std::size_t bytes = 1000, int seed = 0) {
  std::mt19937 random(static_cast<unsigned>(seed));
  Cubin cubin{"kernel", "sm_90", {}, {40, std::nullopt, 0, 512}, "ptxas info : fine\n"};
  for (std::size_t i = 0; i < bytes; ++i) cubin.image.push_back(static_cast<std::byte>(random()));
  return cubin;
}

cc::Digest keyOf(int number) {
  return cc::digest(fmt::format("kernel {}", number));
}

std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void overwrite(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

class CacheTest : public ::testing::Test {
 protected:
  fs::path folder() const { return temporary_.path() / "cache"; }
  Cache cache(std::uint64_t mostBytes = Cache::kMostBytes) const {
    return Cache(folder(), mostBytes);
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(folder())) all.push_back(entry.path());
    return all;
  }
  /// The file of a kernel that is kept under keyOf(0).
  fs::path keepOne() const {
    cache().keep(keyOf(0), someKernel());
    EXPECT_EQ(files().size(), 1u);
    return files().at(0);
  }
  /// Nothing is found, and what is kept next is.
  void expectReplaced() const {
    EXPECT_FALSE(cache().find(keyOf(0)));
    cache().keep(keyOf(0), someKernel());
    EXPECT_EQ(cache().find(keyOf(0)), someKernel());
  }

  TemporaryFolder temporary_;
};

TEST_F(CacheTest, FindsWhatWasKeptAndNothingElse) {
  const Cache cache = this->cache();
  EXPECT_EQ(cache.whyNot(), "");
  EXPECT_FALSE(cache.find(keyOf(0)));
  cache.keep(keyOf(0), someKernel());
  EXPECT_EQ(cache.find(keyOf(0)), someKernel());
  EXPECT_FALSE(cache.find(keyOf(1)));
  EXPECT_EQ(this->cache().find(keyOf(0)), someKernel()) << "another process";
}

TEST_F(CacheTest, IsItsOwnersAlone) {
  const fs::path file = keepOne();
  struct stat status {};
  ASSERT_EQ(::stat(folder().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0700u);
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
}

TEST_F(CacheTest, AFileCutShortIsReplaced) {
  const fs::path file = keepOne();
  const std::string whole = contents(file);
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{7}, std::size_t{50}, whole.size() - 1}) {
    SCOPED_TRACE(bytes);
    overwrite(file, whole.substr(0, bytes));
    expectReplaced();
  }
}

TEST_F(CacheTest, AFileThatWasChangedIsReplaced) {
  const fs::path file = keepOne();
  const std::string whole = contents(file);
  for (std::size_t at = 0; at < whole.size(); at += at < 200 ? 1 : 97) {
    SCOPED_TRACE(at);
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    overwrite(file, changed);
    EXPECT_FALSE(cache().find(keyOf(0)));
  }
  overwrite(file, whole + '\0');
  expectReplaced();
}

TEST_F(CacheTest, AKernelUnderAnothersNameIsReplaced) {
  const fs::path file = keepOne();
  cache().keep(keyOf(1), someKernel(2000));
  for (const fs::path& other : files())
    if (other != file) fs::rename(other, file);
  expectReplaced();
}

TEST_F(CacheTest, AFileThatOthersMayWriteIsReplaced) {
  for (const mode_t mode : {0620u, 0602u, 0640u}) {
    SCOPED_TRACE(mode);
    ASSERT_EQ(::chmod(keepOne().c_str(), mode), 0);
    expectReplaced();
  }
}

TEST_F(CacheTest, AFileOfAnotherUserIsReplaced) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  ASSERT_EQ(::chown(keepOne().c_str(), 12345, 12345), 0);
  expectReplaced();
}

TEST_F(CacheTest, ASymbolicLinkIsReplacedNotFollowed) {
  const fs::path file = keepOne();
  const fs::path elsewhere = temporary_.path() / "elsewhere";
  fs::rename(file, elsewhere);
  fs::create_symlink(elsewhere, file);
  const std::string before = contents(elsewhere);
  expectReplaced();
  EXPECT_EQ(contents(elsewhere), before);
  EXPECT_FALSE(fs::is_symlink(file));
}

TEST_F(CacheTest, APipeIsNotWaitedFor) {
  const fs::path file = keepOne();
  fs::remove(file);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  expectReplaced();
}

TEST_F(CacheTest, AFolderInAFilesPlaceIsLeftAlone) {
  const fs::path file = keepOne();
  fs::remove(file);
  fs::create_directory(file);
  cache().keep(keyOf(0), someKernel());
  EXPECT_FALSE(cache().find(keyOf(0)));
  EXPECT_EQ(files(), std::vector{file}) << "what was written beside is gone";
}

/// Says why, and neither finds nor keeps nor throws.
void expectUnused(const Cache& cache, const std::string& why) {
  EXPECT_NE(cache.whyNot().find(why), std::string::npos) << cache.whyNot();
  cache.keep(keyOf(0), someKernel());
  EXPECT_FALSE(cache.find(keyOf(0)));
  cache.trim();
}

TEST_F(CacheTest, AFolderThatIsOpenToOthersIsNotUsed) {
  fs::create_directory(folder());
  for (const mode_t mode : {0770u, 0707u, 0755u, 01777u}) {
    SCOPED_TRACE(mode);
    ASSERT_EQ(::chmod(folder().c_str(), mode), 0);
    expectUnused(cache(), "chmod 700");
    EXPECT_TRUE(files().empty());
  }
}

TEST_F(CacheTest, AFolderOfAnotherUserIsNotUsed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives folders away";
  fs::create_directory(folder());
  ASSERT_EQ(::chmod(folder().c_str(), 0700), 0);
  ASSERT_EQ(::chown(folder().c_str(), 12345, 12345), 0);
  expectUnused(cache(), "belongs to user 12345");
}

TEST_F(CacheTest, WhatIsNoFolderIsNotUsed) {
  fs::create_directory(temporary_.path() / "real");
  ASSERT_EQ(::chmod((temporary_.path() / "real").c_str(), 0700), 0);
  fs::create_symlink(temporary_.path() / "real", folder());
  expectUnused(cache(), folder());
  fs::remove(folder());
  overwrite(folder(), "a file");
  expectUnused(cache(), folder());
  expectUnused(Cache(folder() / "below"), "below");
  expectUnused(Cache("/proc/lockstep"), "/proc/lockstep");
  expectUnused(Cache(""), "cannot be opened");
}

/// A variable of the environment, while this lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : Variable(name) {
    ::setenv(name, value.c_str(), 1);
  }
  explicit Variable(const char* name) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::unsetenv(name);
  }
  ~Variable() {
    if (before_)
      ::setenv(name_, before_->c_str(), 1);
    else
      ::unsetenv(name_);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

TEST_F(CacheTest, TheEnvironmentSaysWhere) {
  const Variable home("HOME", temporary_.path() / "home");
  const Variable caches("XDG_CACHE_HOME");
  const Variable chosen("LOCKSTEP_CACHE_DIR");
  EXPECT_EQ(Cache::fromEnvironment().whyNot(), "");
  EXPECT_TRUE(fs::is_directory(temporary_.path() / "home/.cache/lockstep"));
  {
    const Variable other("XDG_CACHE_HOME", temporary_.path() / "caches");
    EXPECT_EQ(Cache::fromEnvironment().whyNot(), "");
    EXPECT_TRUE(fs::is_directory(temporary_.path() / "caches/lockstep"));
    const Variable mine("LOCKSTEP_CACHE_DIR", temporary_.path() / "mine/of/kernels");
    EXPECT_EQ(Cache::fromEnvironment().whyNot(), "");
    EXPECT_TRUE(fs::is_directory(temporary_.path() / "mine/of/kernels"));
  }
  const Variable empty("LOCKSTEP_CACHE_DIR", "");
  expectUnused(Cache::fromEnvironment(), "LOCKSTEP_CACHE_DIR is empty");
}

TEST_F(CacheTest, AnEnvironmentWithoutAHomeMeansNone) {
  const Variable home("HOME"), caches("XDG_CACHE_HOME", "relative"), chosen("LOCKSTEP_CACHE_DIR");
  expectUnused(Cache::fromEnvironment(), "HOME");
}

/// As if it had been used that many seconds ago.
void age(const fs::path& file, int seconds) {
  const timespec then{::time(nullptr) - seconds, 0};
  const timespec times[] = {then, then};
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
}

TEST_F(CacheTest, DropsWhatWasNotUsedForLongest) {
  const std::uint64_t each = contents(keepOne()).size();
  const Cache small = cache(each * 3);
  for (int i = 0; i < 5; ++i) {
    small.keep(keyOf(i), someKernel());
    for (const fs::path& file : files())  // the newest last
      if (struct stat status{}; ::stat(file.c_str(), &status) == 0)
        age(file, static_cast<int>(::time(nullptr) - status.st_mtim.tv_sec) + 100);
  }
  EXPECT_TRUE(small.find(keyOf(1))) << "and so it is the newest";
  overwrite(folder() / "notes.txt", std::string(10 * each, 'x'));
  age(folder() / "notes.txt", 100000);
  small.trim();
  std::vector<int> left;
  for (int i = 0; i < 5; ++i)
    if (small.find(keyOf(i))) left.push_back(i);
  EXPECT_EQ(left, (std::vector{1, 3, 4}));
  EXPECT_TRUE(fs::exists(folder() / "notes.txt")) << "none of ours";
}

TEST_F(CacheTest, DropsWhatAWriterThatDiedLeftBehind) {
  const Cache cache = this->cache();
  const fs::path dead = folder() / (std::string(32, 'a') + ".new");
  const fs::path busy = folder() / (std::string(32, 'b') + ".new");
  overwrite(dead, "half");
  overwrite(busy, "half");
  age(dead, 4000);
  cache.trim();
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(busy));
}

/// Files end at that many bytes, while this lives: a disk that is full.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit small{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST_F(CacheTest, AFullDiskKeepsNothingAndLeavesNothingBehind) {
  const Cache cache = this->cache();
  {
    const SmallDisk disk(500);
    cache.keep(keyOf(0), someKernel());
  }
  EXPECT_TRUE(files().empty());
  EXPECT_FALSE(cache.find(keyOf(0)));
}

/// Keeps and finds a few kernels over and over. Exit status 0: whatever was found was whole.
[[noreturn]] void hammer(const Cache& cache, int seed) {
  std::minstd_rand random(static_cast<unsigned>(seed));
  for (int i = 0; i < 300; ++i) {
    const int which = static_cast<int>(random() % 3);
    const Cubin mine = someKernel(20000, which);
    if (random() % 2 == 0) cache.keep(keyOf(which), mine);
    if (const auto found = cache.find(keyOf(which)); found && *found != mine) ::_exit(1);
    if (random() % 8 == 0) cache.trim();
  }
  ::_exit(0);
}

TEST_F(CacheTest, ProcessesMayUseItAtOnce) {
  const Cache shared = cache(45000);  // two of the three
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) hammer(shared, i);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  for (const fs::path& file : files()) EXPECT_EQ(file.extension(), ".kernel");
}

TEST(CacheFile, ReadsBackWhatWasWritten) {
  const Cubin kernels[] = {someKernel(), {}, {"k", "compute_120", {}, {}, ""}};
  for (const Cubin& cubin : kernels)
    EXPECT_EQ(decodeCubin(keyOf(0), encodeCubin(keyOf(0), cubin)), cubin);
}

TEST(CacheFile, AnyBytesAreAKernelOrNothing) {
  const std::string sound = encodeCubin(keyOf(0), someKernel(64));
  const std::string rest = sound.substr(40);  // behind magic and digest
  ASSERT_EQ(withDigest(rest), sound);
  fuzz::cacheFile(sound);
  fuzz::cacheFile(rest);
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string changed = rest;
    for (int n = 0; n <= i % 3; ++n)
      changed[random() % changed.size()] = static_cast<char>(random());
    if (i % 4 == 0) changed.resize(random() % (changed.size() + 1));
    if (i % 5 == 0) changed.insert(random() % (changed.size() + 1), 8, '\xff');
    fuzz::cacheFile(changed);
  }
}

}  // namespace
}  // namespace lockstep::cuda
