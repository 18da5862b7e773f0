// What ptxas says of a kernel.
#include "executor/cuda/ptxas_log.hpp"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "fuzz/ptxas_log_target.hpp"

namespace lockstep::cuda {
namespace {

constexpr std::string_view kTwo = R"(k.cu(3): warning #177-D: variable "unused" was declared
ptxas info    : 33 bytes gmem, 72 bytes cmem[4]
ptxas info    : Compiling entry function 'spills' for 'sm_80'
ptxas info    : Function properties for spills
ptxas         .     160 bytes stack frame, 300 bytes spill stores, 308 bytes spill loads
ptxas info    : Used 64 registers, used 0 barriers, 160 bytes cumulative stack size, 364 bytes cmem[0]
ptxas info    : Compile time = 25.762 ms
ptxas info    : Compiling entry function 'k' for 'sm_80'
ptxas info    : Function properties for k
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 400 bytes smem, 364 bytes cmem[0]
ptxas info    : Compile time = 98.516 ms
)";

TEST(PtxasLog, TellsKernelsApart) {
  EXPECT_EQ(resourcesIn(kTwo, "k"), (Resources{32, 0, 0, 400}));
  EXPECT_EQ(resourcesIn(kTwo, "spills"), (Resources{64, 608, 160, 0}));
}

TEST(PtxasLog, CountsTheSpillsOfFunctionsThatAKernelCalls) {
  const std::string log = std::string(kTwo) + R"(ptxas info    : Function properties for _Z1fPii
ptxas         .     8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
)";
  EXPECT_EQ(resourcesIn(log, "k"), (Resources{32, 16, 8, 400}));
}

TEST(PtxasLog, WhatIsNotSaidIsUnknown) {
  EXPECT_EQ(resourcesIn("", "k"), Resources{});
  EXPECT_EQ(resourcesIn(kTwo, "other"), Resources{});
  EXPECT_EQ(resourcesIn("ptxas info    : Compiling entry function 'k' for 'sm_80'\n"
                        "ptxas info    : Used many registers, none bytes smem\n",
                        "k"),
            Resources{});
  EXPECT_EQ(resourcesIn("ptxas info    : Compiling entry function 'k' for 'sm_80'\n"
                        "ptxas info    : Used 99999999999999999999 registers\n",
                        "k"),
            Resources{});
}

TEST(PtxasLog, AnyPieceOfALogCanBeRead) {
  for (std::size_t size = 0; size < kTwo.size(); ++size) {
    resourcesIn(kTwo.substr(0, size), "k");
    resourcesIn(kTwo.substr(size), "k");
  }
}

TEST(Resources, SayWhatIsOverTheLimits) {
  const Limits limits{.registers = 64, .spillBytes = 0, .stackBytes = 0, .sharedBytes = 1024};
  EXPECT_EQ((Resources{64, 0, 0, 1024}).exceeds(limits), "");
  EXPECT_EQ((Resources{65, 8, 0, 0}).exceeds(limits),
            "registers 65 (limit 64), spilled bytes 8 (limit 0)");
  EXPECT_EQ((Resources{64, std::nullopt, 0, 0}).exceeds(limits), "spilled bytes unknown");
}

TEST(PtxasLog, AnyTextIsReadOrLeft) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string log(kTwo);
    for (unsigned n = 1 + random() % 20; n > 0; --n)
      log[random() % log.size()] = i % 2 == 0 ? static_cast<char>(random()) : '9';
    fuzz::ptxasLog(log);
  }
}

}  // namespace
}  // namespace lockstep::cuda
