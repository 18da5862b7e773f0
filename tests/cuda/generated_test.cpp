// The text of every algorithm, run on the host and compared with the reference, bit for bit where
// it reduces in the order of ranks.
#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cuda/generated_calls.hpp"

namespace lockstep::testing {
namespace {

/// Compiling takes most of the time: one text of each kind is optimised, the others are not.
HostBuild buildFor(int ranks, Mode mode) {
  return {.flags = ranks == 2 && (mode == Mode::p2p || mode == Mode::cc) ? "-O1" : "-O0"};
}

class GeneratedText : public ::testing::TestWithParam<std::tuple<int, Mode>> {};

TEST_P(GeneratedText, ComputesWhatTheReferenceDoes) {
  const auto [ranks, mode] = GetParam();
  std::vector<GeneratedCase> cases = generatedCases(ranks, mode);
  std::ranges::move(premultipliedCases(ranks, mode), std::back_inserter(cases));
  const HostModule module = compileCases(cases, buildFor(ranks, mode));
  // Two lanes, and slots so small that counts need many tiles. All calls share one world's
  // channels, as those of a communicator do.
  HostWorld world({.world = static_cast<unsigned>(ranks),
                   .lanes = 2,
                   .slotBytes = 4096,
                   .llBytes = 1024,
                   .heapBytes = std::size_t{1} << 20});
  if (isSealed(mode)) world.prepareKeys(module);
  std::uint64_t seed = 1;
  for (const GeneratedCase& c : cases)
    for (const std::size_t count : {0, 1, 5, 333, 3000}) {
      const int root = static_cast<int>(seed % static_cast<std::uint64_t>(ranks));
      const std::size_t shift = seed % 3;  // buffers begin at an element, not at 16 bytes
      GeneratedCall call(c, world, count, shift, root, seed++);
      call.run(module);
      call.check();
      if (HasFatalFailure()) return;
    }
}

std::string nameOfWorld(const ::testing::TestParamInfo<std::tuple<int, Mode>>& info) {
  std::string mode(name(std::get<1>(info.param)));
  std::ranges::replace(mode, '-', '_');
  return fmt::format("{}_ranks_{}", std::get<0>(info.param), mode);
}

INSTANTIATE_TEST_SUITE_P(Small, GeneratedText,
                         ::testing::Values(std::tuple(1, Mode::p2p), std::tuple(1, Mode::cc),
                                           std::tuple(2, Mode::p2p), std::tuple(2, Mode::cc),
                                           std::tuple(4, Mode::p2p), std::tuple(4, Mode::cc)),
                         nameOfWorld);
INSTANTIATE_TEST_SUITE_P(Worlds, GeneratedText,
                         ::testing::Combine(::testing::Values(3, 5),
                                            ::testing::Values(Mode::p2p, Mode::multicast, Mode::cc,
                                                              Mode::ccMulticast)),
                         nameOfWorld);

}  // namespace
}  // namespace lockstep::testing
