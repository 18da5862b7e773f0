// ccbench tune, from tiny runs: the file it writes is used, and what ends it leaves nothing behind.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "integration/ccbench_process.hpp"

namespace lockstep {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

/// A folder that is gone after the test.
class Folder {
 public:
  Folder() { fs::create_directory(path_); }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return path_ / name; }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }

 private:
  fs::path path_ = testing::TempDir() + std::to_string(getpid()) + ".tune";
};

TEST(CcbenchTune, WritesAFileThatLaterRunsUse) {
  SKIP_WITHOUT_CCBENCH();
  const Folder folder;
  const std::string file = folder.file("tuning.json"), found = folder.file("found.json");
  for (const char* mode : {"p2p", "cc"}) {
    const CcbenchRun run({"tune",
                          "--mode",
                          mode,
                          "--op",
                          "allreduce,broadcast,barrier",
                          "--ranks",
                          "2",
                          "-b",
                          "64",
                          "-e",
                          "16K",
                          "-f",
                          "16",
                          "-n",
                          "6",
                          "--time-budget",
                          "2",
                          "--output",
                          file,
                          "--json",
                          found});
    ASSERT_EQ(run.status, 0) << run.err;
    EXPECT_THAT(run.out, HasSubstr("written to " + file));
    EXPECT_EQ(run.err, "");
    const json buckets = json::parse(std::ifstream(found)).at("tuned");
    EXPECT_EQ(buckets.size(), mode == std::string("p2p") ? 2u * 7u : 7u);
    for (const json& bucket : buckets) {
      EXPECT_EQ(bucket.at("wrong"), 0);
      EXPECT_GT(bucket.at("builtInUs"), 0.0);
      EXPECT_GE(bucket.at("measured"), bucket.at("op") == "allreduce" ? 3 : 1);
      EXPECT_GE(bucket.at("candidates"), bucket.at("measured").get<int>() - 1);
    }
  }
  const json tables = json::parse(std::ifstream(file)).at("tables");
  ASSERT_EQ(tables.size(), 1u);
  EXPECT_EQ(folder.files(), 2u);
  // Whatever was found is what runs.
  const CcbenchRun run({"--mode", "cc", "--op", "allreduce,broadcast", "--ranks", "2", "-b", "64",
                        "-e", "16K", "--check-only", "--tuning", file});
  EXPECT_EQ(run.status, 0) << run.err;
}

TEST(CcbenchTune, ExplainNamesTheRule) {
  SKIP_WITHOUT_CCBENCH();
  const Folder folder;
  const std::string file = folder.file("tuning.json");
  std::ofstream(file) << R"({"version": 2, "tables": [
    {"measured": "on a test", "rules": [{"op": "allreduce", "modes": ["cc"], "min_bytes": 1024,
      "max_bytes": 4096, "algorithm": "ring", "protocol": "simple"}]}]})";
  const CcbenchRun run(
      {"--explain", "--mode", "cc", "--ranks", "2", "-b", "256", "-e", "16K", "--tuning", file});
  ASSERT_EQ(run.status, 0) << run.err;
  for (const char* text : {"1 KiB to 4 KiB ring simple: rule 1 of", "on a test", "built-in rule",
                           "predicted", "nothing is run"})
    EXPECT_THAT(run.out, HasSubstr(text));
}

TEST(CcbenchTune, AForeignFileIsNotTouched) {
  SKIP_WITHOUT_CCBENCH();
  const Folder folder;
  const std::string file = folder.file("tuning.json");
  for (const char* text : {"something else", R"({"version": 1, "rules": []})"}) {
    std::ofstream(file) << text;
    const CcbenchRun run({"tune", "--output", file});
    EXPECT_EQ(run.status, 2);
    EXPECT_THAT(run.err, HasSubstr("--output " + file));
    std::string left;
    std::getline(std::ifstream(file), left);
    EXPECT_EQ(left, text);
  }
}

TEST(CcbenchTune, WhatIsForcedCannotBeTuned) {
  SKIP_WITHOUT_CCBENCH();
  const Folder folder;
  setenv("LOCKSTEP_ALGORITHM", "ring", 1);
  setenv("LOCKSTEP_TUNING_FILE", folder.file("t.json").c_str(), 1);  // to be written: no obstacle
  const CcbenchRun run({"tune", "--output", folder.file("t.json")});
  unsetenv("LOCKSTEP_ALGORITHM");
  const CcbenchRun good({"tune", "--op", "barrier", "--mode", "p2p", "--registered", "0", "-n", "3",
                         "--ranks", "2", "--output", folder.file("good.json")});
  unsetenv("LOCKSTEP_TUNING_FILE");
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("LOCKSTEP_ALGORITHM"));
  EXPECT_EQ(folder.files(), 1u);
}

TEST(CcbenchTune, AnInterruptLeavesNothing) {
  SKIP_WITHOUT_CCBENCH();
  const Folder folder;
  CcbenchProcess run({"tune", "--mode", "cc", "--ranks", "2", "--output", folder.file("t.json")});
  const auto ranks = run.children(2);
  ASSERT_EQ(ranks.size(), 2u);
  kill(run.pid(), SIGINT);
  EXPECT_EQ(run.wait(), 128 + SIGINT);
  EXPECT_EQ(folder.files(), 0u);
  for (const pid_t pid : ranks) EXPECT_NE(kill(pid, 0), 0);
}

}  // namespace
}  // namespace lockstep
