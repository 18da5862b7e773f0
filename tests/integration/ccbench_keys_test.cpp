// Where the pre-shared key of a run is to be found while its ranks run: nowhere but in their
// memory.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cc_mode/keys/psk.hpp"
#include "integration/ccbench_process.hpp"

namespace lockstep {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
namespace fs = std::filesystem;

/// A key in a file of its own, gone after the test.
class KeyFile {
 public:
  KeyFile() {
    cc::writePskFile(path_);
    std::ifstream(path_) >> hex_;
    for (const std::byte b : cc::readPskFile(path_)) raw_ += static_cast<char>(b);
  }
  ~KeyFile() { fs::remove(path_); }
  KeyFile(const KeyFile&) = delete;
  KeyFile& operator=(const KeyFile&) = delete;

  const std::string& path() const { return path_; }
  const std::string& hex() const { return hex_; }
  /// The key itself, or its text.
  bool isIn(const std::string& text) const {
    std::string upper = hex_;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return std::ranges::any_of(std::array{raw_, hex_, upper}, [&](const std::string& form) {
      return text.find(form) != std::string::npos;
    });
  }

 private:
  std::string path_ = testing::TempDir() + std::to_string(getpid()) + ".key";
  std::string raw_, hex_;
};

/// What there is of a file; nothing of one that is not there or cannot be read.
std::string contentOf(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

/// A process and all that it started, that theirs started, ...
std::vector<pid_t> familyOf(pid_t pid) {
  std::vector<pid_t> all{pid};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string id = std::to_string(all[i]);
    std::istringstream children(contentOf("/proc/" + id + "/task/" + id + "/children"));
    for (pid_t child = 0; children >> child;) all.push_back(child);
  }
  return all;
}

/// Ranks that have their segments, and so got the key before.
std::size_t ranksAmong(const std::vector<pid_t>& pids) {
  return static_cast<std::size_t>(std::ranges::count_if(pids, [](pid_t pid) {
    return contentOf("/proc/" + std::to_string(pid) + "/maps").find("/memfd:lockstep") !=
           std::string::npos;
  }));
}

/// Arguments, environment, and every ordinary file that is open, shared memory too.
std::vector<std::string> placesOf(pid_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  std::vector<std::string> places{process + "/cmdline", process + "/environ"};
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(process + "/fd", gone)) {
    struct stat status {};
    if (::stat(entry.path().c_str(), &status) == 0 && S_ISREG(status.st_mode))
      places.push_back(entry.path());
  }
  return places;
}

/// Files that somebody could have left, small enough to be read.
std::vector<std::string> filesAbout() {
  std::vector<std::string> files;
  for (const fs::path& folder : {fs::path(testing::TempDir()), fs::path("/dev/shm"),
                                 fs::path("/run/lock"), fs::current_path()}) {
    std::error_code denied;
    for (fs::recursive_directory_iterator
             at(folder, fs::directory_options::skip_permission_denied, denied),
         end;
         !denied && at != end; at.increment(denied)) {
      if (at.depth() == 1) at.disable_recursion_pending();
      std::error_code gone;
      if (at->is_regular_file(gone) && at->file_size(gone) < (std::size_t{1} << 20) && !gone)
        files.push_back(at->path());
    }
  }
  return files;
}

std::vector<std::string> whereIsIt(const KeyFile& key, const std::vector<pid_t>& pids) {
  std::vector<std::string> places = filesAbout();
  for (const pid_t pid : pids) {
    const auto more = placesOf(pid);
    places.insert(places.end(), more.begin(), more.end());
  }
  std::erase_if(places, [&](const std::string& place) {
    std::error_code gone;
    return fs::equivalent(place, key.path(), gone) || !key.isIn(contentOf(place));
  });
  return places;
}

/// Starts ccbench with a key, and looks for it when all ranks have it.
void expectHidden(std::vector<std::string> arguments) {
  const KeyFile key;
  arguments.insert(arguments.end(), {"--psk", key.path(), "--ranks", "2", "--quiet"});
  CcbenchProcess run(arguments);
  std::vector<pid_t> family;
  for (const Deadline deadline = Deadline::in(std::chrono::seconds(60)); !deadline.passed();) {
    family = familyOf(run.pid());
    if (ranksAmong(family) >= 2 ||
        contentOf("/proc/" + std::to_string(run.pid()) + "/maps").empty())
      break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ASSERT_EQ(ranksAmong(family), 2u) << (run.wait(), run.err());
  EXPECT_THAT(whereIsIt(key, family), IsEmpty());
  EXPECT_EQ(contentOf(key.path()).size(), 65u) << "the key file was touched";
}

TEST(CcbenchKeys, RanksGetTheKeyPrivately) {
  SKIP_WITHOUT_CCBENCH();
  expectHidden({"--mode", "cc", "-b", "1K", "-e", "1M", "--time-budget", "60"});
}

TEST(CcbenchKeys, RanksUnderMpirunToo) {
  SKIP_WITHOUT_CCBENCH();
  if (access(LOCKSTEP_BINARY_DIR "/bin/lockstep_baseline_mpi.so", R_OK) != 0)
    GTEST_SKIP() << "built without MPI, or with a sanitizer";
  if (std::system("command -v mpirun >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "there is no mpirun here";
  expectHidden(
      {"--mode", "cc", "-b", "1K", "-e", "1M", "--time-budget", "60", "--baseline", "mpi"});
}

/// The search finds a key in arguments, in the environment and in a file.
TEST(CcbenchKeys, AKeyThatLiesAboutIsFound) {
  const KeyFile key;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd child(ends[0]);
  Fd parent(ends[1]);
  const std::string variable = "KEY=" + key.hex();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(child.get(), STDIN_FILENO);
    const char* argv[] = {"sh", "-c", "read line", key.hex().c_str(), nullptr};
    const char* environment[] = {variable.c_str(), nullptr};
    ::execve("/bin/sh", const_cast<char**>(argv), const_cast<char**>(environment));  // NOLINT
    ::_exit(127);
  }
  const std::string process = "/proc/" + std::to_string(pid);
  for (const Deadline deadline = Deadline::in(std::chrono::seconds(20));
       contentOf(process + "/cmdline").find("read line") == std::string::npos;) {
    ASSERT_FALSE(deadline.passed());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const std::string copy = key.path() + ".copy";
  std::ofstream(copy) << key.hex();
  EXPECT_THAT(whereIsIt(key, {pid}),
              testing::IsSupersetOf({process + "/cmdline", process + "/environ", copy}));
  fs::remove(copy);
  parent.reset();
  ::waitpid(pid, nullptr, 0);
}

TEST(CcbenchKeys, KeygenMakesWhatPskTakes) {
  SKIP_WITHOUT_CCBENCH();
  const std::string file = testing::TempDir() + std::to_string(getpid()) + ".made";
  const CcbenchRun made({"keygen", file});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("--psk " + file));
  EXPECT_EQ(made.out.find(contentOf(file).substr(0, 64)), std::string::npos) << "the key is shown";
  const CcbenchRun again({"keygen", file});
  EXPECT_EQ(again.status, 2);
  EXPECT_THAT(again.err, HasSubstr("never overwritten"));
  const CcbenchRun run(
      {"--mode", "cc", "--ranks", "2", "-b", "64", "-e", "64", "--check-only", "--psk", file});
  EXPECT_EQ(run.status, 0) << run.err;
  fs::permissions(file, fs::perms(0644));
  const CcbenchRun loose({"--psk", file});
  EXPECT_EQ(loose.status, 2);
  EXPECT_THAT(loose.err, HasSubstr("0644"));
  fs::remove(file);
}

}  // namespace
}  // namespace lockstep
