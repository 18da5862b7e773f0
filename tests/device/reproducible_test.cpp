// GPUs give the bits that CPUs give: sums and averages of anything, NaN and infinity too.
#include <cstring>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "device/trial.hpp"

namespace lockstep::test {
namespace {

std::vector<std::byte> anyBits(std::size_t bytes, int seed) {
  std::mt19937_64 random(static_cast<std::uint64_t>(seed) + 1);
  std::vector<std::byte> data(bytes);
  for (std::byte& b : data) b = static_cast<std::byte>(random());
  return data;
}

std::string compare(Player& player, DataType type, Reduction reduction, std::size_t count) {
  const std::size_t bytes = count * sizeOf(type);
  const auto data = anyBits(bytes, player.rank());
  std::vector<std::byte> wanted(bytes);
  player.control.allReduce(data.data(), wanted.data(), count, type, reduction);
  const auto in = player.allocate(bytes), out = player.allocate(bytes);
  player.write(in.pointer(), data);
  player.device.allReduce(in.pointer(), out.pointer(), count, type, reduction, nullptr);
  player.device.wait(nullptr);
  const auto got = player.read(out.pointer(), bytes);
  const auto wrong = std::mismatch(got.begin(), got.end(), wanted.begin()).first;
  if (wrong == got.end()) return {};
  return fmt::format("{} {} of {}: byte {} differs", name(type), name(reduction), count,
                     wrong - got.begin());
}

TEST(DeviceReproducible, GivesTheBitsOfTheHost) {
  DeviceWorld world{.size = 3,
                    .options = modeOf(Mode::p2p),
                    .device = smallOptions({Collective::allReduce},
                                           {DataType::f32, DataType::bf16, DataType::f16})};
  world.options.reproducible = true;
  EXPECT_EQ(playDeviceWorld(world,
                            [](Player& player) {
                              std::string wrong;
                              for (const auto type : {DataType::f32, DataType::bf16, DataType::f16})
                                for (const auto reduction : {Reduction::sum, Reduction::avg})
                                  for (const std::size_t count : {1001, 60001})
                                    if (wrong.empty())
                                      wrong = compare(player, type, reduction, count);
                              return wrong;
                            }),
            "");
}

}  // namespace
}  // namespace lockstep::test
