// The text of every algorithm in blocks of many threads, which wait for each other at barriers: a
// forgotten barrier is a race (to ThreadSanitizer too) or a wrong result, one that not all threads
// meet is a test that does not end.
#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cuda/generated_calls.hpp"

namespace lockstep::testing {
namespace {

struct Blocks {
  int ranks;
  unsigned threads;  ///< one warp, or several: then each waits for ends of its own
  Mode mode;
};

void PrintTo(const Blocks& b, std::ostream* out) {
  *out << fmt::format("{} ranks, {} threads, {}", b.ranks, b.threads, name(b.mode));
}

class LaneBlocks : public ::testing::TestWithParam<Blocks> {};

TEST_P(LaneBlocks, ComputeWhatOneThreadDoes) {
  const auto [ranks, threads, mode] = GetParam();
  std::vector<GeneratedCase> cases = casesApart(ranks, mode);
  std::ranges::move(premultipliedCases(ranks, mode), std::back_inserter(cases));
  const HostModule module = compileCases(cases, {.threads = threads, .flags = "-O0"});
  HostWorld world({.world = static_cast<unsigned>(ranks),
                   .lanes = threads > 32 ? 1U : 2U,
                   .slotBytes = 4096,
                   .llBytes = 1024,
                   .heapBytes = std::size_t{1} << 17});
  if (isSealed(mode)) world.prepareKeys(module);
  std::uint64_t seed = 1;
  for (const GeneratedCase& c : cases) {
    const std::size_t count = seed % 5 == 0 ? 0 : 700 + seed;
    GeneratedCall call(c, world, count, seed % 3, static_cast<int>(seed) % ranks, seed);
    call.run(module);
    call.check();
    if (HasFatalFailure()) return;
    ++seed;
  }
}

std::string nameOfBlocks(const ::testing::TestParamInfo<Blocks>& info) {
  std::string mode(name(info.param.mode));
  std::ranges::replace(mode, '-', '_');
  return fmt::format("{}_ranks_of_{}_threads_{}", info.param.ranks, info.param.threads, mode);
}

INSTANTIATE_TEST_SUITE_P(Worlds, LaneBlocks,
                         ::testing::Values(Blocks{2, 32, Mode::p2p}, Blocks{3, 96, Mode::p2p},
                                           Blocks{3, 32, Mode::cc},
                                           Blocks{2, 96, Mode::ccMulticast}),
                         nameOfBlocks);

}  // namespace
}  // namespace lockstep::testing
