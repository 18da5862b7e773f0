// Sends and receives of the kernel, run on the host with a thread per block: what arrives, what the
// two ends must agree on, and what an attacker between them gets.
#include "executor/cuda/transfer.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "collectives/registry.hpp"
#include "cuda/host_kernels.hpp"

namespace lockstep::testing {
namespace {

using device::Fault;

constexpr unsigned kLanes = 3;
constexpr unsigned kSlotBytes = 4096;

/// One transfer, and what either end says of it.
struct Way {
  int from = 0, to = 0;
  std::size_t bytes = 0;
  std::size_t received = bytes;
  DataType type = DataType::u8, receivedType = type;
};

/// Memory of one end: its bytes begin anywhere, and what is around them stays as it is.
class Place {
 public:
  Place(std::size_t bytes, std::size_t shift) : shift_(kGuard + shift % 16), bytes_(bytes) {
    memory_.assign(bytes + 2 * kGuard + 16, kUntouched);
  }
  std::byte* data() { return memory_.data() + shift_; }
  std::span<const std::byte> bytes() const { return std::span(memory_).subspan(shift_, bytes_); }
  bool isIntactAround() const {
    const auto untouched = [](std::byte b) { return b == kUntouched; };
    const auto begin = memory_.begin() + static_cast<std::ptrdiff_t>(shift_);
    return std::all_of(memory_.begin(), begin, untouched) &&
           std::all_of(begin + static_cast<std::ptrdiff_t>(bytes_), memory_.end(), untouched);
  }
  void fill(std::uint64_t seed) {
    for (std::size_t i = 0; i < bytes_; ++i)
      data()[i] = static_cast<std::byte>((seed + i * 2654435761U) >> 7);
  }

 private:
  static constexpr std::byte kUntouched{0x5c};
  static constexpr std::size_t kGuard = 64;
  std::size_t shift_, bytes_;
  std::vector<std::byte> memory_;
};

/// What is compiled, for any number of worlds.
struct TransferModule {
  explicit TransferModule(bool isSealed, std::vector<cuda::Kernel> others = {})
      : sealed(isSealed),
        name(cuda::transferKernel(isSealed).name),
        code(with(std::move(others))) {}

  bool sealed;
  std::string name;
  HostModule code;

 private:
  std::vector<cuda::Kernel> with(std::vector<cuda::Kernel> kernels) const {
    kernels.push_back(cuda::transferKernel(sealed));
    if (sealed) kernels.push_back(cuda::keysKernel());
    return kernels;
  }
};

class TransferWorld {
 public:
  TransferWorld(const TransferModule& module, int ranks)
      : ranks_(ranks),
        module_(module),
        world_({.world = static_cast<unsigned>(ranks),
                .lanes = kLanes,
                .slotBytes = kSlotBytes,
                .llBytes = 1024,
                .heapBytes = 4096}) {
    if (module.sealed) world_.prepareKeys(module.code);
  }

  HostWorld& world() { return world_; }
  Fault fault(int rank) const { return static_cast<Fault>(world_.report(rank).fault); }
  std::string says(std::uint64_t fingerprint) const {
    return cuda::describeTransfer(fingerprint).value_or("nothing");
  }

  /// Which ends of the ways take part.
  enum class Ends { both, senders, receivers };

  void start(const std::vector<Way>& ways) {
    ways_ = ways;
    sent_.clear();
    got_.clear();
    for (const Way& way : ways_) {
      sent_.emplace_back(way.bytes, ++seed_);
      sent_.back().fill(seed_);
      got_.emplace_back(way.received, seed_ / 3);
    }
  }
  void play(Ends ends, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    std::vector<device::TransferLaunch> launches(static_cast<std::size_t>(ranks_));
    std::vector<unsigned> blocks(launches.size(), 0);
    const auto add = [&](int rank, const device::Transfer& transfer) {
      const auto r = static_cast<std::size_t>(rank);
      launches[r].list[launches[r].count++] = transfer;
      blocks[r] = std::max(blocks[r], cuda::blocksOf(world_.geometry(), transfer));
    };
    for (std::size_t i = 0; i < ways_.size(); ++i) {
      const Way& way = ways_[i];
      if (ends != Ends::receivers) add(way.from, transferOf(sent_[i], way.type, way.to, true));
      if (ends != Ends::senders)
        add(way.to, transferOf(got_[i], way.receivedType, way.from, false));
    }
    for (std::size_t r = 0; r < launches.size(); ++r) {
      launches[r].world = &world_.world(static_cast<int>(r));
      launches[r].patience = static_cast<std::uint64_t>(patience.count()) * 1000000;
      launches[r].digest[3] = 7;
    }
    run(launches, blocks);
  }
  void exchange(const std::vector<Way>& ways) {
    start(ways);
    play(Ends::both);
    check();
  }
  void check() const {
    for (int rank = 0; rank < ranks_; ++rank)
      ASSERT_EQ(fault(rank), Fault::none) << "rank " << rank;
    for (std::size_t i = 0; i < ways_.size(); ++i) {
      ASSERT_TRUE(std::ranges::equal(got_[i].bytes(), sent_[i].bytes()))
          << ways_[i].from << " to " << ways_[i].to << ", " << ways_[i].bytes << " bytes";
      ASSERT_TRUE(got_[i].isIntactAround());
    }
  }
  const Place& got(std::size_t way) const { return got_[way]; }

  void gather(const std::string& kernel) {
    const HostWorld::Shape shape{.count = 9000, .tileElements = 1024, .blocks = kLanes};
    std::vector<std::vector<std::byte>> in, out;
    std::vector<Operands> operands;
    for (int rank = 0; rank < ranks_; ++rank) {
      in.emplace_back(shape.count, static_cast<std::byte>(rank + 1));
      out.emplace_back(shape.count * static_cast<std::size_t>(ranks_));
      operands.push_back({in.back().data(), out.back().data()});
    }
    world_.run(module_.code, module_.code.entry(kernel), shape, operands);
    for (int rank = 0; rank < ranks_; ++rank) ASSERT_EQ(fault(rank), Fault::none);
    for (const auto& result : out)
      for (std::size_t i = 0; i < result.size(); ++i)
        ASSERT_EQ(result[i], static_cast<std::byte>(i / shape.count + 1));
  }

  /// Where a message of lane 0 lies, in the segment of its reader.
  std::byte* slot(int writer, int reader, unsigned slot) {
    return segment(reader) + offsets().slot(0, static_cast<unsigned>(writer), slot);
  }
  device::SlotFlag& flag(int writer, int reader, unsigned slot) {
    return *reinterpret_cast<device::SlotFlag*>(
        segment(reader) + offsets().flag(0, static_cast<unsigned>(writer), slot));
  }

 private:
  device::Offsets offsets() const { return {world_.geometry()}; }
  std::byte* segment(int rank) {
    return reinterpret_cast<std::byte*>(world_.world(0).segments[rank]);
  }
  device::Transfer transferOf(Place& place, DataType type, int peer, bool sends) const {
    device::Transfer transfer;
    transfer.data = reinterpret_cast<device::u8*>(place.data());
    transfer.bytes = place.bytes().size();
    transfer.messageBytes = cuda::messageBytesOf(world_.geometry(), transfer.bytes);
    transfer.peer = static_cast<device::u8>(peer);
    transfer.sends = sends ? 1 : 0;
    transfer.type = static_cast<device::u8>(type);
    return transfer;
  }
  void run(const std::vector<device::TransferLaunch>& launches,
           const std::vector<unsigned>& blocks) const {
    const auto entry = module_.code.entryOf<device::TransferLaunch>(module_.name);
    std::vector<std::thread> threads;
    for (std::size_t rank = 0; rank < launches.size(); ++rank)
      for (unsigned block = 0; block < blocks[rank]; ++block)
        threads.emplace_back([&, rank, block] {
          module_.code.runBlock(block, blocks[rank], [&] { entry(launches[rank]); });
        });
    for (std::thread& thread : threads) thread.join();
  }

  int ranks_;
  const TransferModule& module_;
  HostWorld world_;
  std::vector<Way> ways_;
  std::vector<Place> sent_, got_;
  std::uint64_t seed_ = 0;
};

using Ends = TransferWorld::Ends;
const std::string kModes[]{"Clear", "Sealed"};

class Transfers : public ::testing::TestWithParam<bool> {
 protected:
  bool isSealed() const { return GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Modes, Transfers, ::testing::Bool(),
                         [](const auto& mode) { return kModes[mode.param ? 1 : 0]; });

/// Of sizes that are nothing, less than a message, a message of each lane, and many more than
/// slots.
std::vector<Way> everyoneToEveryone(int ranks, std::size_t turn) {
  constexpr std::size_t kSizes[]{0, 1, 15, 4096, 4097, 12288, 3, 100000, 70001, 0, 128};
  std::vector<Way> ways;
  for (int from = 0; from < ranks; ++from)
    for (int to = 0; to < ranks; ++to)
      if (from != to) ways.push_back({from, to, kSizes[turn++ % std::size(kSizes)]});
  return ways;
}

TEST_P(Transfers, EveryoneSendsToEveryoneBetweenCollectives) {
  const cuda::Kernel ring =
      cuda::generateKernel({.algorithm = schedule::findAlgorithm(Collective::allGather, "ring",
                                                                 schedule::Edges::channels),
                            .mode = isSealed() ? Mode::cc : Mode::p2p,
                            .worldSize = 4});
  const TransferModule module(isSealed(), {ring});
  TransferWorld world(module, 4);
  for (std::size_t turn = 0; turn < 11 && !HasFatalFailure(); ++turn) {
    world.exchange(everyoneToEveryone(4, turn * 5));
    if (turn % 4 == 0) world.gather(ring.name);
  }
}

TEST_P(Transfers, SendsAreKeptUntilTheyAreReceived) {
  const TransferModule module(isSealed());
  TransferWorld world(module, 2);
  for (int turn = 0; turn < 7; ++turn) {
    world.start({{0, 1, 40000}});  // as much as there are slots for
    world.play(Ends::senders);
    world.play(Ends::receivers);
    world.check();
  }
}

TEST_P(Transfers, SomeRanksDoNothing) {
  const TransferModule module(isSealed());
  TransferWorld world(module, 3);
  world.exchange({{2, 0, 50000}});
  world.exchange({{0, 2, 0}, {0, 1, 5}});
  world.exchange({{1, 2, 300}, {2, 1, 20000}});
}

TEST_P(Transfers, OtherSizesAndTypesAreAMismatch) {
  const TransferModule module(isSealed());
  for (const Way& way :
       {Way{.to = 1, .bytes = 40000, .received = 40004},
        Way{.to = 1, .bytes = 40004, .received = 4}, Way{.to = 1, .bytes = 8, .received = 0},
        Way{.to = 1, .bytes = 0, .received = 8},
        Way{.to = 1, .bytes = 8, .type = DataType::f32, .receivedType = DataType::i32}}) {
    TransferWorld world(module, 2);
    world.start({way});
    world.play(Ends::both);
    const device::Report report = world.world().report(1);
    ASSERT_EQ(world.fault(1), Fault::mismatch);
    EXPECT_EQ(report.rank, 0U);
    EXPECT_EQ(world.says(report.theirs),
              std::to_string(way.bytes) + " bytes of " + std::string(name(way.type)));
    EXPECT_EQ(world.says(report.fingerprint),
              std::to_string(way.received) + " bytes of " + std::string(name(way.receivedType)));
    EXPECT_EQ(world.world().control(0).abort, 2U);
  }
}

TEST_P(Transfers, WaitsEndAndNameTheLateRank) {
  const TransferModule module(isSealed());
  TransferWorld world(module, 3);
  world.start({{0, 1, 100}});
  world.play(Ends::receivers, std::chrono::milliseconds(30));
  EXPECT_EQ(world.fault(1), Fault::timeout);
  EXPECT_EQ(world.world().report(1).rank, 0U);
  world.start({{2, 0, 1000000}});  // from now on everything ends at once
  world.play(Ends::both);
  EXPECT_EQ(world.fault(0), Fault::none);
  EXPECT_EQ(world.fault(2), Fault::none);
  EXPECT_FALSE(
      std::ranges::any_of(world.got(0).bytes(), [](std::byte b) { return b != std::byte{0x5c}; }));
}

TEST_P(Transfers, ASenderWithoutReceiverWaitsForRoomOnly) {
  const TransferModule module(isSealed());
  TransferWorld world(module, 2);
  world.start({{0, 1, 100000}});
  world.play(Ends::senders, std::chrono::milliseconds(30));
  EXPECT_EQ(world.fault(0), Fault::timeout);
  EXPECT_EQ(world.world().report(0).rank, 1U);
}

TEST_P(Transfers, ShareALaneWithNobody) {
  const TransferModule module(isSealed());
  TransferWorld world(module, 2);
  world.world().lane(0, 0).busy = 1;  // as if another kernel of the rank were in it
  world.start({{0, 1, 100}});
  world.play(Ends::senders);
  EXPECT_EQ(world.fault(0), Fault::overlap);
  EXPECT_EQ(world.flag(0, 1, 0).step, 0U);
  EXPECT_EQ(world.world().lane(0, 0).busy, 1U);
}

// ---- an attacker between the ranks ----

/// All that he left is zeros, so none of it was used.
void expectCaught(const TransferWorld& world, const std::string& what) {
  ASSERT_EQ(world.fault(1), Fault::integrity) << what;
  EXPECT_TRUE(std::ranges::all_of(world.got(0).bytes(), [](std::byte b) {
    return b == std::byte{};
  })) << what;
  EXPECT_TRUE(world.got(0).isIntactAround());
}

void forget(TransferWorld& world) {
  for (int rank = 0; rank < 2; ++rank) world.world().forget(rank);
}

TEST(SealedTransfers, WhatWasChangedIsWiped) {
  const TransferModule module(true);
  TransferWorld world(module, 2);
  constexpr std::size_t kBytes = 4000, kTag = kSlotBytes;
  unsigned message = 0;
  for (const std::size_t at : {std::size_t{0}, kBytes / 2, kBytes - 1, kTag, kTag + 15}) {
    world.start({{0, 1, kBytes}});
    world.play(Ends::senders);
    world.slot(0, 1, message++ % device::kSlots)[at] ^= std::byte{4};
    world.play(Ends::receivers);
    expectCaught(world, "byte " + std::to_string(at));
    // He credits what was never consumed, so that the sender goes on; counters did.
    auto* credit = reinterpret_cast<device::Credit*>(
        world.world().world(0).segments[0] +
        device::Offsets{world.world().geometry()}.credit(device::Protocol::simple, 0, 1));
    credit->consumed = message;
    forget(world);
  }
  EXPECT_EQ(world.world().lane(1, 0).nonces[2 + 0], message);  // taken, whatever became of it
  EXPECT_EQ(world.world().lane(0, 0).nonces[1], message);
}

TEST(SealedTransfers, WhatWasSentBeforeIsNotTakenAgain) {
  const TransferModule module(true);
  TransferWorld world(module, 2);
  world.exchange({{0, 1, 1000}});
  const std::byte* slot = world.slot(0, 1, 0);
  const std::vector<std::byte> old(slot, slot + kSlotBytes + device::kTagBytes);
  for (int i = 0; i < 3; ++i) world.exchange({{0, 1, 1000}});
  world.start({{0, 1, 1000}});
  world.play(Ends::senders);
  std::ranges::copy(old, world.slot(0, 1, 0));
  world.play(Ends::receivers);
  expectCaught(world, "replay");
}

TEST(SealedTransfers, AForgedFlagReleasesNothing) {
  const TransferModule module(true);
  for (const std::size_t bytes : {0, 1000}) {
    TransferWorld world(module, 2);
    world.start({{0, 1, bytes}});
    device::SlotFlag& flag = world.flag(0, 1, 0);
    flag.fingerprint =
        device::Transfer{.bytes = bytes, .type = static_cast<device::u8>(DataType::u8)}
            .fingerprint();
    flag.step = 1;
    world.play(Ends::receivers);
    expectCaught(world, "forged flag");
  }
}

// ---- what both ends compute ----

TEST(TransferMessages, UseAllLanesForWhatIsLarge) {
  const device::Geometry geometry{.world = 4, .lanes = 32, .slotBytes = 65536};
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4096},
                                    std::uint64_t{300000}, std::uint64_t{1} << 40}) {
    device::Transfer transfer;
    transfer.bytes = bytes;
    transfer.messageBytes = cuda::messageBytesOf(geometry, bytes);
    EXPECT_EQ(transfer.messageBytes % 128, 0U);
    EXPECT_LE(transfer.messageBytes, geometry.slotBytes);
    EXPECT_GE(transfer.messages() * transfer.messageBytes, bytes);
    EXPECT_EQ(cuda::blocksOf(geometry, transfer), bytes <= 4096 ? 1U : 32U);
  }
}

TEST(TransferMessages, AreDescribed) {
  device::Transfer transfer;
  transfer.bytes = 40;
  transfer.type = static_cast<device::u8>(DataType::f32);
  EXPECT_EQ(cuda::describeTransfer(transfer.fingerprint()), "40 bytes of f32");
  EXPECT_EQ(cuda::describeTransfer(0x1234567812345678), std::nullopt);
  EXPECT_EQ(cuda::describeTransfers(cuda::packTransfers(2, 1)), "2 sends and 1 receives");
  EXPECT_EQ(cuda::describeTransfers(1), std::nullopt);
}

}  // namespace
}  // namespace lockstep::testing
