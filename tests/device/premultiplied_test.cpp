// Premultiplied sums on GPUs: what the host's communicator gives, bit for bit, whatever is called
// how.
#include <gtest/gtest.h>

#include "base/cuda/stream.hpp"
#include "device/trial.hpp"
#include "support/reference.hpp"

namespace lockstep::test {
namespace {

constexpr int kWorld = 3;
constexpr std::size_t kRegion = std::size_t{1} << 19;
constexpr std::array kSums{Collective::allReduce, Collective::reduceScatter, Collective::reduce};

DeviceWorld worldOf(Mode mode, DataType type) {
  return {.size = kWorld,
          .options = modeOf(mode),
          .device = smallOptions({kSums.begin(), kSums.end()}, {type}, {Reduction::preMulSum})};
}

/// By lines, by slots, by many tiles; ordinary and registered, in place and apart.
std::string tryAll(Player& player, DataType type) {
  const cuda::DeviceMemory ordinary = player.allocate(kRegion);
  const DeviceBuffer registered = player.device.alloc(kRegion);
  std::uint64_t seed = 1;
  for (const Collective collective : kSums)
    for (const std::size_t count : {std::size_t{0}, std::size_t{37}, 70000 / sizeOf(type) + 11})
      for (void* const region : {ordinary.pointer(), registered.data()}) {
        const TrialCall call{.collective = collective,
                             .type = type,
                             .reduction = Reduction::preMulSum,
                             .count = count,
                             .root = static_cast<int>(seed % kWorld),
                             .inPlace = seed / 2 % 2 == 0,
                             .shift = seed % 3,
                             .seed = seed};
        ++seed;
        if (std::string wrong = tryCall(player, call, region, kRegion); !wrong.empty())
          return (region == registered.data() ? "registered " : "ordinary ") + wrong;
      }
  return {};
}

/// Types take turns; elements_test and the generated kernels have them all.
TEST(DevicePremultiplied, GivesWhatTheReferenceGives) {
  struct Case {
    Mode mode;
    DataType type;
  };
  for (const auto& [mode, type] :
       {Case{Mode::p2p, DataType::f32}, Case{Mode::multicast, DataType::i8},
        Case{Mode::cc, DataType::bf16}, Case{Mode::ccMulticast, DataType::u64}}) {
    SCOPED_TRACE(name(mode));
    EXPECT_EQ(
        playDeviceWorld(worldOf(mode, type), [type = type](Player& p) { return tryAll(p, type); }),
        "");
  }
}

TEST(DevicePremultiplied, ThroughTheHostsToo) {
  DeviceWorld world = worldOf(Mode::p2p, DataType::f16);
  world.environment = {{"LOCKSTEP_FAKE_NO_PEER", "1"}};
  EXPECT_EQ(playDeviceWorld(world, [](Player& p) { return tryAll(p, DataType::f16); }), "");
}

/// What users write: the same numbers to the host and to the GPU.
class BothWays {
 public:
  static constexpr std::size_t kCount = 700;

  BothWays(Player& player, DataType type, double factor)
      : player_(player),
        type_(type),
        factor_(factor),
        bytes_(kCount * sizeOf(type)),
        in_(testing::randomElements(type, kCount * all(),
                                    static_cast<std::uint64_t>(player.rank()) + 1)),
        from_(player.allocate(in_.size())),
        to_(player.allocate(bytes_)) {
    player.write(from_.pointer(), in_);
  }

  std::string tryAll() const {
    for (const Collective collective : kSums)
      if (std::string wrong = differs(collective); !wrong.empty())
        return std::string(name(collective)) + wrong;
    return {};
  }

 private:
  std::size_t all() const { return static_cast<std::size_t>(player_.world()); }

  std::string differs(Collective collective) const {
    std::vector<std::byte> onHost(bytes_);
    player_.control.run(collective, in_.data(), onHost.data(), kCount, type_, Reduction::preMulSum,
                        1, factor_);
    const PremultipliedSum sum{factor_};
    if (collective == Collective::allReduce)
      player_.device.allReduce(from_.pointer(), to_.pointer(), kCount, type_, sum, nullptr);
    else if (collective == Collective::reduceScatter)
      player_.device.reduceScatter(from_.pointer(), to_.pointer(), kCount, type_, sum, nullptr);
    else
      player_.device.reduce(from_.pointer(), to_.pointer(), kCount, type_, sum, 1, nullptr);
    player_.device.wait(nullptr);
    if (collective == Collective::reduce && player_.rank() != 1) return {};
    const auto onDevice = player_.read(to_.pointer(), bytes_);
    const auto at = testing::firstDifference(type_, onHost.data(), onDevice.data(), kCount);
    return at ? ": other bits in element " + std::to_string(*at) : "";
  }

  Player& player_;
  DataType type_;
  double factor_;
  std::size_t bytes_;
  std::vector<std::byte> in_;
  cuda::DeviceMemory from_, to_;
};

TEST(DevicePremultiplied, GivesTheBitsOfTheHost) {
  struct Case {
    Mode mode;
    DataType type;
    std::array<double, 3> factors;  ///< ranks take turns with them
  };
  // One that rounds, one too large for f32, one that makes NaNs; the ends of i8, and nothing.
  for (const Case& c : {Case{Mode::p2p, DataType::f32, {1.0 / 3, 1e300, -HUGE_VAL}},
                        Case{Mode::multicast, DataType::i8, {127, -128, 0}}})
    EXPECT_EQ(
        playDeviceWorld(worldOf(c.mode, c.type),
                        [&](Player& player) {
                          const auto rank = static_cast<std::size_t>(player.rank());
                          std::string wrong;
                          for (std::size_t turn = 0; turn < 3 && wrong.empty(); ++turn)
                            wrong = BothWays(player, c.type, c.factors[(rank + turn) % 3]).tryAll();
                          return wrong;
                        }),
        "")
        << name(c.type);
}

/// Twice in a graph, the second on what the first gave.
std::string replay(Player& player) {
  constexpr std::size_t kCount = 3000;
  const float factor = player.rank() == 0 ? 0.5f : 2.0f;  // 4.5 of all three
  const auto in = player.floats(kCount, [](auto) { return 0.0f; });
  const auto out = player.allocate(kCount * 4);
  auto* const stream = static_cast<cuda::StreamHandle>(player.device.stream());
  const auto graph = cuda::Graph::capture(player.context, stream, [&] {
    const PremultipliedSum sum{factor};
    player.device.allReduce(in.pointer(), out.pointer(), kCount, DataType::f32, sum, stream);
    player.device.allReduce(out.pointer(), out.pointer(), kCount, DataType::f32, sum, stream);
  });
  const auto ready = cuda::GraphExec::instantiate(graph);
  for (int turn = 1; turn < 20; ++turn) {
    const std::vector<float> given(kCount, static_cast<float>(turn + player.rank()));
    player.write(in.pointer(), std::as_bytes(std::span(given)));
    ready.launch(stream);
    player.device.wait(stream);
    const auto first = static_cast<float>(turn);
    const float wanted = 4.5f * (0.5f * first + 2 * (first + 1) + 2 * (first + 2));
    if (std::string wrong = player.differs(out.pointer(), kCount, [&](auto) { return wanted; });
        !wrong.empty())
      return wrong;
  }
  return {};
}

TEST(DevicePremultiplied, IsReplayedInAGraph) {
  EXPECT_EQ(playDeviceWorld(worldOf(Mode::p2p, DataType::f32), replay), "");
}

TEST(DevicePremultiplied, IsAnotherCallThanASum) {
  EXPECT_EQ(playDeviceWorld(worldOf(Mode::p2p, DataType::f32),
                            [](Player& player) {
                              const auto data = player.floats(8, [](auto) { return 1.0f; });
                              const bool first = player.rank() == 0;
                              return lacks(errorOf([&] {
                                             player.device.run(
                                                 Collective::allReduce, data.pointer(),
                                                 data.pointer(), 8, DataType::f32,
                                                 first ? Reduction::sum : Reduction::preMulSum, 0,
                                                 nullptr, 2.0);
                                             player.device.wait(nullptr);
                                           }),
                                           {"mismatch", "f32 sum", "f32 premulsum"});
                            }),
            "");
}

}  // namespace
}  // namespace lockstep::test
