// Communicators of processes that a launcher has started: under mpirun, and under whatever sets the
// variables that others set.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/clock.hpp"
#include "support/family.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// Nothing of what started this test reaches the ranks that it starts.
void forgetLaunchers() {
  for (const char* name :
       {"LOCKSTEP_RANK", "LOCKSTEP_WORLD_SIZE", "LOCKSTEP_JOB", "RANK", "WORLD_SIZE",
        "LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_SIZE", "PMIX_NAMESPACE", "PMI_RANK", "PMI_SIZE", "PMI_JOBID",
        "SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_STEP_NUM_NODES"})
    ::unsetenv(name);
}

void set(const char* name, const std::string& value) {
  ::setenv(name, value.c_str(), 1);
}

/// A job that no other test runs at the same time.
std::string ownJob() {
  static int jobs = 0;
  return fmt::format("{}-{}", ::getpid(), jobs++);
}

/// As `rank` of `worldSize` under Slurm.
void beUnderSlurm(const std::string& job, int rank, int worldSize) {
  forgetLaunchers();
  set("SLURM_PROCID", fmt::to_string(rank));
  set("SLURM_NTASKS", fmt::to_string(worldSize));
  set("SLURM_JOB_ID", job);
  set("SLURM_STEP_ID", "0");
}

void makeTwoAndUseThem(Mode mode) {
  auto first = Communicator::createFromEnvironment(optionsOf(mode));
  auto second = Communicator::createFromEnvironment(optionsOf(mode));
  for (Communicator* comm : {&first, &second, &first}) exercise(*comm, everyone(first.worldSize()));
}

TEST(Launchers, SlurmAndByHand) {
  for (const int world : {1, 2, 5})
    for (const bool slurm : {true, false}) {
      SCOPED_TRACE(fmt::format("{} ranks, {}", world, slurm ? "Slurm" : "by hand"));
      const std::string job = ownJob();
      EXPECT_EQ(failures(playRanks(Kind::processes, world,
                                   [&](int rank) {
                                     forgetLaunchers();
                                     if (slurm) beUnderSlurm(job, rank, world);
                                     if (!slurm) {
                                       set("LOCKSTEP_RANK", fmt::to_string(rank));
                                       set("LOCKSTEP_WORLD_SIZE", fmt::to_string(world));
                                       set("LOCKSTEP_JOB", job);
                                     }
                                     makeTwoAndUseThem(world == 5 ? Mode::cc : Mode::p2p);
                                   })),
                "");
    }
}

// PMI names no job: ranks have a parent in common.
TEST(Launchers, PmiRanksMeetByTheirParent) {
  EXPECT_EQ(failures(playRanks(Kind::processes, 2,
                               [&](int rank) {
                                 forgetLaunchers();
                                 set("PMI_RANK", fmt::to_string(rank));
                                 set("PMI_SIZE", "2");
                                 makeTwoAndUseThem(Mode::p2p);
                               })),
            "");
}

TEST(Launchers, AllAreToldWhoDidNotCome) {
  const std::string job = ownJob();
  const auto outcomes = playRanks(Kind::processes, 4, [&](int rank) {
    if (rank == 2) return;
    beUnderSlurm(job, rank, 4);
    Options options;
    options.timeout = 300ms;
    Communicator::createFromEnvironment(options);
  });
  for (const std::size_t r : {0U, 1U, 3U}) {
    EXPECT_EQ(outcomes[r].code, ErrorCode::timeout) << describe(outcomes);
    EXPECT_EQ(outcomes[r].blamed, 2) << describe(outcomes);
    EXPECT_THAT(outcomes[r].text, AllOf(HasSubstr("rank 2 of 4 has not come"), HasSubstr("Slurm")));
  }
}

TEST(Launchers, WithoutRankZeroTheOthersSaySo) {
  const std::string job = ownJob();
  const auto outcomes = playRanks(Kind::processes, 2, [&](int rank) {
    if (rank == 0) return;
    beUnderSlurm(job, rank, 2);
    Options options;
    options.timeout = 200ms;
    Communicator::createFromEnvironment(options);
  });
  EXPECT_EQ(outcomes[1].code, ErrorCode::timeout);
  EXPECT_THAT(outcomes[1].text, HasSubstr("rank 0 of 2 has not come"));
}

// Whoever plays a rank of a sealed job without its key is told, and disturbs nobody.
TEST(Launchers, RanksOfSealedJobsProveTheirKey) {
  const std::string job = ownJob();
  const Shared<std::atomic<bool>> refused;
  const auto outcomes = playRanks(Kind::processes, 3, [&](int i) {
    beUnderSlurm(job, i == 2 ? 1 : i, 2);
    Options options = optionsOf(Mode::cc);
    if (i == 1) options.psk.back() ^= std::byte{1};
    const auto until = Deadline::in(60s);
    while (i == 2 && !*refused && !until.passed()) std::this_thread::sleep_for(1ms);
    try {
      Communicator::createFromEnvironment(options).barrier();
    } catch (...) {
      *refused = true;
      throw;
    }
  });
  EXPECT_TRUE(outcomes[0].ok && outcomes[2].ok) << describe(outcomes);
  EXPECT_EQ(outcomes[1].code, ErrorCode::keyExchange) << describe(outcomes);
  EXPECT_THAT(outcomes[1].text, HasSubstr("another pre-shared key"));
}

TEST(Launchers, ErrorsSayWhatToDo) {
  const auto errorOf = [](auto prepare) {
    return playRanks(Kind::processes, 1, [&](int) {
      forgetLaunchers();
      prepare();
      Communicator::createFromEnvironment();
    })[0];
  };
  const Outcome nothing = errorOf([] {});
  EXPECT_EQ(nothing.code, ErrorCode::invalidArgument);
  EXPECT_THAT(nothing.text,
              AllOf(HasSubstr("mpirun"), HasSubstr("LOCKSTEP_RANK"), HasSubstr("UniqueId")));
  const Outcome hosts = errorOf([] {
    beUnderSlurm("7", 0, 2);
    set("SLURM_STEP_NUM_NODES", "2");
  });
  EXPECT_EQ(hosts.code, ErrorCode::unsupported);
  EXPECT_THAT(hosts.text, HasSubstr("one host"));
  const Outcome local = errorOf([] {
    set("OMPI_COMM_WORLD_RANK", "0");
    set("OMPI_COMM_WORLD_SIZE", "4");
    set("OMPI_COMM_WORLD_LOCAL_SIZE", "2");
  });
  EXPECT_EQ(local.code, ErrorCode::unsupported);
  const Outcome many = errorOf([] { beUnderSlurm("7", 0, 100); });
  EXPECT_EQ(many.code, ErrorCode::invalidArgument);
  EXPECT_THAT(many.text, HasSubstr("1 to 64"));
}

/// What mpirun starts, as this very program; it does nothing by itself.
TEST(LaunchersRank, DISABLED_OfMpirun) {
  for (const Mode mode : {Mode::p2p, Mode::ccMulticast}) makeTwoAndUseThem(mode);
}

TEST(Launchers, OpenMpi) {
  if (std::system("command -v mpirun >/dev/null") != 0) GTEST_SKIP() << "no mpirun";
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  for (const int world : {2, 3}) {
    const std::string command = fmt::format(
        "timeout 120 mpirun --allow-run-as-root --oversubscribe --bind-to none -np {} '{}' "
        "--gtest_color=no --gtest_also_run_disabled_tests --gtest_filter='LaunchersRank.*' 2>&1 "
        "</dev/null",
        world, self);
    FILE* const run = ::popen(command.c_str(), "r");
    ASSERT_NE(run, nullptr);
    std::string said;
    std::array<char, 512> part{};
    while (std::fgets(part.data(), part.size(), run) != nullptr) said += part.data();
    EXPECT_EQ(::pclose(run), 0) << said;
    int passed = 0;
    for (std::size_t at = 0; (at = said.find("PASSED  ] 1 test", at)) != said.npos; ++at) ++passed;
    EXPECT_EQ(passed, world) << said;
  }
}

}  // namespace
}  // namespace lockstep::testing
