#include "bench/launched.hpp"

#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/sizes.hpp"

namespace lockstep::bench {
namespace {

using testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

std::string refusal(const Variables& variables) {
  try {
    requireStartedOnce([&](const char* name) -> const char* {
      const auto found = variables.find(name);
      return found == variables.end() ? nullptr : found->second.c_str();
    });
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Launched, SeveralBenchmarksAtOnceAreRefused) {
  EXPECT_EQ(refusal({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "3"}}),
            "started 3 times by Open MPI, but ccbench starts its own ranks: ccbench --ranks 3");
  const Variables step{{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}, {"SLURM_STEP_ID", "0"}};
  EXPECT_THAT(refusal(step), HasSubstr("2 times by Slurm"));
}

TEST(Launched, OneIsWelcome) {
  EXPECT_EQ(refusal({}), "accepted");
  EXPECT_EQ(refusal({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}}), "accepted");
  EXPECT_EQ(refusal({{"LOCKSTEP_RANK", "0"}}), "accepted");  // nobody's doing
}

}  // namespace
}  // namespace lockstep::bench
