// The programs of the specification that an algorithm makes, each as it is written there.
#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/world.hpp"
#include <lockstep/lockstep.hpp>

namespace lockstep {
namespace {

using testing::failures;
using testing::Kind;
using testing::runRanks;

float inputOf(std::size_t i, int rank) {
  return static_cast<float>((i * 7 + static_cast<std::size_t>(rank) * 3) % 13);
}

void requireSum(const float* out, std::size_t count, int world) {
  for (std::size_t i = 0; i < count; ++i) {
    float sum = 0;
    for (int r = 0; r < world; ++r) sum += inputOf(i, r);
    if (out[i] != sum) throw std::runtime_error("element " + std::to_string(i) + " is wrong");
  }
}

void fill(float* data, std::size_t count, int rank) {
  for (std::size_t i = 0; i < count; ++i) data[i] = inputOf(i, rank);
}

// (1)
TEST(Programs, InPlaceZeroCopyTwoShotOf64MiB) {
  Options options;
  options.algorithm = "two_shot";
  options.protocol = "zero_copy";
  const auto outcomes = runRanks(Kind::processes, 2, options, [](Communicator& comm, int rank) {
    constexpr std::size_t count = (std::size_t{64} << 20) / sizeof(float);
    const Buffer buffer = comm.alloc(count * sizeof(float));
    auto* data = static_cast<float*>(buffer.data());
    for (int call = 0; call < 2; ++call) {  // the second finds what the first left
      fill(data, count, rank);
      comm.allReduce(data, data, count, DataType::f32);
      requireSum(data, count, 2);
    }
    // Half of the message is read from the peer, and half of it written there; nothing else moved.
    if (comm.counters().moved != 2 * count * sizeof(float))
      throw std::runtime_error("not zero copy");
  });
  EXPECT_EQ(failures(outcomes), "");
}

// (2) Far more tiles than slots, so that every slot is used again and again.
TEST(Programs, RingWithSlotsUsedManyTimes) {
  for (const Mode mode : {Mode::p2p, Mode::cc, Mode::ccMulticast}) {
    Options options;
    options.mode = mode;
    options.insecureKeys = true;
    options.algorithm = "ring";
    options.protocol = "simple";
    const auto outcomes = runRanks(Kind::processes, 3, options, [](Communicator& comm, int rank) {
      constexpr std::size_t count = 3000001;
      std::vector<float> in(count), out(count);
      fill(in.data(), count, rank);
      comm.allReduce(in.data(), out.data(), count, DataType::f32);
      requireSum(out.data(), count, 3);
    });
    EXPECT_EQ(failures(outcomes), "") << name(mode);
  }
}

// (3)
TEST(Programs, OneShotOfEightBytesByLines) {
  Options options;
  options.algorithm = "one_shot";
  options.protocol = "ll";
  const auto outcomes = runRanks(Kind::processes, 2, options, [](Communicator& comm, int rank) {
    for (int call = 0; call < 100000; ++call) {
      const float in[2] = {static_cast<float>(call), static_cast<float>(rank)};
      float out[2] = {};
      comm.allReduce(in, out, 2, DataType::f32);
      if (out[0] != 2 * in[0] || out[1] != 1)
        throw std::runtime_error("call " + std::to_string(call));
    }
  });
  EXPECT_EQ(failures(outcomes), "");
}

// (4) Blocks travel by way of others, and are opened and sealed again at each hop. A rank sends
// log2(P) messages a tile, and for each bit of d the block that must go d ranks on.
TEST(Programs, BruckAllToAllSealed) {
  constexpr int kWorld = 5;
  constexpr std::size_t kCount = 20000, kHops = 5;  // of d = 1, 2, 3, 4: 1 + 1 + 2 + 1 bits
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    Options options;
    options.mode = mode;
    options.insecureKeys = true;
    options.algorithm = "bruck";
    const auto outcomes =
        runRanks(Kind::processes, kWorld, options, [](Communicator& comm, int rank) {
          std::vector<float> in(kWorld * kCount), out(kWorld * kCount);
          for (int to = 0; to < kWorld; ++to)  // 10 r + b, then what tells elements apart
            for (std::size_t i = 0; i < kCount; ++i)
              in[static_cast<std::size_t>(to) * kCount + i] =
                  static_cast<float>(10 * rank + to) + static_cast<float>(i % 512) / 512;
          comm.allToAll(in.data(), out.data(), kCount, DataType::f32);
          for (int from = 0; from < kWorld; ++from)
            for (std::size_t i = 0; i < kCount; ++i)
              if (out[static_cast<std::size_t>(from) * kCount + i] !=
                  static_cast<float>(10 * from + rank) + static_cast<float>(i % 512) / 512)
                throw std::runtime_error("block " + std::to_string(from) + " is wrong");
          if (comm.counters().sealed != kHops * kCount * sizeof(float))
            throw std::runtime_error("sealed " + std::to_string(comm.counters().sealed));
        });
    EXPECT_EQ(failures(outcomes), "") << name(mode);
  }
}

// (8) Different collectives and algorithms back to back, each rank late in its turn. A barrier
// holds everyone until the late one has come; an all-reduce must not overwrite what the late one
// has not read.
TEST(Programs, DifferentCollectivesBackToBackWithOneRankDelayed) {
  for (const Mode mode : {Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast}) {
    Options options;
    options.mode = mode;
    options.insecureKeys = true;
    const auto outcomes = runRanks(Kind::processes, 3, options, [](Communicator& comm, int rank) {
      constexpr std::size_t counts[] = {2, 500, 40000};
      std::vector<float> in(40000), out(40000);
      for (int round = 0; round < 60; ++round) {
        const std::size_t count = counts[round % 3];
        fill(in.data(), count, rank);
        if (round % 3 == rank) ::usleep(2000);
        comm.allReduce(in.data(), out.data(), count, DataType::f32);
        if (round % 2 == 0) comm.barrier();
        requireSum(out.data(), count, 3);
      }
    });
    EXPECT_EQ(failures(outcomes), "") << name(mode);
  }
}

}  // namespace
}  // namespace lockstep
