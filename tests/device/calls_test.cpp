// Calls that follow each other: without waiting, with ranks that are late, of several communicators
// at once, of several ranks in one launch.
#include <optional>

#include <gtest/gtest.h>

#include "device/trial.hpp"

namespace lockstep::test {
namespace {

float value(int rank, std::size_t i) {
  return static_cast<float>(i % 31) + static_cast<float>(rank);
}
float sum(int world, std::size_t i) {
  float all = 0;
  for (int r = 0; r < world; ++r) all += value(r, i);
  return all;
}

/// An all-reduce, and at once an all-gather of the same size, in one stream.
std::string callBoth(Player& player, std::size_t count) {
  const int world = player.world(), rank = player.rank();
  const auto in = player.floats(count, [&](std::size_t i) { return value(rank, i); });
  const auto reduced = player.allocate(count * 4);
  const auto gathered = player.allocate(count * 4 * static_cast<std::size_t>(world));
  if (rank == 1) sleepFor(50ms);
  player.device.allReduce(in.pointer(), reduced.pointer(), count, DataType::f32, Reduction::sum,
                          nullptr);
  if (rank == 0) sleepFor(50ms);
  player.device.allGather(in.pointer(), gathered.pointer(), count, DataType::f32, nullptr);
  player.device.wait(nullptr);
  std::string wrong =
      player.differs(reduced.pointer(), count, [&](std::size_t i) { return sum(world, i); });
  if (wrong.empty())
    wrong = player.differs(gathered.pointer(), count * static_cast<std::size_t>(world),
                           [&](std::size_t i) { return value(int(i / count), i % count); });
  return wrong;
}

TEST(DeviceCalls, FollowEachOtherWhoeverIsLate) {
  for (const Mode mode : {Mode::p2p, Mode::cc})
    for (const std::size_t count : {10, 20000}) {
      SCOPED_TRACE(name(mode));
      const DeviceWorld world{
          .size = 3,
          .options = modeOf(mode),
          .device = smallOptions({Collective::allReduce, Collective::allGather})};
      EXPECT_EQ(playDeviceWorld(world, [&](Player& p) { return callBoth(p, count); }), "");
    }
}

TEST(DeviceCalls, ManyWaitInAStream) {
  const DeviceWorld world{.options = modeOf(Mode::p2p),
                          .device = smallOptions({Collective::allReduce})};
  EXPECT_EQ(playDeviceWorld(
                world,
                [](Player& player) -> std::string {
                  constexpr std::size_t kCount = 100;
                  constexpr int kCalls = 300;
                  // Twice what it was with every other call, in place.
                  const auto data = player.floats(kCount, [](auto) { return 1e-30f; });
                  float wanted = 1e-30f;
                  for (int call = 0; call < kCalls; ++call) {
                    const bool sums = call % 2 == 0;
                    player.device.allReduce(data.pointer(), data.pointer(), kCount, DataType::f32,
                                            sums ? Reduction::sum : Reduction::avg, nullptr);
                    if (sums) wanted *= 2;
                  }
                  player.device.wait(nullptr);
                  return player.differs(data.pointer(), kCount, [&](auto) { return wanted; });
                }),
            "");
}

TEST(DeviceCalls, OfTwoCommunicatorsRunSideBySide) {
  const DeviceWorld world{.options = modeOf(Mode::p2p),
                          .device = smallOptions({Collective::allReduce, Collective::allGather})};
  EXPECT_EQ(playControl(world,
                        [&](Communicator& control) -> std::string {
                          auto first = DeviceCommunicator::create(control, world.device);
                          Communicator otherControl = control.duplicate();
                          auto second = DeviceCommunicator::create(otherControl, world.device);
                          const auto context = cuda::PrimaryContext::retain(first.device().ordinal);
                          Player one{control, first, context}, two{otherControl, second, context};
                          constexpr std::size_t kCount = 5000;
                          const int rank = one.rank();
                          const auto in =
                              one.floats(kCount, [&](std::size_t i) { return value(rank, i); });
                          const auto a = one.allocate(kCount * 4), b = one.allocate(kCount * 4);
                          // Ranks start them in opposite orders: streams are independent.
                          for (int turn = 0; turn < 2; ++turn) {
                            const bool isFirst = (turn + rank) % 2 == 0;
                            DeviceCommunicator& device = isFirst ? first : second;
                            device.allReduce(in.pointer(), (isFirst ? a : b).pointer(), kCount,
                                             DataType::f32, Reduction::sum, device.stream());
                          }
                          first.wait(first.stream());
                          second.wait(second.stream());
                          const auto wanted = [](std::size_t i) { return sum(2, i); };
                          std::string wrong = one.differs(a.pointer(), kCount, wanted);
                          return wrong.empty() ? two.differs(b.pointer(), kCount, wanted) : wrong;
                        }),
            "");
}

/// Ranks of one process: made by a thread each, then called by one thread.
std::string playTogether(const std::function<std::string(std::vector<DeviceCommunicator>&)>& body,
                         const char* gpus) {
  return runProcesses(1, [&](int) {
    enter(withKernels({{"LOCKSTEP_FAKE_GPUS", gpus}}));
    auto controls = Communicator::createInProcess(3, modeOf(Mode::p2p));
    std::vector<std::optional<DeviceCommunicator>> made(3);
    std::string said = failuresOf(runThreads(3, [&](int rank) -> std::string {
      const auto r = static_cast<std::size_t>(rank);
      made[r] = DeviceCommunicator::create(controls[r], smallOptions({Collective::allReduce}));
      return {};
    }));
    if (said.empty()) {
      std::vector<DeviceCommunicator> ranks;
      for (auto& rank : made) ranks.push_back(*std::move(rank));
      made.clear();
      said = body(ranks);
    }
    made.clear();
    controls.clear();
    return leave(said);
  })[0];
}

TEST(DeviceCalls, RanksOfOneGpuRunInOneLaunch) {
  const auto body = [](std::vector<DeviceCommunicator>& ranks) -> std::string {
    const auto context = cuda::PrimaryContext::retain(0);
    constexpr std::size_t kCount = 3000;
    std::vector<cuda::DeviceMemory> memories;
    std::vector<const void*> ins;
    std::vector<void*> outs;
    for (int r = 0; r < 3; ++r) {
      std::vector<float> values(kCount);
      for (std::size_t i = 0; i < kCount; ++i) values[i] = value(r, i);
      memories.push_back(cuda::DeviceMemory::allocate(context, kCount * 4));
      cuda::copyToDevice(context, memories.back().address(), std::as_bytes(std::span(values)));
      ins.push_back(memories.back().pointer());
      memories.push_back(cuda::DeviceMemory::allocate(context, kCount * 4));
      outs.push_back(memories.back().pointer());
    }
    const auto call = [&](Reduction reduction, std::span<const double> factors) {
      DeviceCommunicator::runTogether(ranks, Collective::allReduce, ins, outs, kCount,
                                      DataType::f32, reduction, 0, nullptr, factors);
    };
    const auto sums = [&](auto wanted) {
      ranks[0].wait(nullptr);
      std::vector<float> got(kCount);
      for (int r = 0; r < 3; ++r) {
        cuda::copyToHost(context, std::as_writable_bytes(std::span(got)),
                         memories[static_cast<std::size_t>(2 * r + 1)].address());
        for (std::size_t i = 0; i < kCount; ++i)
          if (got[i] != wanted(i)) return false;
      }
      return true;
    };
    for (int turn = 0; turn < 3; ++turn) call(Reduction::sum, {});
    if (!sums([](std::size_t i) { return sum(3, i); })) return "wrong sum";
    const std::array factors{2.0, -1.0, 8.0};
    call(Reduction::preMulSum, factors);
    if (!sums([](std::size_t i) { return 2 * value(0, i) - value(1, i) + 8 * value(2, i); }))
      return "wrong premultiplied sum";
    const std::string few =
        errorOf([&] { call(Reduction::preMulSum, std::span(factors).first(2)); });
    const std::string error = errorOf([&] {
      DeviceCommunicator::runTogether(ranks, Collective::allReduce, std::span(ins).first(2), outs,
                                      kCount, DataType::f32, Reduction::sum, 0, nullptr);
    });
    return lacks(few, {"invalid argument", "3 ranks in one launch, but 2 factors"}) +
           lacks(error, {"invalid argument", "3 ranks in one launch, but 2 and 3 buffers"});
  };
  EXPECT_EQ(playTogether(body, "1"), "");
}

TEST(DeviceCalls, RanksOfSeveralGpusAreNoLaunch) {
  LOCKSTEP_NEEDS_EMULATION();
  const auto body = [](std::vector<DeviceCommunicator>& ranks) {
    const std::vector<const void*> ins(3);
    const std::vector<void*> outs(3);
    const std::string error = errorOf([&] {
      DeviceCommunicator::runTogether(ranks, Collective::allReduce, ins, outs, 0, DataType::f32,
                                      Reduction::sum, 0, nullptr);
    });
    return lacks(error, {"invalid argument", "ranks of one launch are on one GPU"});
  };
  EXPECT_EQ(playTogether(body, "2"), "");
}

}  // namespace
}  // namespace lockstep::test
