// ccbench --device gpu as its user sees it, on the emulated driver.
#include <filesystem>
#include <utility>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "integration/ccbench_process.hpp"

namespace lockstep {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Strings = std::vector<std::string>;

/// One that programs started here inherit.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

/// The emulated driver, of which whatever is not released is told on standard error.
class CcbenchGpu : public testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_CCBENCH(); }

  static CcbenchRun run(Strings arguments) {
    arguments.insert(arguments.begin(), {"--device", "gpu"});
    return CcbenchRun(arguments);
  }

 private:
  static std::string built(const char* file) { return std::string(LOCKSTEP_BINARY_DIR) + file; }
  Variable driver_{"LOCKSTEP_CUDA_LIBRARY", built("/bin/fake_cuda/liblockstep_fake_cuda.so")};
  Variable nvrtc_{"LOCKSTEP_NVRTC_LIBRARY", built("/bin/fake_cuda/liblockstep_fake_nvrtc.so")};
  Variable nccl_{"LOCKSTEP_NCCL_LIBRARY", built("/bin/fake_nccl/liblockstep_fake_nccl.so")};
  Variable cache_{"LOCKSTEP_CACHE_DIR", built("/ccbench_gpu_cache")};  // kernels take seconds
  Variable strict_{"LOCKSTEP_FAKE_STRICT", "1"};
};

TEST_F(CcbenchGpu, SaysWhyThereIsNoGpu) {
  const Variable none("LOCKSTEP_CUDA_LIBRARY", "/nowhere/libcuda.so");
  const CcbenchRun none_ = run({});
  EXPECT_EQ(none_.status, 2);
  EXPECT_THAT(none_.err, HasSubstr("no GPU because /nowhere/libcuda.so is not there"));
}

TEST_F(CcbenchGpu, RanksThatShareAGpuAreThreadsAndItsMemoryBoundsThem) {
  const std::string file = testing::TempDir() + std::to_string(getpid()) + ".gpu.json";
  const CcbenchRun shared = run({"--gpus", "1", "--ranks", "2", "--mode", "cc", "-b", "64", "-e",
                                 "1K", "-f", "16", "-n", "3", "--json", file});
  ASSERT_EQ(shared.status, 0) << shared.err;
  EXPECT_EQ(shared.err, "");
  for (const char* text : {"2 threads of one process on 1 GPU", "the times mean nothing",
                           "Lockstep emulated GPU", "cc (emulated device): AES-256-GCM",
                           "Memory of the GPU that all ranks share", "cc against p2p"})
    EXPECT_THAT(shared.out, HasSubstr(text));
  const json report = json::parse(std::ifstream(file));
  std::filesystem::remove(file);
  EXPECT_TRUE(report.at("gpus").at("emulated").get<bool>());
  for (const json& contender : report.at("runs")[0].at("contenders"))
    EXPECT_EQ(contender.at("provenance"), "emulated device");
  for (const json& row : report.at("runs")[0].at("rows"))
    for (const json& series : row.at("series")) {
      EXPECT_EQ(series.at("wrong"), 0);
      EXPECT_GT(series.at("derived").at("memory").at("boundUs").get<double>(), 0);
      EXPECT_FALSE(series.at("derived").contains("boundUs"));  // which is of the host's cipher
    }
}

TEST_F(CcbenchGpu, RanksWithGpusOfTheirOwnAreProcesses) {
  const CcbenchRun apart = run({"--gpus", "2", "--ranks", "2", "--mode", "p2p", "-b", "128K", "-e",
                                "128K", "-n", "2", "--registered", "1", "--graph", "1"});
  ASSERT_EQ(apart.status, 0) << apart.err;
  EXPECT_EQ(apart.err, "");
  for (const char* text : {"2 processes on 2 GPUs", "registered (DeviceCommunicator::alloc)",
                           "zero_copy", "one CUDA graph"})
    EXPECT_THAT(apart.out, HasSubstr(text));
  EXPECT_THAT(apart.out, testing::Not(HasSubstr("Memory of the GPU")));
}

TEST_F(CcbenchGpu, SendsAndReceivesGoAround) {
  const CcbenchRun around = run({"--gpus", "1", "--ranks", "3", "--mode", "p2p", "--op",
                                 "sendrecv,alltoallv", "-b", "1K", "-e", "1K", "-n", "2"});
  ASSERT_EQ(around.status, 0) << around.err;
  EXPECT_EQ(around.err, "");
  EXPECT_THAT(around.out, HasSubstr("---- alltoallv ----"));
}

TEST_F(CcbenchGpu, OneLaunchIsForAllRanks) {
  for (const char* graph : {"0", "1"}) {
    const CcbenchRun together =
        run({"--gpus", "1", "--ranks", "2", "--mode", "cc", "-b", "1K", "-e", "1K", "-n", "2",
             "--launch", "together", "--graph", graph});
    ASSERT_EQ(together.status, 0) << together.err;
    EXPECT_EQ(together.err, "");
    EXPECT_THAT(together.out, HasSubstr("each of all ranks"));
  }
  EXPECT_EQ(run({"--gpus", "2", "--ranks", "2", "--launch", "together"}).status, 2);
}

TEST_F(CcbenchGpu, SealsByItself) {
  const std::string file = testing::TempDir() + std::to_string(getpid()) + ".seal.json";
  const CcbenchRun seal({"seal", "-e", "64K", "--json", file});
  ASSERT_EQ(seal.status, 0) << seal.err;
  EXPECT_EQ(seal.err, "");
  EXPECT_THAT(seal.out, HasSubstr("emulated, the rates mean nothing"));
  const json rates = json::parse(std::ifstream(file)).at("rates");
  std::filesystem::remove(file);
  ASSERT_EQ(rates.size(), 8u) << "two ciphers, 4 KiB by one size of message and 64 KiB by three";
  for (const json& rate : rates)
    for (const char* does : {"sealedPerSecond", "openedPerSecond"})
      EXPECT_GT(rate.at(does).get<double>(), 0);
  EXPECT_EQ(CcbenchRun({"seal", "-e", "1K"}).status, 2);
  EXPECT_EQ(CcbenchRun({"seal", "--gpu", "7"}).status, 2);
}

TEST_F(CcbenchGpu, SaysWhatItLeavesOut) {
  const Strings together{"--gpus", "1",  "--launch", "together", "--mode",       "p2p",
                         "-b",     "64", "-e",       "64",       "--check-only", "--op"};
  const auto ops = [&](const char* list) {
    Strings arguments = together;
    arguments.emplace_back(list);
    return run(arguments);
  };
  const CcbenchRun some = ops("allreduce,sendrecv");
  ASSERT_EQ(some.status, 0) << some.err;
  EXPECT_THAT(some.out, HasSubstr("sendrecv is left out"));
  const CcbenchRun none = ops("sendrecv");
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.err, HasSubstr("sendrecv is left out"));
}

TEST_F(CcbenchGpu, VerifiesPremultipliedSums) {
  for (const auto& [launch, op] :
       {std::pair{"streams", "allreduce"}, {"together", "reducescatter"}}) {
    const CcbenchRun sums = run({"--gpus", "1", "--mode", "p2p", "--launch", launch, "--op", op,
                                 "-o", "premulsum", "-b", "1K", "-e", "1K", "--check-only"});
    EXPECT_EQ(sums.status, 0) << sums.err;
    EXPECT_THAT(sums.out, HasSubstr("Verified, out of place and in place"));
  }
}

TEST_F(CcbenchGpu, RefusesBuffersThatTheGpuCannotHold) {
  const CcbenchRun large = run({"--gpus", "1", "--ranks", "4", "-e", "1G"});
  EXPECT_EQ(large.status, 2);
  EXPECT_THAT(large.err, HasSubstr("lower it or --ranks"));
}

TEST_F(CcbenchGpu, MeasuresNcclBeside) {
  const CcbenchRun beside = run({"--gpus", "1", "--ranks", "2", "--mode", "p2p", "-b", "1K", "-e",
                                 "1K", "-n", "3", "--baseline", "nccl"});
  ASSERT_EQ(beside.status, 0) << beside.err;
  EXPECT_EQ(beside.err, "");
  EXPECT_THAT(beside.out, HasSubstr("nccl (emulated device): NCCL 2.28.9"));
  EXPECT_THAT(beside.out, HasSubstr("Lockstep beside NCCL 2.28.9"));
}

TEST_F(CcbenchGpu, SaysWhatNcclSays) {
  const Variable refuses("LOCKSTEP_FAKE_NCCL_REFUSES", "1");
  const CcbenchRun refused = run({"--gpus", "1", "--ranks", "2", "--mode", "p2p", "-b", "1K", "-e",
                                  "1K", "--baseline", "nccl"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("invalid usage (the fake NCCL cannot)"));
}

TEST_F(CcbenchGpu, NeedsNcclForTheBaseline) {
  const Variable none("LOCKSTEP_NCCL_LIBRARY", "/nowhere/libnccl.so");
  const CcbenchRun missing = run({"--gpus", "1", "--ranks", "2", "--mode", "p2p", "-b", "1K", "-e",
                                  "1K", "--baseline", "nccl"});
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.err, HasSubstr("there is no NCCL"));
}

}  // namespace
}  // namespace lockstep
