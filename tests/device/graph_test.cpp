// Calls in a CUDA graph: nothing of them needs the host, so they can be replayed, and in sealed
// modes no replay seals under a nonce that was there before.
#include <set>

#include <gtest/gtest.h>

#include "base/cuda/stream.hpp"
#include "communicator/device/impl.hpp"
#include "device/trial.hpp"

namespace lockstep::test {
namespace {

constexpr std::size_t kSmall = 50, kLarge = 12000;

float value(int rank, int replay, std::size_t i) {
  return static_cast<float>(i % 17) + static_cast<float>(rank * 3 + replay % 5);
}

/// Three different calls: by lines, by slots, and from one to all.
struct Calls {
  explicit Calls(Player& who)
      : player(who),
        small(who.allocate(kSmall * 4)),
        large(who.allocate(kLarge * 4)),
        reduced(who.allocate(kSmall * 4)),
        gathered(who.allocate(2 * kLarge * 4)),
        sent(who.allocate(kSmall * 4)) {}

  void run() {
    DeviceCommunicator& device = player.device;
    const DeviceStream stream = device.stream();
    device.allReduce(small.pointer(), reduced.pointer(), kSmall, DataType::f32, Reduction::sum,
                     stream);
    device.allGather(large.pointer(), gathered.pointer(), kLarge, DataType::f32, stream);
    device.broadcast(small.pointer(), sent.pointer(), kSmall, DataType::f32, 1, stream);
  }
  void fill(int replay) const {
    for (const auto* memory : {&small, &large}) {
      std::vector<float> values(memory->bytes() / 4);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = value(player.rank(), replay, i);
      player.write(memory->pointer(), std::as_bytes(std::span(values)));
    }
  }
  std::string check(int replay) const {
    std::string wrong = player.differs(reduced.pointer(), kSmall, [&](std::size_t i) {
      return value(0, replay, i) + value(1, replay, i);
    });
    if (wrong.empty())
      wrong = player.differs(gathered.pointer(), 2 * kLarge, [&](std::size_t i) {
        return value(static_cast<int>(i / kLarge), replay, i % kLarge);
      });
    if (wrong.empty())
      wrong = player.differs(sent.pointer(), kSmall,
                             [&](std::size_t i) { return value(1, replay, i); });
    return wrong.empty() ? "" : "replay " + std::to_string(replay) + ": " + wrong;
  }

  Player& player;
  cuda::DeviceMemory small, large, reduced, gathered, sent;
};

std::string replayMany(Player& player) {
  Calls calls(player);
  auto* const stream = static_cast<cuda::StreamHandle>(player.device.stream());
  const auto graph = cuda::Graph::capture(player.context, stream, [&] { calls.run(); });
  const auto ready = cuda::GraphExec::instantiate(graph);
  const int replays = onRealGpus() ? 1000 : 200;
  for (int replay = 0; replay < replays; ++replay) {
    calls.fill(replay);
    ready.launch(stream);
    player.device.wait(stream);
    if (std::string wrong = calls.check(replay); !wrong.empty()) return wrong;
    if (replay % 50 != 0) continue;
    calls.run();  // between replays, as ever
    player.device.wait(stream);
    if (std::string wrong = calls.check(replay); !wrong.empty()) return wrong;
  }
  return {};
}

TEST(DeviceGraph, IsReplayedWithNewData) {
  for (const Mode mode : {Mode::p2p, Mode::ccMulticast}) {
    SCOPED_TRACE(name(mode));
    const DeviceWorld world{.options = modeOf(mode),
                            .device = smallOptions({Collective::allReduce, Collective::allGather,
                                                    Collective::broadcast})};
    EXPECT_EQ(playDeviceWorld(world, replayMany), "");
  }
}

/// What lies in this rank's slots of lane 0, by where.
std::vector<std::vector<std::byte>> slotsOf(const DeviceImpl& device) {
  const device::Offsets offsets{device.geometry()};
  std::vector<std::vector<std::byte>> slots;
  for (unsigned channel = 0; channel < device::channelsPerLane(device.geometry()); ++channel)
    for (unsigned slot = 0; slot < device::kSlots; ++slot) {
      slots.emplace_back(64);
      cuda::copyToHost(device.context(), slots.back(),
                       device.segments().mine() + offsets.slot(0, channel, slot));
    }
  return slots;
}

/// The same plaintext again and again: 64 bytes that repeat would be a nonce that does.
std::string replaySealed(Communicator& control, const DeviceOptions& options) {
  const auto device = std::make_shared<DeviceImpl>(CommunicatorImpl::of(control), options);
  constexpr std::size_t kCount = 12000;
  const auto in = cuda::DeviceMemory::allocate(device->context(), kCount * 4);
  const auto out = cuda::DeviceMemory::allocate(device->context(), 2 * kCount * 4);
  cuda::zero(device->context(), in.address(), in.bytes());
  auto* const stream = static_cast<cuda::StreamHandle>(device->ownStream());
  const auto call = [&](Collective collective, std::size_t count) {
    device->run({.call = {.collective = collective, .count = count},
                 .in = in.pointer(),
                 .out = out.pointer()},
                stream);
  };
  const auto graph = cuda::Graph::capture(device->context(), stream, [&] {
    call(Collective::allReduce, 50);
    call(Collective::allGather, kCount);
    call(Collective::broadcast, 50);
  });
  const auto ready = cuda::GraphExec::instantiate(graph);
  std::set<std::vector<std::byte>> seen;
  auto before = slotsOf(*device);
  std::size_t changes = 0;
  for (int replay = 0; replay < 40; ++replay) {
    ready.launch(stream);
    device->wait(stream);
    control.barrier();  // nobody writes to me now
    auto now = slotsOf(*device);
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] == before[i]) continue;
      ++changes;
      if (!seen.insert(now[i]).second) return "the same ciphertext was there before";
    }
    before = std::move(now);
    control.barrier();
  }
  return changes < 80 ? "few slots changed: " + std::to_string(changes) : "";
}

TEST(DeviceGraph, SealsEveryReplayUnderNewNonces) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    SCOPED_TRACE(name(mode));
    const DeviceWorld world{.options = modeOf(mode),
                            .device = smallOptions({Collective::allReduce, Collective::allGather,
                                                    Collective::broadcast})};
    EXPECT_EQ(
        playControl(world,
                    [&](Communicator& control) { return replaySealed(control, world.device); }),
        "");
  }
}

}  // namespace
}  // namespace lockstep::test
