// ccbench's tables and JSON, from tiny runs.
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "integration/ccbench_process.hpp"

namespace lockstep {
namespace {

using nlohmann::json;
using testing::HasSubstr;

/// A path that is gone after the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name)
      : path_(testing::TempDir() + std::to_string(getpid()) + "." + name) {}
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(CcbenchTable, DefaultModeShowsCcBesideP2p) {
  SKIP_WITHOUT_CCBENCH();
  const CcbenchRun run(
      {"--mode", "cc", "--op", "allreduce", "-b", "8", "-e", "4096", "--ranks", "2", "-n", "5"});
  ASSERT_EQ(run.status, 0) << run.err;
  for (const char* text : {"busbw", "#wrong", "cc against p2p", "streaming rates", "host, emulated",
                           "AES-256-GCM", "pre-shared key", "What cc costs here", "4 KiB"})
    EXPECT_THAT(run.out, HasSubstr(text));
  EXPECT_EQ(run.err, "");
}

TEST(CcbenchTable, ReproducibleModesAreShownBesideThemselves) {
  SKIP_WITHOUT_CCBENCH();
  const TemporaryFile file("reproducible.json");
  const CcbenchRun run({"--reproducible", "both", "-b", "64", "-e", "64", "--ranks", "2", "-n", "3",
                        "--json", file.path()});
  ASSERT_EQ(run.status, 0) << run.err;
  for (const char* text : {"p2p, reproducible against p2p", "cc, reproducible against cc",
                           "cc against p2p", "the same"})
    EXPECT_THAT(run.out, HasSubstr(text));
  const json report = json::parse(std::ifstream(file.path()));
  const json& series = report.at("runs")[0].at("rows")[0].at("series");
  ASSERT_EQ(series.size(), 4u);
  EXPECT_FALSE(series[1].at("derived").contains("vsOrdinary"));
  EXPECT_TRUE(series[3].at("derived").contains("vsOrdinary"));
}

TEST(CcbenchTable, QuietPrintsTablesOnly) {
  SKIP_WITHOUT_CCBENCH();
  const CcbenchRun run(
      {"--mode", "p2p", "-b", "8", "-e", "8", "--ranks", "2", "-n", "2", "--quiet"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("busbw"));
  EXPECT_THAT(run.out, testing::Not(HasSubstr("machine")));
}

TEST(CcbenchTable, JsonHasEveryModeTypeAndSize) {
  SKIP_WITHOUT_CCBENCH();
  const TemporaryFile file("ccbench.json");
  const CcbenchRun run({"--mode", "all", "-b", "64", "-e", "1024", "-f", "4", "--ranks", "3", "-n",
                        "3", "-d", "bf16,i32", "-o", "sum,max", "--json", file.path()});
  ASSERT_EQ(run.status, 0) << run.err;
  const json report = json::parse(std::ifstream(file.path()));
  EXPECT_EQ(report.at("schema"), 3);
  EXPECT_EQ(report.at("faults").size(), 0u);
  const json& result = report.at("runs")[0];
  ASSERT_EQ(result.at("contenders").size(), 4u);
  ASSERT_EQ(result.at("rows").size(), 2u * 2u * 3u);
  for (const json& row : result.at("rows"))
    for (std::size_t c = 0; c < 4; ++c) {
      const json& series = row.at("series")[c];
      const bool sealed = result.at("contenders")[c].at("sealed");
      SCOPED_TRACE(series.dump());
      EXPECT_EQ(series.at("wrong"), 0);
      EXPECT_EQ(series.at("samples").size(), 3u);
      EXPECT_GT(series.at("derived").at("timeUs"), 0.0);
      EXPECT_EQ(series.at("bytes").at("sealed") > 0.0, sealed);
      EXPECT_EQ(series.at("bytes").at("opened") > 0.0, sealed);
    }
}

TEST(CcbenchTable, EveryModeLooksWhetherRanksHaveTheirCores) {
  SKIP_WITHOUT_CCBENCH();
  for (const std::string mode : {"p2p", "cc"}) {
    const TemporaryFile file("share.json");
    const CcbenchRun run({"--mode", mode, "-b", "64", "-e", "64", "--ranks", "2", "-n", "3",
                          "--quiet", "--json", file.path()});
    ASSERT_EQ(run.status, 0) << run.err;
    const json result = json::parse(std::ifstream(file.path())).at("runs")[0];
    EXPECT_GT(result.value("coreShare", 0.0), 0.0) << mode;
    EXPECT_LE(result.value("coreShare", 2.0), 1.0) << mode;
  }
}

TEST(CcbenchTable, EveryOperationIsVerifiedInEveryMode) {
  SKIP_WITHOUT_CCBENCH();
  const TemporaryFile file("verified.json");
  for (const char* ranks : {"2", "3", "4"}) {
    SCOPED_TRACE(ranks);
    const CcbenchRun run({"--op", "all", "--check-only", "--mode", "all", "-b", "8", "-e", "64K",
                          "-r", "1", "--ranks", ranks, "--json", file.path()});
    ASSERT_EQ(run.status, 0) << run.err;
    EXPECT_THAT(run.out, HasSubstr("wrong elements"));
    const json report = json::parse(std::ifstream(file.path()));
    std::set<std::string> ops;
    for (const json& row : report.at("runs")[0].at("rows")) {
      ops.insert(row.at("op"));
      for (const json& series : row.at("series")) {
        EXPECT_EQ(series.at("wrong"), 0);
        EXPECT_TRUE(series.at("samples").empty());
      }
    }
    EXPECT_EQ(ops.size(), 11u);
  }
}

TEST(CcbenchTable, OperationsFollowEachOther) {
  SKIP_WITHOUT_CCBENCH();
  const CcbenchRun run({"--op", "allgather,reduce,barrier", "--mode", "cc", "-b", "64", "-e", "1K",
                        "-f", "16", "--ranks", "3", "-n", "3"});
  ASSERT_EQ(run.status, 0) << run.err;
  const std::size_t first = run.out.find("---- allgather ----"),
                    second = run.out.find("---- reduce ----"),
                    third = run.out.find("---- barrier ----");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_NE(third, std::string::npos);
  EXPECT_THAT(run.out, HasSubstr("cc: At 1 KiB it takes"));
  EXPECT_THAT(run.out, HasSubstr("cc: It takes"));
  EXPECT_THAT(run.out, HasSubstr("--op NAME"));
}

/// Neither the size of messages nor memory concerns it.
TEST(CcbenchTable, ABarrierHasNoSizes) {
  SKIP_WITHOUT_CCBENCH();
  const std::vector<std::string> barrier{"--op", "barrier", "--mode",       "p2p",
                                         "-e",   "1T",      "--ranks",      "2",
                                         "-n",   "3",       "--registered", "1"};
  const auto with = [&](const char* option) {
    std::vector<std::string> arguments = barrier;
    arguments.emplace_back(option);
    return arguments;
  };
  for (const auto& arguments : {barrier, with("--check-only"), with("--explain")}) {
    const CcbenchRun run(arguments);
    ASSERT_EQ(run.status, 0) << run.err;
    for (const char* absent : {"verified", "Verified", "buffers", "1 TiB"})
      EXPECT_THAT(run.out, testing::Not(HasSubstr(absent))) << arguments.back();
  }
}

/// By option or variable; in JSON too.
TEST(CcbenchTable, WhatIsForcedInVainIsSaid) {
  SKIP_WITHOUT_CCBENCH();
  const TemporaryFile file("forced.json");
  const CcbenchRun run({"--op", "allreduce,alltoall", "--algo", "bruck", "--mode", "p2p", "-e",
                        "64", "--ranks", "3", "-n", "2", "--quiet", "--json", file.path()});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("WARNING"));
  const json report = json::parse(std::ifstream(file.path()));
  const auto warnings = report.at("warnings").get<std::vector<std::string>>();
  // There is another where something else kept the cores busy.
  EXPECT_THAT(warnings, testing::Contains(HasSubstr("but allreduce")).Times(1));
  EXPECT_LE(warnings.size(), 2U);
}

TEST(CcbenchTable, RegisteredBuffersAndForcedChoices) {
  SKIP_WITHOUT_CCBENCH();
  const CcbenchRun run({"--mode", "p2p", "--registered", "1", "--algo", "two_shot", "--protocol",
                        "zero_copy", "-b", "1M", "-e", "1M", "--ranks", "2", "-n", "3"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("two_shot zero_copy"));
  EXPECT_THAT(run.out, HasSubstr("registered"));
}

TEST(CcbenchTable, ExplainRunsNothing) {
  SKIP_WITHOUT_CCBENCH();
  const TemporaryFile file("explain.json");
  const CcbenchRun run({"--explain", "--ranks", "2", "--mode", "cc", "--json", file.path()});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("cc\n    8 B to"));
  EXPECT_THAT(run.out, testing::Not(HasSubstr("busbw")));
  const json report = json::parse(std::ifstream(file.path()));
  const json& series = report.at("runs")[0].at("rows")[0].at("series")[1];
  EXPECT_TRUE(series.at("samples").empty());
  EXPECT_EQ(series.at("plan").at("protocol"), "ll");
}

TEST(CcbenchTable, InsecureKeysAreSaid) {
  SKIP_WITHOUT_CCBENCH();
  const std::vector<std::string> run{"--insecure-keys", "-e", "8", "--ranks", "2", "-n", "2"};
  const auto with = [&](const char* option) {
    std::vector<std::string> arguments = run;
    arguments.emplace_back(option);
    return arguments;
  };
  EXPECT_THAT(CcbenchRun(run).out, HasSubstr("unauthenticated"));
  for (const auto& arguments : {run, with("--quiet"), with("--explain")})
    EXPECT_THAT(CcbenchRun(arguments).out, HasSubstr("WARNING")) << arguments.back();
}

TEST(CcbenchTable, VersionAndSettings) {
  SKIP_WITHOUT_CCBENCH();
  EXPECT_THAT(CcbenchRun({"--version"}).out, HasSubstr("ccbench "));
  EXPECT_THAT(CcbenchRun({"--settings"}).out, HasSubstr("meaning"));
  EXPECT_THAT(CcbenchRun({"--help"}).out, HasSubstr("--time-budget"));
}

TEST(CcbenchTable, BesideMpi) {
  SKIP_WITHOUT_CCBENCH();
  if (std::system("command -v mpirun >/dev/null") != 0) GTEST_SKIP() << "no mpirun";
  if (access(LOCKSTEP_BINARY_DIR "/bin/lockstep_baseline_mpi.so", R_OK) != 0)
    GTEST_SKIP() << "built without MPI";
  const CcbenchRun run({"--mode", "cc", "--baseline", "mpi", "-b", "8", "-e", "1024", "-f", "128",
                        "--ranks", "2", "-n", "3"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("mpi default"));
  EXPECT_THAT(run.out, HasSubstr("mpi ucx-sysv"));
  EXPECT_THAT(run.out, HasSubstr("Open MPI"));
  const CcbenchRun all({"--op", "all", "--check-only", "--mode", "p2p", "--baseline", "mpi", "-b",
                        "8", "-e", "1024", "-r", "2", "-d", "f16,f32", "--ranks", "3"});
  EXPECT_EQ(all.status, 0) << all.err;
}

TEST(CcbenchTable, BesideGloo) {
  SKIP_WITHOUT_CCBENCH();
  SKIP_WITHOUT_GLOO();
  const CcbenchRun run({"--mode", "cc", "--op", "allreduce,reducescatter", "--baseline", "gloo",
                        "-b", "8", "-e", "1024", "-f", "128", "--ranks", "2", "-n", "3"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("Lockstep beside Gloo"));
  EXPECT_THAT(run.out, HasSubstr("run beside gloo"));
  for (const char* ranks : {"1", "2", "3"}) {
    const CcbenchRun all({"--op", "all", "--check-only", "--mode", "p2p", "--baseline", "gloo",
                          "-b", "8", "-e", "64K", "-f", "8", "-d", "f16,bf16,f32,i8", "-o",
                          "sum,min,avg", "--ranks", ranks});
    EXPECT_EQ(all.status, 0) << ranks << ": " << all.err;
  }
}

}  // namespace
}  // namespace lockstep
