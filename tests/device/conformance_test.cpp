// Every collective in every mode, compared with the reference bit for bit: three ranks on two GPUs,
// so that some share one and some do not.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "device/trial.hpp"

namespace lockstep::test {
namespace {

constexpr int kWorld = 3;
constexpr std::size_t kRegion = std::size_t{1} << 20;

/// Types and reductions are elements_test's affair, so modes share them out.
struct Elements {
  DataType type;
  Reduction reduction;
};
Elements elementsOf(Mode mode) {
  switch (mode) {
    case Mode::p2p:
      return {DataType::f32, Reduction::avg};
    case Mode::multicast:
      return {DataType::bf16, Reduction::sum};
    case Mode::cc:
      return {DataType::f16, Reduction::avg};
    default:
      return {DataType::i32, Reduction::max};
  }
}

/// Small ones by lines with flags, some by slots, some in place where they can be.
std::vector<std::size_t> countsOf(Collective collective, DataType type) {
  if (!contractOf(collective).hasData) return {0};
  return {0, 1, 37, (std::size_t{80} << 10) / sizeOf(type) + 11};
}

std::string tryAll(Player& player, Mode mode, Collective collective) {
  const Elements elements = elementsOf(mode);
  const cuda::DeviceMemory ordinary = player.allocate(kRegion);
  const DeviceBuffer registered = player.device.alloc(kRegion);
  std::uint64_t seed = 1;
  for (const std::size_t count : countsOf(collective, elements.type))
    for (void* const region : {ordinary.pointer(), registered.data()})
      for (const bool inPlace : {false, true}) {
        const TrialCall call{.collective = collective,
                             .type = elements.type,
                             .reduction = elements.reduction,
                             .count = count,
                             .root = static_cast<int>(seed % kWorld),
                             .inPlace = inPlace,
                             .shift = seed % 3,
                             .seed = seed};
        ++seed;
        if (std::string wrong = tryCall(player, call, region, kRegion); !wrong.empty())
          return (region == registered.data() ? "registered " : "ordinary ") + wrong;
      }
  return {};
}

class DeviceConformance : public ::testing::TestWithParam<std::tuple<Mode, std::size_t>> {};

TEST_P(DeviceConformance, GivesWhatTheReferenceGives) {
  const auto mode = std::get<0>(GetParam());
  const auto collective = static_cast<Collective>(std::get<1>(GetParam()));
  const Elements elements = elementsOf(mode);
  const DeviceWorld world{
      .size = kWorld,
      .options = modeOf(mode),
      .device = smallOptions({collective}, {elements.type}, {elements.reduction})};
  EXPECT_EQ(
      playDeviceWorld(world, [&](Player& player) { return tryAll(player, mode, collective); }), "");
}

std::string nameOfCase(const ::testing::TestParamInfo<std::tuple<Mode, std::size_t>>& info) {
  std::string text = fmt::format("{}_{}", name(static_cast<Collective>(std::get<1>(info.param))),
                                 name(std::get<0>(info.param)));
  std::ranges::replace(text, '-', '_');
  return text;
}

INSTANTIATE_TEST_SUITE_P(All, DeviceConformance,
                         ::testing::Combine(::testing::Values(Mode::p2p, Mode::multicast, Mode::cc,
                                                              Mode::ccMulticast),
                                            ::testing::Range(std::size_t{0}, kCollectives)),
                         nameOfCase);

TEST(DeviceConformance, RanksAreProcessesToo) {
  for (const Mode mode : {Mode::p2p, Mode::ccMulticast}) {
    SCOPED_TRACE(name(mode));
    const Elements elements = elementsOf(mode);
    const DeviceWorld world{
        .ranks = Ranks::processes,
        .size = kWorld,
        .options = modeOf(mode),
        .device = smallOptions({Collective::allReduce}, {elements.type}, {elements.reduction})};
    EXPECT_EQ(
        playDeviceWorld(world, [&](Player& p) { return tryAll(p, mode, Collective::allReduce); }),
        "");
  }
}

}  // namespace
}  // namespace lockstep::test
