// Which rank an environment makes of a process.
#include "bootstrap/launch.hpp"

#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lockstep/error.hpp>

namespace lockstep::launch {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

std::optional<Place> detectIn(const Variables& variables) {
  return detect([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string refusal(const Variables& variables) {
  try {
    detectIn(variables);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    return error.what();
  }
  return "accepted";
}

const Variables kByHand{
    {"LOCKSTEP_RANK", "1"}, {"LOCKSTEP_WORLD_SIZE", "3"}, {"LOCKSTEP_JOB", "mine"}};
const Variables kTorchrun{{"RANK", "2"},
                          {"WORLD_SIZE", "4"},
                          {"LOCAL_WORLD_SIZE", "4"},
                          {"MASTER_ADDR", "localhost"},
                          {"MASTER_PORT", "29500"},
                          {"TORCHELASTIC_RUN_ID", "none"},
                          {"TORCHELASTIC_RESTART_COUNT", "0"}};
const Variables kOpenMpi{{"OMPI_COMM_WORLD_RANK", "3"},
                         {"OMPI_COMM_WORLD_SIZE", "5"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "5"},
                         {"PMIX_NAMESPACE", "1234567"},
                         {"OMPI_MCA_ess_base_jobid", "89"}};
const Variables kPmi{{"PMI_RANK", "4"}, {"PMI_SIZE", "6"}, {"MPI_LOCALNRANKS", "6"}};
const Variables kSlurm{{"SLURM_PROCID", "5"},
                       {"SLURM_NTASKS", "7"},
                       {"SLURM_JOB_ID", "77"},
                       {"SLURM_STEP_ID", "0"},
                       {"SLURM_STEP_NUM_NODES", "1"}};

void expectPlace(const Variables& variables, const std::string& launcher, int rank, int worldSize,
                 const std::string& job) {
  const auto place = detectIn(variables);
  ASSERT_TRUE(place) << launcher;
  EXPECT_EQ(place->launcher, launcher);
  EXPECT_EQ(place->rank, rank);
  EXPECT_EQ(place->worldSize, worldSize);
  EXPECT_EQ(place->job, job);
}

TEST(Launch, KnowsItsLaunchers) {
  expectPlace(kByHand, "hand", 1, 3, "mine");
  expectPlace(kTorchrun, "torchrun", 2, 4, "none.localhost.29500.0");
  expectPlace(kOpenMpi, "Open MPI", 3, 5, "1234567.89");
  expectPlace(kPmi, "PMI", 4, 6, "");
  expectPlace(kSlurm, "Slurm", 5, 7, "77.0");
  EXPECT_EQ(detectIn(kOpenMpi)->localSize, 5);
  EXPECT_EQ(detectIn(kSlurm)->hosts, 1);
  EXPECT_EQ(detectIn(kSlurm)->localSize, std::nullopt);
}

TEST(Launch, TakesTheInnermost) {
  Variables all;
  const Variables* order[] = {&kSlurm, &kPmi, &kOpenMpi, &kTorchrun, &kByHand};
  for (const Variables* variables : order) {
    all.insert(variables->begin(), variables->end());
    EXPECT_EQ(detectIn(all)->launcher, detectIn(*variables)->launcher);
  }
}

TEST(Launch, KnowsNothingOfOthers) {
  EXPECT_FALSE(detectIn({}));
  EXPECT_FALSE(detectIn({{"RANK", "0"}, {"WORLD_SIZE", "2"}}));
  EXPECT_FALSE(detectIn({{"SLURM_PROCID", "0"}, {"SLURM_JOB_ID", "7"}}));
  // The script of a batch job, of which there is one, whatever its tasks.
  EXPECT_FALSE(detectIn({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_JOB_ID", "7"}}));
  EXPECT_FALSE(detectIn({{"OMPI_COMM_WORLD_SIZE", "2"}}));
  EXPECT_FALSE(detectIn({{"PMI_RANK", ""}, {"PMI_SIZE", ""}}));
}

TEST(Launch, AJobMayBeNamedByHand) {
  for (const Variables& variables : {kTorchrun, kOpenMpi, kPmi, kSlurm}) {
    Variables named = variables;
    named["LOCKSTEP_JOB"] = "this";
    EXPECT_EQ(detectIn(named)->job, "this");
  }
}

TEST(Launch, OneRankByHandNeedsNoJob) {
  expectPlace({{"LOCKSTEP_RANK", "0"}, {"LOCKSTEP_WORLD_SIZE", "1"}}, "hand", 0, 1, "");
}

TEST(Launch, NamesWhatMakesNoSense) {
  for (const std::string value : {"x", "-1", "1x", " 1", "99999999999", "1.5"}) {
    SCOPED_TRACE(value);
    for (const auto& [variable, good] :
         {std::pair{"LOCKSTEP_RANK", kByHand}, std::pair{"WORLD_SIZE", kTorchrun},
          std::pair{"OMPI_COMM_WORLD_LOCAL_SIZE", kOpenMpi}, std::pair{"PMI_SIZE", kPmi},
          std::pair{"SLURM_PROCID", kSlurm}, std::pair{"SLURM_STEP_NUM_NODES", kSlurm}}) {
      Variables bad = good;
      bad[variable] = value;
      EXPECT_THAT(refusal(bad), AllOf(HasSubstr(variable), HasSubstr("'" + value + "'")));
    }
  }
  EXPECT_THAT(refusal({{"PMI_RANK", "0"}, {"PMI_SIZE", "0"}}), HasSubstr("PMI_SIZE is '0'"));
  EXPECT_THAT(refusal({{"SLURM_PROCID", "2"}, {"SLURM_NTASKS", "2"}, {"SLURM_STEP_ID", "0"}}),
              AllOf(HasSubstr("SLURM_PROCID is '2'"), HasSubstr("SLURM_NTASKS is '2'")));
}

TEST(Launch, SaysWhatIsMissingByHand) {
  EXPECT_THAT(refusal({{"LOCKSTEP_RANK", "0"}}), HasSubstr("LOCKSTEP_WORLD_SIZE is not"));
  EXPECT_THAT(refusal({{"LOCKSTEP_WORLD_SIZE", "2"}}), HasSubstr("LOCKSTEP_RANK is not"));
  EXPECT_THAT(refusal({{"LOCKSTEP_RANK", "0"}, {"LOCKSTEP_WORLD_SIZE", "2"}}),
              HasSubstr("LOCKSTEP_JOB is not"));
}

}  // namespace
}  // namespace lockstep::launch
