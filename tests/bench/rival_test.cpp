#include "bench/rival.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

TEST(RivalModule, IsWhereItWasInstalledOrBesideTheProgram) {
  const fs::path prefix = testing::TempDir() + "rival." + std::to_string(getpid());
  EXPECT_EQ(rivalModulePath("mpi", prefix / "bin"), prefix / "bin" / "lockstep_baseline_mpi.so");
  fs::create_directories(prefix / "libexec" / "lockstep");
  const fs::path installed = prefix / "libexec" / "lockstep" / "lockstep_baseline_mpi.so";
  std::ofstream(installed) << "module";
  EXPECT_EQ(rivalModulePath("mpi", prefix / "bin"), installed);
  fs::remove_all(prefix);
}

}  // namespace
}  // namespace lockstep::bench
