// How ccbench prepares the driver, which need not be there.
#include "bench/gpu.hpp"

#include <cstdlib>

#include <gtest/gtest.h>

#include "bench/sizes.hpp"

namespace lockstep::bench {
namespace {

void detect() {
  try {
    static_cast<void>(detectGpus(1));
  } catch (const UsageError&) {  // no GPU
  }
}

TEST(Gpu, StreamsAreQueuedApartUnlessTheUserSaysHow) {
  constexpr const char* kName = "CUDA_DEVICE_MAX_CONNECTIONS";
  const char* const before = std::getenv(kName);
  const std::string kept = before == nullptr ? "" : before;
  ::unsetenv(kName);
  detect();
  EXPECT_STREQ(std::getenv(kName), "32");
  ::setenv(kName, "4", 1);
  detect();
  EXPECT_STREQ(std::getenv(kName), "4");
  before == nullptr ? ::unsetenv(kName) : ::setenv(kName, kept.c_str(), 1);
}

}  // namespace
}  // namespace lockstep::bench
