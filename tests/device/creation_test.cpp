// What one rank cannot do when a communicator is made is an error of all: soon, of one kind, and
// nothing is left behind.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "device/worlds.hpp"
#include "support/attester.hpp"

namespace lockstep::test {
namespace {

constexpr std::array kKinds{Ranks::threads, Ranks::processes};
const char* nameOf(Ranks ranks) {
  return ranks == Ranks::threads ? "threads" : "processes";
}

/// All ranks' errors have these words, and came soon. `prepare` may change the rank's own options.
std::string allHear(DeviceWorld world, std::initializer_list<std::string_view> parts,
                    const std::function<void(int rank, DeviceOptions&)>& prepare = {}) {
  world.options.timeout = 60s;
  return playControl(world, [&](Communicator& control) {
    DeviceOptions options = world.device;
    if (prepare) prepare(control.rank(), options);
    const auto begin = Clock::now();
    std::string said = lacks(errorOf([&] { DeviceCommunicator::create(control, options); }), parts);
    if (Clock::now() - begin > 20s) said += " that took long";
    return said;
  });
}

DeviceWorld worldOf(Ranks ranks, Mode mode = Mode::p2p) {
  return {.ranks = ranks, .options = modeOf(mode), .device = smallOptions({Collective::barrier})};
}

TEST(DeviceCreation, WhatWasMovedFromRefusesItsCalls) {
  const DeviceWorld world = worldOf(Ranks::threads);
  EXPECT_EQ(playControl(world,
                        [&](Communicator& control) {
                          DeviceCommunicator from =
                              DeviceCommunicator::create(control, world.device);
                          DeviceCommunicator to = std::move(from);
                          std::string said = lacks(errorOf([&] { from.barrier(to.stream()); }),
                                                   {"invalid argument", "moved elsewhere"});
                          if (from.rank() != -1 || from.worldSize() != 0) said += " it has a rank";
                          from.abort();  // nothing
                          to.barrier(to.stream());
                          to.wait(to.stream());
                          return said;
                        }),
            "");
}

TEST(DeviceCreation, OptionsMustMakeSenseAndBeAlike) {
  struct Wrong {
    std::function<void(int rank, DeviceOptions&)> prepare;
    std::vector<std::string_view> parts;
  };
  const auto onRank1 = [](auto change) {
    return [change](int rank, DeviceOptions& options) {
      if (rank == 1) change(options);
    };
  };
  const std::array wrongs{
      Wrong{onRank1([](auto& o) { o.blocks = 129; }), {"invalid argument(1)", "blocks is 129"}},
      Wrong{onRank1([](auto& o) { o.blocks = -1; }), {"invalid argument(1)", "blocks is -1"}},
      Wrong{onRank1([](auto& o) { o.slotBytes = 5000; }),
            {"invalid argument(1)", "slotBytes is 5000"}},
      Wrong{onRank1([](auto& o) { o.slotBytes = 1 << 20; }),
            {"invalid argument(1)", "slotBytes is 1048576"}},
      Wrong{onRank1([](auto& o) { o.heapBytes = ~std::size_t{0}; }),
            {"invalid argument(1)", "heapBytes"}},
      Wrong{onRank1([](auto& o) { o.device = 7; }),
            {"invalid argument(1)", "there is no GPU 7; this machine has 2"}},
      Wrong{onRank1([](auto& o) { o.types = {static_cast<DataType>(99)}; }),
            {"invalid argument(1)", "a collective, type or reduction"}},
      Wrong{onRank1([](auto& o) { o.heapBytes *= 2; }),
            {"mismatch(1)", "rank 1 has other DeviceOptions than rank 0", "8388608 and 4194304"}},
      Wrong{onRank1([](auto& o) { o.slotBytes = 8192; }), {"mismatch(1)", "8192 and 4096"}},
      Wrong{onRank1([](auto& o) { o.blocks = 3; }), {"mismatch(1)", "blocks 3 and 2"}},
      Wrong{onRank1([](auto& o) { o.types = {DataType::f64}; }),
            {"mismatch(1)", "collectives, types or reductions"}},
  };
  for (std::size_t i = 0; i < wrongs.size(); ++i) {
    SCOPED_TRACE(i);
    const auto& parts = wrongs[i].parts;
    const DeviceWorld world = worldOf(Ranks::threads);
    EXPECT_EQ(allHear(world, {parts[0], parts[1], parts.back()}, wrongs[i].prepare), "");
  }
}

TEST(DeviceCreation, RanksThatShareAGpuOrSealTakeItsMultiprocessors) {
  struct Shape {
    const char* gpus;
    Mode mode;
    int asked, blocks;
  };
  for (const auto& [gpus, mode, asked, blocks] :
       {Shape{"2", Mode::p2p, 0, 32}, Shape{"1", Mode::p2p, 0, 45}, Shape{"2", Mode::cc, 0, 90},
        Shape{"1", Mode::p2p, 40, 40}, Shape{"1", Mode::p2p, 100, 45}}) {
    SCOPED_TRACE(fmt::format("{} GPUs, {}, {} asked for", gpus, name(mode), asked));
    DeviceWorld world = worldOf(Ranks::threads, mode);
    world.device.blocks = asked;
    world.environment["LOCKSTEP_FAKE_GPUS"] = gpus;
    world.environment["LOCKSTEP_FAKE_SMS"] = "90";
    EXPECT_EQ(playDeviceWorld(world,
                              [blocks](Player& player) {
                                const Plan plan =
                                    player.device.plan(Collective::allReduce, std::size_t{1} << 24,
                                                       DataType::f32, false);
                                return plan.depth == blocks
                                           ? std::string()
                                           : fmt::format("{} blocks of a rank", plan.depth);
                              }),
              "");
  }
}

TEST(DeviceCreation, WithoutADriverOnOneRankThereIsNoneOnAny) {
  for (const int who : {0, 1}) {
    const auto hide = [who](int rank, DeviceOptions&) {
      if (rank == who) ::setenv("LOCKSTEP_CUDA_LIBRARY", "/nowhere/libcuda.so", 1);
    };
    EXPECT_EQ(allHear(worldOf(Ranks::processes),
                      {fmt::format("unsupported({})", who), "no GPU because"}, hide),
              "");
  }
  DeviceWorld none = worldOf(Ranks::threads);
  none.environment["LOCKSTEP_FAKE_GPUS"] = "0";
  EXPECT_EQ(allHear(none, {"unsupported(0)", "no GPU because"}), "");
}

TEST(DeviceCreation, WithoutACompilerOnOneRankThereIsNoneOnAny) {
  for (const int who : {0, 1}) {
    const auto hide = [who](int rank, DeviceOptions&) {
      if (rank == who) ::setenv("LOCKSTEP_NVRTC_LIBRARY", "/nowhere/libnvrtc.so", 1);
      ::setenv("LOCKSTEP_CACHE_DIR", "", 1);
    };
    EXPECT_EQ(allHear(worldOf(Ranks::processes), {fmt::format("({})", who), "NVRTC"}, hide), "");
  }
}

TEST(DeviceCreation, WithoutPeerAccessCallsGoThroughTheHosts) {
  for (const Ranks ranks : kKinds) {
    DeviceWorld world = worldOf(ranks);
    world.environment["LOCKSTEP_FAKE_NO_PEER"] = "1";
    EXPECT_EQ(
        playDeviceWorld(world,
                        [](Player& player) {
                          const auto in = player.floats(1000, [](auto) { return 1.0f; });
                          player.device.allReduce(in.pointer(), in.pointer(), 1000, DataType::f32,
                                                  Reduction::sum, nullptr);
                          player.device.wait(nullptr);
                          const std::string said =
                              lacks(player.device.multicastPath(), {"no peer access from GPU 0"});
                          if (!said.empty()) return said;
                          return player.differs(in.pointer(), 1000, [](auto) { return 2.0f; });
                        }),
        "");
  }
}

// Keys reach GPUs over the hosts' sealed channel, whatever authenticated that.
TEST(DeviceCreation, IsAuthenticatedAsTheHostsAre) {
  for (const Ranks ranks : kKinds) {
    DeviceWorld world = worldOf(ranks, Mode::cc);
    world.device = smallOptions({Collective::allReduce});
    world.options.insecureKeys = false;
    world.options.attestation = std::make_shared<const Attestation>(testing::softwareAttestation());
    EXPECT_EQ(playDeviceWorld(world,
                              [](Player& player) {
                                const std::string said =
                                    lacks(player.device.keySource(), {"X25519 and attestation"});
                                if (!said.empty()) return said;
                                const auto in = player.floats(1000, [](auto) { return 1.0f; });
                                player.device.allReduce(in.pointer(), in.pointer(), 1000,
                                                        DataType::f32, Reduction::sum, nullptr);
                                player.device.wait(nullptr);
                                return player.differs(in.pointer(), 1000,
                                                      [](auto) { return 2.0f; });
                              }),
              "");
  }
}

TEST(DeviceCreation, ARankThatDoesNotComeIsNamed) {
  for (const Ranks ranks : kKinds) {
    DeviceWorld world = worldOf(ranks);
    world.options.timeout = 500ms;
    EXPECT_EQ(playControl(world,
                          [&](Communicator& control) -> std::string {
                            if (control.rank() == 1) {
                              sleepFor(1500ms);
                              return {};
                            }
                            return lacks(
                                errorOf([&] { DeviceCommunicator::create(control, world.device); }),
                                {"timeout(1)", "1"});
                          }),
              "");
  }
}

/// Works, or all ranks hear of the failure.
std::string worksOrAllHear(const DeviceWorld& world) {
  return playControl(world, [&](Communicator& control) -> std::string {
    const std::string said = errorOf([&] { DeviceCommunicator::create(control, world.device); });
    // What each heard, compared.
    const auto mine = static_cast<std::uint64_t>(std::hash<std::string>()(said));
    std::array<std::uint64_t, 2> all{};
    control.allGather(&mine, all.data(), 1, DataType::u64);
    if (all[0] != all[1]) return "not all alike: " + said;
    return said.empty() ? said : lacks(said, {"CUDA_ERROR_OUT_OF_MEMORY"});
  });
}

class DeviceCreationFails : public ::testing::TestWithParam<std::tuple<Ranks, Mode, const char*>> {
};

/// Each call of the driver on the way, failing the first times it is made on each rank.
TEST_P(DeviceCreationFails, OnAllRanksOrOnNone) {
  const auto& [ranks, mode, call] = GetParam();
  for (const int device : {0, 1})
    for (const int nth : {1, 2, 3}) {
      DeviceWorld world = worldOf(ranks, mode);
      world.environment["LOCKSTEP_FAKE_FAIL"] = fmt::format("{}/{}=2@{}", call, device, nth);
      SCOPED_TRACE(world.environment["LOCKSTEP_FAKE_FAIL"]);
      EXPECT_EQ(worksOrAllHear(world), "");
    }
}

std::string nameOfFailure(
    const ::testing::TestParamInfo<std::tuple<Ranks, Mode, const char*>>& info) {
  return fmt::format("{}_{}", nameOf(std::get<0>(info.param)), std::get<2>(info.param));
}

INSTANTIATE_TEST_SUITE_P(
    Calls, DeviceCreationFails,
    ::testing::Combine(::testing::ValuesIn(kKinds), ::testing::Values(Mode::ccMulticast),
                       ::testing::Values("cuCtxPushCurrent_v2", "cuStreamCreate", "cuMemAlloc_v2",
                                         "cuMemCreate", "cuMemExportToShareableHandle",
                                         "cuMemImportFromShareableHandle", "cuMemsetD8Async",
                                         "cuMemcpyHtoDAsync_v2", "cuModuleLoadDataEx",
                                         "cuModuleGetFunction", "cuLaunchKernelEx")),
    nameOfFailure);

}  // namespace
}  // namespace lockstep::test
