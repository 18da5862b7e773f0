// What must stay true after something went wrong: found by attack, kept from coming back.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/world.hpp"
#include <lockstep/lockstep.hpp>

namespace lockstep {
namespace {

TEST(Poison, ATimeoutOfCenturiesIsRefused) {
  Options options;
  options.timeout = std::chrono::milliseconds::max();
  try {
    static_cast<void>(Communicator::createInProcess(1, options));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    EXPECT_NE(std::string(error.what()).find("24 hours"), std::string::npos);
  }
}

TEST(Poison, TheKeyIsNotKept) {
  Options options;
  options.mode = Mode::cc;
  options.psk.assign(32, std::byte{7});
  auto ranks = Communicator::createInProcess(1, options);
  EXPECT_TRUE(ranks[0].options().psk.empty());
  EXPECT_EQ(ranks[0].keySource(), "X25519 and pre-shared key");
}

using testing::Kind;
using testing::runRanks;

// One rank runs out of descriptors while all allocate. No rank may go on with memory that the
// others know by another name: the next call fails, on every rank.
TEST(Poison, AnAllocThatFailsOnOneRankEndsTheCommunicatorOnAll) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UBSan looks at objects through a pipe, and takes its failure for a bad object";
#endif
  Options options;
  options.timeout = std::chrono::seconds(5);
  const auto outcomes = runRanks(Kind::processes, 2, options, [](Communicator& comm, int rank) {
    rlimit usual{};
    ::getrlimit(RLIMIT_NOFILE, &usual);
    if (rank == 0) {  // room for one more descriptor, its own memory's
      const int next = ::open("/dev/null", O_RDONLY);
      ::close(next);
      const rlimit tight{.rlim_cur = static_cast<rlim_t>(next) + 1, .rlim_max = usual.rlim_max};
      ::setrlimit(RLIMIT_NOFILE, &tight);
    }
    bool failed = false;
    try {
      static_cast<void>(comm.alloc(std::size_t{1} << 20));
    } catch (const Error&) {
      failed = true;
    }
    ::setrlimit(RLIMIT_NOFILE, &usual);
    if (rank == 0 && !failed) throw std::runtime_error("alloc succeeded");
    comm.barrier();
  });
  for (const auto& outcome : outcomes) EXPECT_EQ(outcome.code, ErrorCode::aborted) << outcome.text;
}

// A tree's root hears from all ranks, its leaves do not: what was learnt of the others' buffers
// must not differ, or the ranks run different plans.
TEST(Poison, RanksExpectTheSameOfBuffersWhoeverTheyHearFrom) {
  const auto file = std::filesystem::temp_directory_path() /
                    ("lockstep-tuning-" + std::to_string(::getpid()) + ".json");
  std::ofstream(file) << R"({"version": 1, "rules": [{"op": "allreduce", "modes": ["p2p"],
      "buffers": "ordinary", "algorithm": "tree", "protocol": "simple", "max_bytes": 65536}]})";
  Options options;
  options.tuningFile = file;
  options.timeout = std::chrono::seconds(5);
  const auto outcomes = runRanks(Kind::processes, 3, options, [](Communicator& comm, int) {
    constexpr std::size_t count = 1024;
    std::vector<float> ordinary(count, 1.0F);
    const Buffer buffer = comm.alloc(count * sizeof(float));
    auto* registered = static_cast<float*>(buffer.data());
    for (int round = 0; round < 6; ++round)
      for (float* data : {ordinary.data(), registered, registered, ordinary.data()}) {
        std::fill_n(data, count, 1.0F);
        comm.allReduce(data, data, count, DataType::f32);
        if (data[0] != 3.0F || data[count - 1] != 3.0F) throw std::runtime_error("wrong sum");
      }
  });
  std::filesystem::remove(file);
  EXPECT_EQ(testing::failures(outcomes), "");
}

}  // namespace
}  // namespace lockstep
