// How calls fail: bounded, on every rank, with words that say who and what.
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "device/trial.hpp"

namespace lockstep::test {
namespace {

constexpr std::array kKinds{Ranks::threads, Ranks::processes};

/// A world whose kernels give up soon.
DeviceWorld impatient(Ranks ranks, std::vector<Collective> collectives, int milliseconds = 700) {
  DeviceWorld world{
      .ranks = ranks, .options = modeOf(Mode::p2p), .device = smallOptions(std::move(collectives))};
  world.options.timeout = std::chrono::milliseconds(milliseconds);
  return world;
}

/// Time for a loaded machine.
constexpr int kPatient = 20000;

struct Memory {
  explicit Memory(Player& player) : in(player.allocate(1 << 20)), out(player.allocate(1 << 20)) {
    cuda::zero(player.context, in.address(), in.bytes());
  }
  cuda::DeviceMemory in, out;
};

void reduce(Player& player, const void* in, void* out, std::size_t count) {
  player.device.allReduce(in, out, count, DataType::f32, Reduction::sum, nullptr);
}

/// What this rank hears when it waits for the call.
std::string waitedFor(Player& player) {
  return errorOf([&] { player.device.wait(nullptr); });
}

/// After a failure every call says so.
std::string isOver(Player& player, Memory& memory) {
  return lacks(errorOf([&] { reduce(player, memory.in.pointer(), memory.out.pointer(), 8); }),
               {"aborted", "has failed; make a new one"});
}

TEST(DeviceFailure, ARankThatDoesNotComeIsNamedWithItsCall) {
  for (const Ranks ranks : kKinds) {
    const auto play = [](Player& player) -> std::string {
      Memory memory(player);
      reduce(player, memory.in.pointer(), memory.out.pointer(), 100);
      player.device.wait(nullptr);
      player.control.barrier();
      if (player.rank() == 0) {
        reduce(player, memory.in.pointer(), memory.out.pointer(), 77);
        std::string said =
            lacks(waitedFor(player), {"timeout(1)", "rank 0 waited 700 ms for message",
                                      "rank 0 is at call 2, allreduce (count 77, f32 sum)",
                                      "rank 1 is at call 1, allreduce (count 100, f32 sum)"});
        if (!said.empty()) return said;
        if (said = lacks(waitedFor(player), {"timeout(1)"}); !said.empty()) return said;
        return isOver(player, memory);
      }
      for (;;) {  // it is told without having called
        const std::string said = errorOf([&] { player.device.check(); });
        if (!said.empty()) return lacks(said, {"timeout(1)", "rank 0 waited"});
        sleepFor(10ms);
      }
    };
    EXPECT_EQ(playDeviceWorld(impatient(ranks, {Collective::allReduce}), play), "");
  }
}

/// Every rank's call, and what each must hear.
using Call = std::function<void(Player&, Memory&)>;
std::string mismatched(Player& player, const Call& call,
                       std::initializer_list<std::string_view> parts) {
  Memory memory(player);
  call(player, memory);
  std::string said = lacks(waitedFor(player), parts);
  return said.empty() ? isOver(player, memory) : said;
}

TEST(DeviceFailure, DifferentCallsAreBothNamed) {
  for (const Ranks ranks : kKinds)
    for (const std::size_t count : {50, 20000}) {  // by lines, by slots
      const auto world = impatient(ranks, {Collective::allReduce, Collective::allGather}, kPatient);
      const auto counts = [&](Player& p, Memory& m) {
        const auto mine = count + static_cast<std::size_t>(p.rank());
        reduce(p, m.in.pointer(), m.out.pointer(), mine);
      };
      EXPECT_EQ(
          playDeviceWorld(
              world,
              [&](Player& p) {
                return mismatched(
                    p, counts,
                    {"mismatch", "ranks made different calls",
                     fmt::format("rank 0 is at call 1, allreduce (count {}, f32 sum)", count),
                     fmt::format("rank 1 is at call 1, allreduce (count {}, f32 sum)", count + 1)});
              }),
          "");
      const auto types = [&](Player& p, Memory& m) {
        if (p.rank() == 0)
          reduce(p, m.in.pointer(), m.out.pointer(), count);
        else
          p.device.allGather(m.in.pointer(), m.out.pointer(), count, DataType::i32, nullptr);
      };
      EXPECT_EQ(playDeviceWorld(world,
                                [&](Player& p) {
                                  return mismatched(p, types,
                                                    {"mismatch", "rank 0 is at call 1, allreduce",
                                                     "rank 1 is at call 1, allgather"});
                                }),
                "");
    }
}

TEST(DeviceFailure, BuffersOfDifferentKindsAreAMismatch) {
  const auto play = [](Player& player) {
    const DeviceBuffer in = player.device.alloc(1 << 20), out = player.device.alloc(1 << 20);
    return mismatched(
        player,
        [&](Player& p, Memory& m) {
          if (p.rank() == 0)
            reduce(p, in.data(), out.data(), 30000);
          else
            reduce(p, m.in.pointer(), m.out.pointer(), 30000);
        },
        {"mismatch", "rank 0 is at call 1, allreduce (count 30000, f32 sum) in buffers of alloc",
         "rank 1 is at call 1, allreduce (count 30000, f32 sum)"});
  };
  EXPECT_EQ(playDeviceWorld(impatient(Ranks::threads, {Collective::allReduce}), play), "");
}

TEST(DeviceFailure, AbortEndsAKernelThatWaits) {
  for (const Ranks ranks : kKinds)
    for (const int who : {0, 1}) {
      const auto play = [&](Player& player) -> std::string {
        Memory memory(player);
        if (player.rank() == 0) reduce(player, memory.in.pointer(), memory.out.pointer(), 100);
        player.control.barrier();
        const auto begin = Clock::now();
        std::thread aborter;
        if (player.rank() == who)
          aborter = std::thread([&] {
            sleepFor(50ms);
            player.device.abort();
          });
        std::string said;
        if (player.rank() == 0) {
          said = lacks(waitedFor(player), {"aborted"});
        } else {
          while (said.empty()) said = errorOf([&] { player.device.check(); });
          said = lacks(said, {"aborted"});
        }
        if (aborter.joinable()) aborter.join();
        if (Clock::now() - begin > 10s) said += "that took long";
        return said.empty() ? isOver(player, memory) : said;
      };
      EXPECT_EQ(playDeviceWorld(impatient(ranks, {Collective::allReduce}, kPatient), play), "");
    }
}

TEST(DeviceFailure, AProcessThatDiesIsAnErrorAtOnce) {
  DeviceWorld world = impatient(Ranks::processes, {Collective::allReduce}, kPatient);
  world.size = 3;
  const std::string said = playDeviceWorld(world, [](Player& player) -> std::string {
    Memory memory(player);
    reduce(player, memory.in.pointer(), memory.out.pointer(), 100);
    player.device.wait(nullptr);
    player.control.barrier();
    if (player.rank() == 1) {
      sleepFor(200ms);  // until the others wait
      ::kill(::getpid(), SIGKILL);
    }
    reduce(player, memory.in.pointer(), memory.out.pointer(), 100);
    const auto begin = Clock::now();
    std::string heard = lacks(waitedFor(player), {"peer died(1)", "the process of rank 1 is gone"});
    if (Clock::now() - begin > 200ms + 100ms + 2s) heard += "that took long";  // a loaded machine
    return heard.empty() ? isOver(player, memory) : heard;
  });
  EXPECT_EQ(said, "rank 1: died; ");
}

TEST(DeviceFailure, WrongArgumentsAreSaidAndHarmNothing) {
  DeviceWorld world{.options = modeOf(Mode::p2p), .device = smallOptions({Collective::allReduce})};
  const auto play = [](Player& player) -> std::string {
    Memory memory(player);
    auto* const in = static_cast<std::byte*>(memory.in.pointer());
    auto* const out = static_cast<std::byte*>(memory.out.pointer());
    const auto call = [&](Collective c, const void* from, void* to, std::size_t count, DataType t,
                          Reduction r, int root) {
      return errorOf([&] { player.device.run(c, from, to, count, t, r, root, nullptr); });
    };
    constexpr auto kReduce = Collective::allReduce;
    constexpr auto kSum = Reduction::sum;
    const std::array errors{
        lacks(call(static_cast<Collective>(99), in, out, 1, DataType::f32, kSum, 0),
              {"invalid argument", "no such collective (99)"}),
        lacks(call(kReduce, in, out, 1, static_cast<DataType>(99), kSum, 0),
              {"invalid argument", "no such type (99)"}),
        lacks(call(kReduce, in, out, 1, DataType::f32, static_cast<Reduction>(99), 0),
              {"invalid argument", "no such reduction (99)"}),
        lacks(
            errorOf([&] {
              player.device.allReduce(in, out, 1, DataType::i32, PremultipliedSum{0.5}, nullptr);
            }),
            {"invalid argument", "allreduce: factor 0.5 of a premultiplied sum; for i32 it is a"}),
        lacks(call(kReduce, nullptr, out, 1, DataType::f32, kSum, 0),
              {"invalid argument", "allreduce (count 1, f32 sum): a buffer is null"}),
        lacks(call(kReduce, in, nullptr, 1, DataType::f32, kSum, 0),
              {"invalid argument", "a buffer is null"}),
        lacks(call(kReduce, in + 1, out, 1, DataType::f32, kSum, 0),
              {"invalid argument", "does not begin at an element"}),
        lacks(call(kReduce, in, in + 4, 2, DataType::f32, kSum, 0),
              {"invalid argument", "in and out overlap"}),
        lacks(call(Collective::allGather, in, in + 4, 2, DataType::f32, kSum, 0),
              {"invalid argument", "overlap"}),
        lacks(call(kReduce, in, out, ~std::size_t{0} / 8, DataType::f32, kSum, 0),
              {"invalid argument", "so many elements"}),
        lacks(call(Collective::broadcast, in, out, 1, DataType::f32, kSum, 2),
              {"invalid argument", "there is no rank 2 in a world of 2"}),
        lacks(call(Collective::broadcast, in, out, 1, DataType::f32, kSum, -1),
              {"invalid argument", "there is no rank -1"}),
        lacks(errorOf([&] {
                player.device.plan(static_cast<Collective>(99), 1, DataType::f32, false);
              }),
              {"invalid argument"}),
        lacks(errorOf([&] { player.device.plan(kReduce, 1, static_cast<DataType>(99), false); }),
              {"invalid argument"}),
    };
    for (const std::string& error : errors)
      if (!error.empty()) return error;
    reduce(player, in, out, 100);
    player.device.wait(nullptr);
    return {};
  };
  EXPECT_EQ(playDeviceWorld(world, play), "");
}

TEST(DeviceFailure, AllocSaysWhatIsLeftOrDiffers) {
  for (const Ranks ranks : kKinds) {
    DeviceWorld world{.ranks = ranks,
                      .options = modeOf(Mode::p2p),
                      .device = smallOptions({Collective::barrier})};
    const auto play = [](Player& player) -> std::string {
      const auto error = [&](std::size_t bytes) {
        return errorOf([&] { player.device.alloc(bytes); });
      };
      std::string said = lacks(error(std::size_t{5} << 20),
                               {"invalid argument", "4194304 left in one piece", "heapBytes"});
      if (said.empty()) said = lacks(error(0), {"invalid argument"});
      if (said.empty())
        said = lacks(error(1000 + static_cast<std::size_t>(player.rank())),
                     {"mismatch", "1000", "1001"});
      if (!said.empty()) return said;
      const DeviceBuffer all = player.device.alloc(std::size_t{4} << 20);
      if (said = lacks(error(1), {"invalid argument", "0 left"}); !said.empty()) return said;
      player.device.barrier(nullptr);
      player.device.wait(nullptr);
      return {};
    };
    EXPECT_EQ(playDeviceWorld(world, play), "");
  }
}

TEST(DeviceFailure, ALaunchThatIsRefusedEndsTheOthersCallToo) {
  LOCKSTEP_NEEDS_EMULATION();
  DeviceWorld world = impatient(Ranks::processes, {Collective::allReduce}, kPatient);
  const auto play = [](Player& player) -> std::string {
    Memory memory(player);
    if (player.rank() == 1) ::setenv("LOCKSTEP_FAKE_FAIL", "cuLaunchKernelEx=2", 1);
    const std::string said = errorOf([&] {
      reduce(player, memory.in.pointer(), memory.out.pointer(), 100);
      player.device.wait(nullptr);
    });
    ::unsetenv("LOCKSTEP_FAKE_FAIL");
    return player.rank() == 1 ? lacks(said, {"system", "CUDA_ERROR_OUT_OF_MEMORY"})
                              : lacks(said, {"aborted(1)", "rank 1 aborted or failed"});
  };
  EXPECT_EQ(playDeviceWorld(world, play), "");
}

}  // namespace
}  // namespace lockstep::test
