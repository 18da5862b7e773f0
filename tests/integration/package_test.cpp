// The library installed, and a program built on it, by CMake's package and by pkg-config.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <lockstep/lockstep.hpp>

namespace lockstep {
namespace {

struct Ran {
  bool ok = false;
  std::string output;  ///< of both streams
};

Ran shell(const std::string& command) {
  FILE* pipe = ::popen(("exec 2>&1; " + command).c_str(), "r");
  if (pipe == nullptr) return {};
  Ran ran;
  char part[4096];
  while (const std::size_t n = std::fread(part, 1, sizeof part, pipe)) ran.output.append(part, n);
  ran.ok = ::pclose(pipe) == 0;
  return ran;
}

/// Installed once, below the build tree and away from where it is built.
class Package : public ::testing::Test {
 protected:
  static inline const std::string kFolder = LOCKSTEP_BINARY_DIR "/package_test";
  static inline const std::string kPrefix = kFolder + "/prefix";
  static inline const std::string kConsumer = LOCKSTEP_SOURCE_DIR "/tests/integration/consumer";

  void SetUp() override {
    if (!std::string(LOCKSTEP_SANITIZERS).empty())
      GTEST_SKIP() << "a program without sanitizers cannot load a library with them";
    std::filesystem::remove_all(kFolder);
    // To one place, and then moved to another: nothing in it may name its prefix.
    const std::string first = kFolder + "/first";
    const Ran installed = shell(fmt::format("{} --install '{}' --component library --prefix '{}'",
                                            LOCKSTEP_CMAKE, LOCKSTEP_BINARY_DIR, first));
    ASSERT_TRUE(installed.ok) << installed.output;
    std::filesystem::rename(first, kPrefix);
  }

  void expectRuns(const std::string& program) {
    const Ran ran = shell("'" + program + "'");
    EXPECT_TRUE(ran.ok);
    EXPECT_EQ(ran.output, fmt::format("Lockstep {}: 11 22\n", version()));
  }
};

TEST_F(Package, IsFoundByCMake) {
  const std::string build = kFolder + "/build";
  const Ran configured = shell(
      fmt::format("{} -S '{}' -B '{}' -DCMAKE_PREFIX_PATH='{}' -DCMAKE_CXX_COMPILER='{}' && {} "
                  "--build '{}'",
                  LOCKSTEP_CMAKE, kConsumer, build, kPrefix, LOCKSTEP_CXX, LOCKSTEP_CMAKE, build));
  ASSERT_TRUE(configured.ok) << configured.output;
  expectRuns(build + "/consumer");
}

TEST_F(Package, IsFoundByPkgConfig) {
  if (!shell("command -v pkg-config").ok) GTEST_SKIP() << "there is no pkg-config";
  const std::string program = kFolder + "/consumer";
  const Ran built = shell(fmt::format(
      "export PKG_CONFIG_PATH='{}/lib/pkgconfig'; '{}' -std=c++20 -pthread '{}/main.cpp' -o '{}' "
      "$(pkg-config --cflags --libs 'lockstep >= 0.1') "
      "-Wl,-rpath,$(pkg-config --variable=libdir lockstep)",
      kPrefix, LOCKSTEP_CXX, kConsumer, program));
  ASSERT_TRUE(built.ok) << built.output;
  expectRuns(program);
}

}  // namespace
}  // namespace lockstep
