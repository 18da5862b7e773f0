#include "cuda/fresh_process.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lockstep::testing {
namespace {

constexpr const char* kName = "LOCKSTEP_TEST_FRESH";
constexpr unsigned kMostSeconds = 120;

std::vector<std::string> mergedWith(const Environment& added) {
  std::vector<std::string> all;
  for (char** entry = ::environ; *entry != nullptr; ++entry)
    if (!std::string_view(*entry).starts_with("LOCKSTEP_FAKE_")) all.emplace_back(*entry);
  for (const auto& [name, value] : added) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

/// Runs this program with what it says in a file.
int run(std::vector<std::string> arguments, std::vector<std::string> environment,
        const std::string& output) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child = 0;
  const int error = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr,
                                  pointers(arguments).data(), pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return -error;
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

bool fresh(const std::string& name, const Environment& environment, int status) {
  if (const char* mine = std::getenv(kName)) {
    if (name != mine) return false;
    ::alarm(kMostSeconds);
    return true;
  }
  const auto& test = *::testing::UnitTest::GetInstance()->current_test_info();
  const std::string full = std::string(test.test_suite_name()) + "." + test.name();
  const std::string output = ::testing::TempDir() + "fresh." + std::to_string(::getpid());
  Environment all{{kName, name}, {"LOCKSTEP_FAKE_STRICT", "1"}};
  all.insert(all.end(), environment.begin(), environment.end());
  const int ended = run({full, "--gtest_filter=" + full}, mergedWith(all), output);
  const std::string said = contents(output);
  ::unlink(output.c_str());
  EXPECT_EQ(ended, status) << "'" << name << "' said:\n" << said;
  return false;
}

}  // namespace lockstep::testing
