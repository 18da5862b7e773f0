// How ranks go: with calls under way, one before the other, in any way that others survive.
#include <gtest/gtest.h>

#include "device/worlds.hpp"

namespace lockstep::test {
namespace {

constexpr std::array kKinds{Ranks::threads, Ranks::processes};

std::string callAndGo(const DeviceWorld& world, const std::function<void(int rank)>& before,
                      const std::function<void(int rank)>& after) {
  return playControl(world, [&](Communicator& control) -> std::string {
    std::optional<DeviceCommunicator> device(DeviceCommunicator::create(control, world.device));
    const int rank = device->rank();
    Player player{control, *device, cuda::PrimaryContext::retain(device->device().ordinal)};
    constexpr std::size_t kCount = 20000;
    const auto in = player.floats(kCount, [](std::size_t i) { return float(i % 10); });
    const auto out = player.allocate(kCount * 4);
    before(rank);
    for (int call = 0; call < 3; ++call)
      device->allReduce(in.pointer(), out.pointer(), kCount, DataType::f32, Reduction::sum,
                        nullptr);
    device.reset();  // with its calls still in its stream
    std::string wrong =
        player.differs(out.pointer(), kCount, [](std::size_t i) { return 2 * float(i % 10); });
    after(rank);
    return wrong;
  });
}

TEST(DeviceLeave, CallsUnderWayAreFinishedFirst) {
  for (const Ranks ranks : kKinds)
    for (const char* noFds : {"0", "1"}) {  // 1: processes share by CUDA IPC
      DeviceWorld world{.ranks = ranks,
                        .options = modeOf(Mode::p2p),
                        .device = smallOptions({Collective::allReduce}),
                        .environment = {{"LOCKSTEP_FAKE_NO_FD_EXPORT", noFds}}};
      EXPECT_EQ(callAndGo(
                    world, [](int rank) { sleepFor(rank == 0 ? 100ms : 0ms); }, [](int) {}),
                "");
    }
}

/// One rank is done, and its process gone, while the other has yet to look at its result.
TEST(DeviceLeave, WhoHasDoneAllMayGo) {
  for (const Ranks ranks : kKinds) {
    DeviceWorld world{.ranks = ranks,
                      .options = modeOf(Mode::p2p),
                      .device = smallOptions({Collective::allReduce})};
    EXPECT_EQ(playDeviceWorld(world,
                              [](Player& player) -> std::string {
                                const auto in = player.floats(100, [](auto) { return 1.0f; });
                                const auto out = player.allocate(400);
                                player.device.allReduce(in.pointer(), out.pointer(), 100,
                                                        DataType::f32, Reduction::sum, nullptr);
                                if (player.rank() == 0) sleepFor(300ms);
                                player.device.wait(nullptr);
                                return player.differs(out.pointer(), 100,
                                                      [](auto) { return 2.0f; });
                              }),
              "");
  }
}

TEST(DeviceLeave, NobodyWaitsLongForWhoFailedOrDied) {
  DeviceWorld world{.ranks = Ranks::processes,
                    .options = modeOf(Mode::p2p),
                    .device = smallOptions({Collective::barrier})};
  const auto leaveAlone = [&](const std::function<void(DeviceCommunicator&)>& other) {
    return playControl(world, [&](Communicator& control) -> std::string {
      std::optional<DeviceCommunicator> device(DeviceCommunicator::create(control, world.device));
      control.barrier();
      if (control.rank() == 1) other(*device);
      const auto begin = Clock::now();
      device.reset();
      return Clock::now() - begin < 10s ? "" : "that took long";
    });
  };
  EXPECT_EQ(leaveAlone([](DeviceCommunicator&) { ::kill(::getpid(), SIGKILL); }), "rank 1: died; ");
  EXPECT_EQ(leaveAlone([](DeviceCommunicator& device) { device.abort(); }), "");
}

TEST(DeviceLeave, NobodyWaitsForeverForWhoStays) {
  DeviceWorld world{.ranks = Ranks::processes,
                    .options = modeOf(Mode::p2p),
                    .device = smallOptions({Collective::barrier})};
  world.options.timeout = 1s;
  EXPECT_EQ(playControl(world,
                        [&](Communicator& control) -> std::string {
                          std::optional<DeviceCommunicator> device(
                              DeviceCommunicator::create(control, world.device));
                          if (control.rank() == 1) sleepFor(3s);
                          const auto begin = Clock::now();
                          device.reset();
                          return Clock::now() - begin < 10s ? "" : "that took long";
                        }),
            "");
}

/// Buffers keep the memory that they are in.
TEST(DeviceLeave, BuffersMayOutliveTheirCommunicator) {
  for (const Ranks ranks : kKinds) {
    DeviceWorld world{.ranks = ranks,
                      .options = modeOf(Mode::p2p),
                      .device = smallOptions({Collective::barrier})};
    EXPECT_EQ(playControl(world,
                          [&](Communicator& control) -> std::string {
                            std::optional<DeviceCommunicator> device(
                                DeviceCommunicator::create(control, world.device));
                            const auto context =
                                cuda::PrimaryContext::retain(device->device().ordinal);
                            const DeviceBuffer buffer = device->alloc(1024);
                            device.reset();
                            cuda::zero(context, reinterpret_cast<cuda::DevicePtr>(buffer.data()),
                                       buffer.size());
                            return {};
                          }),
              "");
  }
}

}  // namespace
}  // namespace lockstep::test
