#include "base/cuda/nvrtc.hpp"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lockstep/error.hpp>

namespace lockstep::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class NvrtcProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    if (findNvrtc() == nullptr) GTEST_SKIP() << nvrtcWhyNot();
  }
  static std::vector<std::string> options() {
    const int newest = nvrtc().architectures.back();
    return {"--gpu-architecture=sm_" + std::to_string(newest), "--std=c++20"};
  }
};

TEST(Nvrtc, IsThatOfTheDriversMajorVersionWhereThatIsOlder) {
  EXPECT_EQ(nvrtcNames(0).front(), "libnvrtc.so.13");
  EXPECT_EQ(nvrtcNames(13010).front(), "libnvrtc.so.13");
  EXPECT_EQ(nvrtcNames(12040).front(), "libnvrtc.so.12");
  for (const int version : {0, 12040, 13000}) EXPECT_EQ(nvrtcNames(version).size(), 3u);
}

TEST_F(NvrtcProgram, SaysWhatItCompilesFor) {
  EXPECT_GE(nvrtc().major, 11);
  EXPECT_FALSE(nvrtc().file.empty());
  EXPECT_TRUE(std::ranges::is_sorted(nvrtc().architectures));
  EXPECT_GE(nvrtc().architectures.back(), 80);
}

TEST_F(NvrtcProgram, CompilesWithHeadersByTheirNames) {
  const std::array headers{Program::Header{"executor/answer.cuh", "constexpr int kAnswer = 42;"}};
  Program program = Program::create(
      "#include \"executor/answer.cuh\"\n"
      "extern \"C\" __global__ void answer(int* out) { *out = kAnswer; }\n",
      "answer.cu", headers);
  ASSERT_TRUE(program.compile(options())) << program.log();
  EXPECT_THAT(program.cubin(), HasSubstr("answer"));
  Program moved = std::move(program);
  EXPECT_FALSE(moved.cubin().empty());
}

TEST_F(NvrtcProgram, TextThatDoesNotCompileSaysWhere) {
  Program program = Program::create("__global__ void f() { nothing; }\n", "wrong.cu", {});
  EXPECT_FALSE(program.compile(options()));
  EXPECT_THAT(program.log(), AllOf(HasSubstr("wrong.cu(1)"), HasSubstr("\"nothing\"")));
  EXPECT_EQ(program.log().find('\0'), std::string::npos);
}

TEST_F(NvrtcProgram, UnknownOptionIsTheCallersMistake) {
  Program program = Program::create("__global__ void f() {}\n", "f.cu", {});
  const std::array<std::string, 1> wrong{"--no-such-option"};
  try {
    static_cast<void>(program.compile(wrong));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("no-such-option"));
  }
}

TEST_F(NvrtcProgram, NoMachineCodeBeforeCompiling) {
  const Program program = Program::create("__global__ void f() {}\n", "f.cu", {});
  EXPECT_EQ(program.log(), "");
  EXPECT_THROW(program.cubin(), Error);
}

TEST_F(NvrtcProgram, PtxIsForGpusThatAreNewer) {
  Program program = Program::create("extern \"C\" __global__ void f() {}\n", "f.cu", {});
  const std::array<std::string, 1> forAll{"--gpu-architecture=compute_" +
                                          std::to_string(nvrtc().architectures.back())};
  ASSERT_TRUE(program.compile(forAll)) << program.log();
  EXPECT_THAT(program.ptx(), HasSubstr(".entry f"));
  EXPECT_THROW(program.cubin(), Error);
}

}  // namespace
}  // namespace lockstep::cuda
