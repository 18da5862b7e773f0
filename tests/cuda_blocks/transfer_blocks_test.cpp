// Sends and receives by blocks of several threads, which must agree at every barrier on what moves
// and on when to give up.
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "executor/cuda/prelude/keys.cuh"
#include "executor/cuda/prelude/sealed_transfer.cuh"

namespace lockstep::test {
namespace {

using device::Cipher;
using device::Fault;
using Sealed = device::SealedCarrier<Cipher::table>;

constexpr unsigned kRanks = 3;
constexpr std::size_t kBytes = 11000;  // more messages than slots

/// Zeroed, at a page.
class Memory {
 public:
  explicit Memory(std::size_t bytes)
      : at_(static_cast<device::u8*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096))) {
    std::memset(at_.get(), 0, bytes);
  }
  template <class T = device::u8>
  T* as() const {
    return reinterpret_cast<T*>(at_.get());
  }

 private:
  struct Freer {
    void operator()(device::u8* at) const { std::free(at); }  // NOLINT
  };
  std::unique_ptr<device::u8, Freer> at_;
};

/// Ranks of one lane each, that send everyone a message of `kBytes`.
class BlockWorld {
 public:
  explicit BlockWorld(unsigned threads) : threads_(threads) {
    const device::Geometry geometry{.world = kRanks, .lanes = 1, .slotBytes = 1024, .llBytes = 64};
    for (unsigned rank = 0; rank < kRanks; ++rank) {
      segments_.emplace_back(device::Offsets{geometry}.bytes());
      lanes_.emplace_back(sizeof(device::LaneState));
      keys_.emplace_back(sizeof(device::SealingKey) * 3 * kRanks);
    }
    for (unsigned rank = 0; rank < kRanks; ++rank) {
      device::World& world = worlds_[rank];
      world.geometry = geometry;
      world.rank = rank;
      for (unsigned r = 0; r < kRanks; ++r) world.segments[r] = segments_[r].as();
      world.lanes = lanes_[rank].as<device::LaneState>();
      world.verdict = &verdicts_[rank];
      world.keys = keys_[rank].as<device::SealingKey>();
    }
  }

  void prepareKeys() {
    onAllRanks([](unsigned rank, const device::World& world) {
      std::vector<device::u8> sources;
      for (unsigned number = 0; number < 3 * kRanks; ++number) {
        const unsigned peer = number % kRanks;
        const unsigned key = number < kRanks ? rank * kRanks + peer : peer * kRanks + rank;
        sources.insert(sources.end(), device::kKeyBytes, static_cast<device::u8>(key));
      }
      auto launch = std::make_unique<device::Launch>();
      launch->calls[0].world = &world;
      launch->calls[0].in = sources.data();
      device::runBlock(4, LOCKSTEP_SHARED_BYTES,
                       [&] { device::prepareKeys<Cipher::table>(*launch); });
    });
  }

  /// What rank `missing` sends nobody is not sent.
  template <class Carrier>
  void exchange(std::chrono::milliseconds patience = std::chrono::seconds(60),
                unsigned missing = kRanks) {
    onAllRanks([&](unsigned rank, const device::World& world) {
      if (rank == missing) return;
      auto launch = std::make_unique<device::TransferLaunch>();
      launch->world = &world;
      launch->patience = static_cast<device::u64>(patience.count()) * 1000000;
      for (unsigned peer = 0; peer < kRanks; ++peer) {
        if (peer == rank) continue;
        auto& out = sent_[rank][peer];
        auto& in = got_[rank][peer];
        for (std::size_t i = 0; i < kBytes; ++i)
          out[i] = static_cast<device::u8>(rank * 50 + peer + i * i);
        in.fill(0);
        launch->list[launch->count++] = transferOf(out.data(), peer, 1);
        launch->list[launch->count++] = transferOf(in.data(), peer, 0);
      }
      device::runBlock(threads_, LOCKSTEP_SHARED_BYTES,
                       [&] { device::runTransfers<Carrier>(*launch); });
    });
  }
  bool allGot() const {
    for (unsigned rank = 0; rank < kRanks; ++rank)
      for (unsigned peer = 0; peer < kRanks; ++peer)
        if (rank != peer && got_[rank][peer] != sent_[peer][rank]) return false;
    return true;
  }
  Fault fault(unsigned rank) const { return static_cast<Fault>(verdicts_[rank].report.fault); }

 private:
  template <class F>
  void onAllRanks(F f) {
    std::vector<std::thread> ranks;
    for (unsigned rank = 0; rank < kRanks; ++rank)
      ranks.emplace_back([&, rank] { f(rank, worlds_[rank]); });
    for (std::thread& rank : ranks) rank.join();
  }
  static device::Transfer transferOf(device::u8* data, unsigned peer, device::u8 sends) {
    device::Transfer transfer;
    transfer.data = data;
    transfer.bytes = kBytes;
    transfer.messageBytes = 1024;
    transfer.peer = static_cast<device::u8>(peer);
    transfer.sends = sends;
    return transfer;
  }

  unsigned threads_;
  std::vector<Memory> segments_, lanes_, keys_;
  std::array<device::Verdict, kRanks> verdicts_{};
  std::array<device::World, kRanks> worlds_;
  using Text = std::array<device::u8, kBytes>;
  std::array<std::array<Text, kRanks>, kRanks> sent_, got_;
};

TEST(TransferBlocks, AnyNumberOfThreadsMovesTheSame) {
  for (const unsigned threads : {2u, 3u, 8u}) {
    const auto world = std::make_unique<BlockWorld>(threads);
    for (int call = 0; call < 3; ++call) {
      world->exchange<device::ClearCarrier>();
      EXPECT_TRUE(world->allGot()) << threads;
    }
  }
}

TEST(TransferBlocks, SealAndOpenTogether) {
  for (const unsigned threads : {2u, 8u}) {
    const auto world = std::make_unique<BlockWorld>(threads);
    world->prepareKeys();
    for (int call = 0; call < 2; ++call) {
      world->exchange<Sealed>();
      EXPECT_TRUE(world->allGot()) << threads;
    }
  }
}

TEST(TransferBlocks, GiveUpTogether) {
  for (int turn = 0; turn < 3; ++turn) {
    const auto world = std::make_unique<BlockWorld>(5);
    world->exchange<device::ClearCarrier>(std::chrono::milliseconds(20), 1);
    EXPECT_TRUE(world->fault(0) == Fault::timeout || world->fault(2) == Fault::timeout);
    EXPECT_EQ(world->fault(1), Fault::none);
  }
}

}  // namespace
}  // namespace lockstep::test
