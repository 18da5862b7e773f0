#include "base/cuda/library.hpp"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/cuda/driver.hpp"
#include "base/cuda/nvrtc.hpp"
#include <lockstep/error.hpp>

namespace lockstep::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kVariable = "LOCKSTEP_LIBRARY_TEST";

class CudaLibrary : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(text_) << "This is a text, and long enough to have room for the header of an "
                            "ELF file, had it been one.\n";
  }
  void TearDown() override {
    ::unsetenv(kVariable);
    std::filesystem::remove(text_);
  }

  static Library open(const std::vector<std::string>& files) {
    return Library({.variable = kVariable,
                    .files = files,
                    .what = "test driver",
                    .advice = "install the package test"});
  }

  const std::string text_ = (std::filesystem::temp_directory_path() /
                             ("lockstep-library-test-" + std::to_string(::getpid()) + ".so"))
                                .string();
};

TEST_F(CudaLibrary, FirstOneThatLoadsIsTaken) {
  const Library library = open({"libnot_there.so", text_, "libm.so.6", "libc.so.6"});
  EXPECT_EQ(library.whyNot(), "");
  EXPECT_EQ(library.file(), "libm.so.6");
  double (*cosine)(double) = nullptr;
  ASSERT_TRUE(library.find("cos", cosine));
  EXPECT_EQ(cosine(0), 1);
}

TEST_F(CudaLibrary, MissingSaysWhatToInstallAndWhichVariableNamesAnother) {
  const Library library = open({"libnot_there.so.1", "libnot_there.so"});
  EXPECT_EQ(library.whyNot(),
            "there is no test driver (libnot_there.so.1, libnot_there.so cannot be found); install "
            "the package test, or name the file in LOCKSTEP_LIBRARY_TEST");
  EXPECT_EQ(library.find("cos"), nullptr);
}

TEST_F(CudaLibrary, WrongFileSaysWhatTheLoaderSays) {
  EXPECT_THAT(open({"libnot_there.so", text_}).whyNot(),
              AllOf(StartsWith(text_ + " cannot be loaded: "), HasSubstr("ELF")));
}

TEST_F(CudaLibrary, VariableNamesTheOnlyFile) {
  ::setenv(kVariable, "libm.so.6", 1);
  EXPECT_EQ(open({"libc.so.6"}).file(), "libm.so.6");
  ::setenv(kVariable, "/not/there.so", 1);
  EXPECT_EQ(open({"libm.so.6"}).whyNot(),
            "/not/there.so is not there (LOCKSTEP_LIBRARY_TEST names it)");
  ::setenv(kVariable, text_.c_str(), 1);
  EXPECT_THAT(open({"libm.so.6"}).whyNot(), HasSubstr(" (LOCKSTEP_LIBRARY_TEST names it)"));
  ::setenv(kVariable, "", 1);
  EXPECT_EQ(open({"libc.so.6"}).file(), "libc.so.6");
}

TEST_F(CudaLibrary, MissingSymbolSaysWhichVersionHasIt) {
  Driver driver;
  EXPECT_EQ(driver.lookUp(open({"libm.so.6"})),
            "libm.so.6 has no cuInit, which came with CUDA 2.0; install a newer one");
  Nvrtc nvrtc;
  EXPECT_THAT(nvrtc.lookUp(open({"libm.so.6"})), HasSubstr("has no nvrtcGetErrorString"));
}

/// What the process says whose driver is named so: in a process of its own, since the driver is
/// opened once.
void expectNoDriver(const char* file, const char* says) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        ::setenv("LOCKSTEP_CUDA_LIBRARY", file, 1);
        ::setenv("LOCKSTEP_NVRTC_LIBRARY", file, 1);
        const bool none = findDriver() == nullptr && findNvrtc() == nullptr;
        try {
          driver();
        } catch (const Error& error) {
          if (error.code() == ErrorCode::unsupported) std::cerr << error.what() << "\n";
        }
        try {
          nvrtc();
        } catch (const Error& error) {
          if (error.code() == ErrorCode::unsupported) std::cerr << error.what() << "\n";
        }
        std::_Exit(none ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), says);
}

TEST(CudaDriverDeathTest, NoneIsUnsupportedAndSaysWhy) {
  expectNoDriver("/not/there.so",
                 "no GPU because /not/there.so is not there .LOCKSTEP_CUDA_LIBRARY names it.\n"
                 "no kernels because /not/there.so is not there .LOCKSTEP_NVRTC_LIBRARY");
}

TEST(CudaDriverDeathTest, WrongLibraryIsUnsupportedAndSaysWhy) {
  expectNoDriver("libm.so.6",
                 "no GPU because libm.so.6 has no cuInit.*\n"
                 "no kernels because libm.so.6 has no nvrtcGetErrorString");
}

}  // namespace
}  // namespace lockstep::cuda
