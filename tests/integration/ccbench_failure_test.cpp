// ccbench when something is wrong: what it says, its exit status, and that nothing stays behind.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "integration/ccbench_process.hpp"

namespace lockstep {
namespace {

using testing::HasSubstr;

/// Long enough to be interrupted.
const std::vector<std::string> kLongRun{"--mode", "cc",      "-b", "1M", "-e",
                                        "1M",     "--ranks", "3",  "-n", "1000000"};

/// Gone, or a zombie that no one but init will collect.
bool isGone(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  if (!(status >> number >> name >> state)) return true;
  return state == "Z" || state == "X";
}

void expectAllGone(const std::vector<pid_t>& pids) {
  for (const pid_t pid : pids) {
    const Deadline deadline = Deadline::in(std::chrono::seconds(10));
    while (!isGone(pid) && !deadline.passed())
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_TRUE(isGone(pid)) << "process " << pid << " is still there";
  }
}

std::set<std::string> sharedMemoryFiles() {
  std::set<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", ignored))
    if (entry.path().filename().string().find("lockstep") != std::string::npos)
      names.insert(entry.path().filename().string());
  return names;
}

TEST(CcbenchFailure, BadInputSaysWhatIsAccepted) {
  SKIP_WITHOUT_CCBENCH();
  const std::string shortKey = testing::TempDir() + "short.psk." + std::to_string(getpid());
  const std::string badTable = testing::TempDir() + "bad.tuning." + std::to_string(getpid());
  const std::string pipe = testing::TempDir() + "pipe.tuning." + std::to_string(getpid());
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::ofstream(shortKey) << "c0ffee";
  std::filesystem::permissions(shortKey, std::filesystem::perms(0600));
  std::ofstream(badTable) << "{ not json";
  struct Case {
    std::vector<std::string> arguments;
    std::string says;
  };
  const Case cases[] = {
      {{"--mode", "fast"}, "p2p, multicast, cc, cc-multicast"},
      {{"--op", "sendreceive"}, "allreduce"},
      {{"-d", "f8"}, "bf16"},
      {{"-o", "xor"}, "sum"},
      {{"-b", "12parsecs"}, "not a size"},
      {{"-e", "100T"}, "1 TiB"},
      {{"-e", "1T"}, "lower it or --ranks"},
      {{"--ranks", "1000"}, "1 to 64"},
      {{"--algo", "telepathy"}, "two_shot"},
      {{"--algo", "bruck", "--op", "allreduce"}, "no algorithm 'bruck' for allreduce"},
      {{"--protocol", "telepathy"}, "simple"},
      {{"--cipher", "rot13"}, "openssl"},
      {{"--mode", "cc", "--protocol", "zero_copy"}, "zero_copy"},
      {{"--json", "/nonexistent/out.json"}, "/nonexistent/out.json"},
      {{"--json", "/tmp"}, "folder"},
      {{"--json", "/proc/out.json"}, "/proc/out.json"},
      {{"--psk", "/nonexistent.psk"}, "/nonexistent.psk"},
      {{"--psk", shortKey}, "32"},
      {{"--tuning", "/nonexistent.json"}, "ccbench: cannot read tuning file /nonexistent.json: No"},
      {{"--tuning", badTable}, "ccbench: tuning file " + badTable},
      {{"--tuning", pipe}, "regular file"},
      {{"--tuning", "/tmp"}, "regular file"},
      {{"--tuning", "/dev/zero"}, "regular file"},
      {{"--what"}, "--help"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::PrintToString(c.arguments));
    const CcbenchRun run(c.arguments);
    EXPECT_EQ(run.status, 2);
    EXPECT_THAT(run.err, HasSubstr(c.says));
    EXPECT_EQ(run.out, "");
  }
  std::filesystem::remove(shortKey);
  std::filesystem::remove(badTable);
  std::filesystem::remove(pipe);
}

TEST(CcbenchFailure, SignalsEndEverything) {
  SKIP_WITHOUT_CCBENCH();
  const auto before = sharedMemoryFiles();
  for (const int signal : {SIGINT, SIGTERM}) {
    SCOPED_TRACE(strsignal(signal));
    CcbenchProcess process(kLongRun);
    const std::vector<pid_t> ranks = process.children(3);
    ASSERT_EQ(ranks.size(), 3u);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    kill(process.pid(), signal);
    EXPECT_EQ(process.wait(), 128 + signal) << process.err();
    EXPECT_EQ(process.err(),
              signal == SIGINT ? "ccbench: interrupted (SIGINT)\n" : "ccbench: ended (SIGTERM)\n");
    expectAllGone(ranks);
  }
  EXPECT_EQ(sharedMemoryFiles(), before);
}

TEST(CcbenchFailure, KilledRankIsNamed) {
  SKIP_WITHOUT_CCBENCH();
  CcbenchProcess process(kLongRun);
  const std::vector<pid_t> ranks = process.children(3);
  ASSERT_EQ(ranks.size(), 3u);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  kill(ranks[1], SIGKILL);
  EXPECT_EQ(process.wait(), 1);
  EXPECT_THAT(process.err(), HasSubstr("rank 1 was killed by signal 9"));
  expectAllGone(ranks);
}

TEST(CcbenchFailure, KilledRankIsNamedBesideGlooToo) {
  SKIP_WITHOUT_CCBENCH();
  SKIP_WITHOUT_GLOO();
  std::vector<std::string> arguments = kLongRun;
  arguments.insert(arguments.end(), {"--baseline", "gloo"});
  CcbenchProcess process(arguments);
  const std::vector<pid_t> ranks = process.children(3);
  ASSERT_EQ(ranks.size(), 3u);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  kill(ranks[1], SIGKILL);
  EXPECT_EQ(process.wait(), 1);
  EXPECT_THAT(process.err(), testing::StartsWith("ccbench: rank 1 was killed by signal 9"));
  expectAllGone(ranks);
}

TEST(CcbenchFailure, RanksDieWithTheirParent) {
  SKIP_WITHOUT_CCBENCH();
  CcbenchProcess process(kLongRun);
  const std::vector<pid_t> ranks = process.children(3);
  ASSERT_EQ(ranks.size(), 3u);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  kill(process.pid(), SIGKILL);
  process.wait();
  expectAllGone(ranks);
}

TEST(CcbenchFailure, InterruptedRunLeavesNoReport) {
  SKIP_WITHOUT_CCBENCH();
  const std::filesystem::path folder = testing::TempDir() + "report." + std::to_string(getpid());
  std::filesystem::create_directory(folder);
  std::vector<std::string> arguments = kLongRun;
  arguments.insert(arguments.end(), {"--json", (folder / "out.json").string()});
  CcbenchProcess process(arguments);
  ASSERT_EQ(process.children(3).size(), 3u);
  kill(process.pid(), SIGINT);
  EXPECT_EQ(process.wait(), 130);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove_all(folder);
}

/// Results that nobody gets are a failure, whatever the run.
TEST(CcbenchFailure, LostOutputIsAFailure) {
  SKIP_WITHOUT_CCBENCH();
  const std::vector<std::string> run{"--mode", "p2p", "-e", "8", "--ranks", "2", "-n", "2"};
  for (const auto& arguments : {std::vector<std::string>{"--version"}, {"--help"}, run}) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    const CcbenchRun full(arguments, ">/dev/full"), closed(arguments, ">&-");
    EXPECT_EQ(full.status, 1);
    EXPECT_THAT(full.err, HasSubstr("cannot write the results to standard output: No space left"));
    EXPECT_EQ(closed.status, 1);
    EXPECT_THAT(closed.err, HasSubstr("cannot write the results to standard output: Bad file"));
  }
}

TEST(CcbenchFailure, LostComplaintsLeaveTheExitStatus) {
  SKIP_WITHOUT_CCBENCH();
  for (const char* redirection : {"2>/dev/full", "2>&-", "<&- >&- 2>&-"})
    EXPECT_EQ(CcbenchRun({"--mode", "fast"}, redirection).status, 2) << redirection;
  CcbenchProcess killed(kLongRun, "2>&-");
  const std::vector<pid_t> ranks = killed.children(3);
  ASSERT_EQ(ranks.size(), 3u);
  kill(ranks[0], SIGKILL);
  EXPECT_EQ(killed.wait(), 1);
}

/// A file must not be opened as standard output because that was free.
TEST(CcbenchFailure, ClosedStreamsAreNotTakenForFiles) {
  SKIP_WITHOUT_CCBENCH();
  const std::filesystem::path file = testing::TempDir() + "closed." + std::to_string(getpid());
  const CcbenchRun run({"--mode", "p2p", "-e", "8", "--ranks", "2", "-n", "2", "--json", file},
                       "<&- >&- 2>&-");
  EXPECT_EQ(run.status, 1);
  std::ifstream json(file);
  EXPECT_NO_THROW(EXPECT_EQ(nlohmann::json::parse(json).at("tool"), "ccbench"));
  std::filesystem::remove(file);
}

/// Neither the key nor the configuration is where other users can read it.
TEST(CcbenchFailure, SecretsAreNotOnTheCommandLine) {
  SKIP_WITHOUT_CCBENCH();
  CcbenchProcess process(kLongRun);
  const std::vector<pid_t> ranks = process.children(3);
  ASSERT_EQ(ranks.size(), 3u);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  for (const pid_t rank : ranks) {
    std::stringstream line;
    line << std::ifstream("/proc/" + std::to_string(rank) + "/cmdline").rdbuf();
    EXPECT_LT(line.str().size(), kCcbench.size() + 20);
  }
}

}  // namespace
}  // namespace lockstep
