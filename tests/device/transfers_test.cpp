// Sends and receives as a caller makes them: alone and together, with itself, in a graph, and what
// is said when the two ends differ.
#include <array>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/cuda/stream.hpp"
#include "device/worlds.hpp"
#include "transport/shm/call.hpp"

namespace lockstep::test {
namespace {

DeviceWorld worldOf(int size, Mode mode, Ranks ranks = Ranks::threads) {
  return {.ranks = ranks,
          .size = size,
          .options = modeOf(mode),
          .device = smallOptions({Collective::allReduce})};
}

float value(int from, int to, std::size_t i) {
  return static_cast<float>(from * 100 + to * 10) + static_cast<float>(i % 7);
}

/// From 0 to 3 messages of each of two lanes, and nothing at all.
std::size_t countOf(int from, int to) {
  return static_cast<std::size_t>((from * 3 + to) % 4) * 1500;
}

std::string allToAllV(Player& player) {
  const int ranks = player.world(), mine = player.rank();
  std::vector<std::size_t> inCounts, inOffsets, outCounts, outOffsets;
  std::size_t in = 0, out = 1;  // not at 16 bytes
  for (int r = 0; r < ranks; ++r) {
    inCounts.push_back(countOf(mine, r));
    inOffsets.push_back(in);
    in += inCounts.back();
    outCounts.push_back(countOf(r, mine));
    outOffsets.push_back(out);
    out += outCounts.back();
  }
  const auto give = player.floats(in, [&](std::size_t i) {
    int to = ranks - 1;
    while (i < inOffsets[static_cast<std::size_t>(to)]) --to;
    return value(mine, to, i - inOffsets[static_cast<std::size_t>(to)]);
  });
  const auto take = player.floats(out, [](auto) { return -1.0f; });
  for (int call = 0; call < 3; ++call)
    player.device.allToAllV(give.pointer(), inCounts, inOffsets, take.pointer(), outCounts,
                            outOffsets, DataType::f32, nullptr);
  player.device.wait(nullptr);
  for (int r = 0; r < ranks; ++r) {
    const auto from = static_cast<std::size_t>(r);
    const std::string wrong =
        player.differs(take.pointer<float>() + outOffsets[from], outCounts[from],
                       [&](std::size_t i) { return value(r, mine, i); });
    if (!wrong.empty()) return fmt::format("from {}: {}", r, wrong);
  }
  return player.differs(take.pointer(), 1, [](auto) { return -1.0f; });
}

TEST(DeviceTransfers, OfAllToAll) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    SCOPED_TRACE(name(mode));
    EXPECT_EQ(playDeviceWorld(worldOf(3, mode), allToAllV), "");
  }
  EXPECT_EQ(playDeviceWorld(worldOf(2, Mode::p2p, Ranks::processes), allToAllV), "");
}

/// To the next rank, with a collective before and after.
std::string aroundTheRing(Player& player) {
  constexpr std::size_t kCount = 20000;
  const int ranks = player.world(), mine = player.rank();
  const int next = (mine + 1) % ranks, previous = (mine + ranks - 1) % ranks;
  const auto give = player.floats(kCount, [&](std::size_t i) { return value(mine, next, i); });
  const auto take = player.allocate(kCount * 4), sum = player.allocate(kCount * 4);
  DeviceCommunicator& device = player.device;
  const auto reduce = [&] {
    device.allReduce(give.pointer(), sum.pointer(), kCount, DataType::f32, Reduction::sum, nullptr);
  };
  reduce();
  if (mine % 2 == 0) {
    device.send(give.pointer(), kCount, DataType::f32, next, nullptr);
    device.receive(take.pointer(), kCount, DataType::f32, previous, nullptr);
  } else {
    device.receive(take.pointer(), kCount, DataType::f32, previous, nullptr);
    device.send(give.pointer(), kCount, DataType::f32, next, nullptr);
  }
  reduce();
  device.wait(nullptr);
  return player.differs(take.pointer(), kCount,
                        [&](std::size_t i) { return value(previous, mine, i); });
}

TEST(DeviceTransfers, BetweenCollectives) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    SCOPED_TRACE(name(mode));
    EXPECT_EQ(playDeviceWorld(worldOf(4, mode), aroundTheRing), "");
  }
}

TEST(DeviceTransfers, ThroughTheHosts) {
  LOCKSTEP_NEEDS_EMULATION();
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    SCOPED_TRACE(name(mode));
    DeviceWorld world = worldOf(2, mode);
    world.environment = {{"LOCKSTEP_FAKE_NO_PEER", "1"}};
    EXPECT_EQ(playDeviceWorld(world, allToAllV), "");
    EXPECT_EQ(playDeviceWorld(world, aroundTheRing), "");
  }
}

/// Two to the peer, which stay in order, and one to itself; the other way round at the same time.
struct Exchange {
  static constexpr std::size_t kCount = 3000;

  explicit Exchange(Player& of)
      : player(of),
        peer(1 - of.rank()),
        give(of.floats(kCount, [&](std::size_t i) { return value(of.rank(), 0, i); })),
        take(of.allocate(kCount * 4)) {}

  void run(DeviceStream stream = nullptr) const {
    const auto* in = give.pointer<const float>();
    auto* out = take.pointer<float>();
    const std::array<Send, 3> sends{{{in, 1000, DataType::f32, peer},
                                           {in + 1000, 1999, DataType::f32, peer},
                                           {in + 2999, 1, DataType::f32, player.rank()}}};
    const std::array<Receive, 3> receives{{{out, 1000, DataType::f32, peer},
                                                 {out + 2999, 1, DataType::f32, player.rank()},
                                                 {out + 1000, 1999, DataType::f32, peer}}};
    player.device.exchange(sends, receives, stream);
  }
  std::string check() const {
    return player.differs(take.pointer(), kCount, [&](std::size_t i) {
      return value(i == 2999 ? player.rank() : peer, 0, i);
    });
  }

  Player& player;
  int peer;
  cuda::DeviceMemory give, take;
};

TEST(DeviceTransfers, SideBySideAndWithItself) {
  EXPECT_EQ(playDeviceWorld(worldOf(2, Mode::p2p),
                            [](Player& player) {
                              const Exchange exchange(player);
                              exchange.run();
                              player.device.wait(nullptr);
                              return exchange.check();
                            }),
            "");
}

TEST(DeviceTransfers, AreReplayed) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    SCOPED_TRACE(name(mode));
    const auto play = [](Player& player) {
      const Exchange exchange(player);
      exchange.run();  // loads the kernel
      player.device.wait(nullptr);
      auto* const stream = static_cast<cuda::StreamHandle>(player.device.stream());
      const auto graph = cuda::GraphExec::instantiate(
          cuda::Graph::capture(player.context, stream, [&] { exchange.run(stream); }));
      for (int replay = 0; replay < 10; ++replay) graph.launch(stream);
      player.device.wait(stream);
      return exchange.check();
    };
    EXPECT_EQ(playDeviceWorld(worldOf(2, mode), play), "");
  }
}

// ---- what is wrong ----

TEST(DeviceTransfers, OfOtherSizesAreNamed) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    SCOPED_TRACE(name(mode));
    const std::string_view word = isSealed(mode) ? shm::kHearsay : "";
    const auto play = [&](Player& player) -> std::string {
      const auto memory = player.allocate(400);
      const std::string said = errorOf([&] {
        if (player.rank() == 0)
          player.device.send(memory.pointer(), 100, DataType::f32, 1, nullptr);
        else
          player.device.receive(memory.pointer(), 50, DataType::i32, 0, nullptr);
        player.device.wait(nullptr);
      });
      player.control.barrier();
      if (player.rank() == 0) return {};  // it may have ended before
      return lacks(
          said, {"mismatch(0)", "rank 0 sent 400 bytes of f32", "rank 1 expected 200 bytes of i32",
                 "rank 0 is in an exchange of 1 sends and 0 receives", word});
    };
    EXPECT_EQ(playDeviceWorld(worldOf(2, mode), play), "");
  }
}

TEST(DeviceTransfers, ThatMeetACollectiveAreNamed) {
  const auto play = [](Player& player) -> std::string {
    const auto memory = player.allocate(80000);
    const std::string said = errorOf([&] {
      if (player.rank() == 0)
        player.device.allReduce(memory.pointer(), memory.pointer(), 20000, DataType::f32,
                                Reduction::sum, nullptr);
      else
        player.device.receive(memory.pointer(), 20000, DataType::f32, 0, nullptr);
      player.device.wait(nullptr);
    });
    player.control.barrier();
    if (player.rank() == 0) return {};
    return lacks(said, {"mismatch(0)", "rank 1 expected 80000 bytes of f32"});
  };
  EXPECT_EQ(playDeviceWorld(worldOf(2, Mode::p2p), play), "");
}

TEST(DeviceTransfers, ThatNobodyMakesTimeOut) {
  DeviceWorld world = worldOf(2, Mode::p2p);
  world.options.timeout = 2s;
  const auto play = [](Player& player) -> std::string {
    const auto memory = player.allocate(400);
    std::string said;
    if (player.rank() == 1)
      said = errorOf([&] {
        player.device.receive(memory.pointer(), 100, DataType::f32, 0, nullptr);
        player.device.wait(nullptr);
      });
    return player.rank() == 0 ? "" : lacks(said, {"timeout(0)", "rank 0 has made no call yet"});
  };
  EXPECT_EQ(playDeviceWorld(world, play), "");
}

TEST(DeviceTransfers, ThatRunAtOnceAreRefused) {
  const auto play = [](Player& player) -> std::string {
    const auto memory = player.allocate(400);
    const cuda::Stream other = cuda::Stream::create(player.context);
    std::string said;
    if (player.rank() == 1) {
      player.device.receive(memory.pointer(), 50, DataType::f32, 0, nullptr);
      player.device.receive(memory.pointer<float>() + 50, 50, DataType::f32, 0, other.handle());
      said = errorOf([&] { player.device.wait(nullptr); });
      errorOf([&] { player.device.wait(other.handle()); });  // has ended, too
    }
    player.control.barrier();
    return player.rank() == 0 ? "" : lacks(said, {"mismatch(1)", "two calls of one communicator"});
  };
  EXPECT_EQ(playDeviceWorld(worldOf(2, Mode::p2p), play), "");
}

TEST(DeviceTransfers, ArgumentsAreChecked) {
  const auto play = [](Player& player) -> std::string {
    const auto memory = player.allocate(400);
    float* const at = memory.pointer<float>();
    DeviceCommunicator& device = player.device;
    const int mine = player.rank();
    const Send toMe{at, 4, DataType::f32, mine};
    const Receive fromMe{at + 8, 5, DataType::f32, mine};
    for (const auto& [said, parts] :
         std::initializer_list<std::pair<std::string, std::initializer_list<std::string_view>>>{
             {errorOf([&] { device.send(nullptr, 1, DataType::f32, 1 - mine, nullptr); }),
              {"invalid", "null"}},
             {errorOf([&] { device.send(at, 1, DataType::f32, 2, nullptr); }),
              {"invalid", "rank 2 is not in a world of 2"}},
             {errorOf([&] { device.receive(at, std::size_t{1} << 50, DataType::u8, 1, nullptr); }),
              {"invalid"}},
             {errorOf([&] { device.send(at, 1, DataType::f32, mine, nullptr); }),
              {"invalid", "one exchange"}},
             {errorOf([&] {
                device.exchange({&toMe, 1}, {&fromMe, 1}, nullptr);
              }),
              {"mismatch", "sends itself 4 of f32, and receives 5 of f32"}}})
      if (const std::string missing = lacks(said, parts); !missing.empty()) return missing;
    device.exchange({}, {}, nullptr);  // nothing
    device.wait(nullptr);              // and nothing is poisoned
    player.control.barrier();
    return {};
  };
  EXPECT_EQ(playDeviceWorld(worldOf(2, Mode::p2p), play), "");
}

}  // namespace
}  // namespace lockstep::test
