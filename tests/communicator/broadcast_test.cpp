// What the ranks of a broadcast conclude from the last one, alike: whether its root had one buffer
// for both, and whether everybody's could be read in place.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/world.hpp"
#include <lockstep/lockstep.hpp>

namespace lockstep::testing {
namespace {

constexpr std::size_t kCount = 20000;
constexpr int kWorld = 3;

/// Two buffers that every rank can read in place.
struct Places {
  explicit Places(Communicator& comm)
      : one(comm.alloc(kCount * sizeof(float))), other(comm.alloc(kCount * sizeof(float))) {}
  float* in() const { return static_cast<float*>(one.data()); }
  float* out() const { return static_cast<float*>(other.data()); }
  Buffer one, other;
};

void broadcastFrom(Communicator& comm, const Places& places, int root, bool inPlace, float value) {
  const bool mine = comm.rank() == root;
  float* const in = mine && inPlace ? places.out() : places.in();
  std::fill_n(places.out(), kCount, -1.0F);
  if (mine) std::fill_n(in, kCount, value);
  comm.broadcast(mine ? in : nullptr, places.out(), kCount, DataType::f32, root);
  for (std::size_t i = 0; i < kCount; ++i)
    require(places.out()[i] == value, "an element is not the root's");
}

std::string algorithmOf(const Communicator& comm) {
  return comm.plan(Collective::broadcast, kCount, DataType::f32, true).algorithm;
}

TEST(Broadcast, ARootWithOneBufferCopiesForTheOthersTheNextTime) {
  for (const Kind kind : {Kind::threads, Kind::processes}) {
    const auto outcomes = runRanks(kind, kWorld, optionsOf(Mode::p2p), [](Communicator& comm, int) {
      const Places places(comm);
      require(algorithmOf(comm) == "joint", "at first a root is taken to have one buffer");
      float value = 0;
      for (const bool inPlace : {true, false, false, true, true, false})
        for (int root = 0; root < kWorld; ++root) {
          broadcastFrom(comm, places, root, inPlace, ++value);
          require(algorithmOf(comm) == (inPlace ? "joint" : "direct"),
                  "a rank expects something else than the root did");
        }
    });
    EXPECT_EQ(failures(outcomes), "") << name(kind);
  }
}

TEST(Broadcast, ReadsInPlaceThoughOtherCallsCouldNot) {
  const auto outcomes =
      runRanks(Kind::processes, kWorld, optionsOf(Mode::p2p), [](Communicator& comm, int rank) {
        const Places places(comm);
        std::vector<float> ordinary(2048, 1.0F);
        comm.allReduce(ordinary.data(), ordinary.data(), ordinary.size(), DataType::f32);
        broadcastFrom(comm, places, 0, false, 1);
        const std::uint64_t before = comm.counters().moved;
        // So few that they are not asked for: what is expected decides.
        comm.broadcast(rank == 0 ? places.in() : nullptr, places.out(), 4096, DataType::f32, 0);
        require(rank != 0 || comm.counters().moved == before, "the root has filled slots");
      });
  EXPECT_EQ(failures(outcomes), "");
}

}  // namespace
}  // namespace lockstep::testing
