// Sends and receives, all-to-all-v, groups and asynchronous operations: what arrives, in every
// mode, from every kind of memory, with ranks of every kind.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/world.hpp"
#include <lockstep/lockstep.hpp>

namespace lockstep::testing {
namespace {

constexpr Mode kModesOfAll[] = {Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast};

/// Sizes around the borders of lines, LL messages, records, tiles and what is lent.
constexpr std::size_t kBytes[] = {0,     1,     47,    48,    49,    2047,   2048,
                                  4096,  8263,  8264,  8265,  8280,  8281,   16384,
                                  16385, 32767, 32768, 32769, 65537, 262144, 1000003};

std::uint8_t byteOf(std::size_t i, int from, int to, std::size_t round) {
  return static_cast<std::uint8_t>(i * 7 + (i >> 8) + static_cast<std::size_t>(from) * 31 +
                                   static_cast<std::size_t>(to) * 57 + round * 13);
}

void fill(std::uint8_t* data, std::size_t n, int from, int to, std::size_t round) {
  for (std::size_t i = 0; i < n; ++i) data[i] = byteOf(i, from, to, round);
}

void requireFilled(const std::uint8_t* data, std::size_t n, int from, int to, std::size_t round) {
  for (std::size_t i = 0; i < n; ++i)
    if (data[i] != byteOf(i, from, to, round))
      require(false, fmt::format("byte {} of {} from rank {} to {} is wrong", i, n, from, to));
}

struct Setting {
  Kind kind;
  Mode mode;
};
std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const Kind kind : {Kind::processes, Kind::threads})
    for (const Mode mode : kModesOfAll) all.push_back({kind, mode});
  return all;
}

class Transfers : public ::testing::TestWithParam<Setting> {
 protected:
  Options options() const { return optionsOf(GetParam().mode); }
  void play(int worldSize, const std::function<void(Communicator&, int)>& rank) {
    EXPECT_EQ(failures(runRanks(GetParam().kind, worldSize, options(), rank)), "");
  }
};
INSTANTIATE_TEST_SUITE_P(All, Transfers, ::testing::ValuesIn(settings()), [](const auto& setting) {
  std::string mode(name(setting.param.mode));
  mode.erase(std::remove(mode.begin(), mode.end(), '-'), mode.end());
  return std::string(name(setting.param.kind)) + "_" + mode;
});

// One rank sends, the other receives, and back; every size, every kind of memory, unaligned too.
TEST_P(Transfers, ArriveWhole) {
  play(2, [](Communicator& comm, int rank) {
    constexpr std::size_t most = kBytes[std::size(kBytes) - 1] + 3;
    const Buffer registered = comm.alloc(most);
    std::vector<std::uint8_t> ordinary(most);
    for (const bool inPlace : {true, false})
      for (const std::size_t shift : {0, 3})
        for (const std::size_t bytes : kBytes) {
          auto* data =
              (inPlace ? static_cast<std::uint8_t*>(registered.data()) : ordinary.data()) + shift;
          if (rank == 0) {
            fill(data, bytes, 0, 1, shift);
            comm.send(data, bytes, DataType::u8, 1);
            std::memset(data, 0xee, bytes);  // it is mine again
            comm.receive(data, bytes, DataType::u8, 1);
            requireFilled(data, bytes, 1, 0, shift);
          } else {
            comm.receive(data, bytes, DataType::u8, 0);
            requireFilled(data, bytes, 0, 1, shift);
            fill(data, bytes, 1, 0, shift);
            comm.send(data, bytes, DataType::u8, 0);
          }
        }
  });
}

// What one rank sends is longer than what it receives; then each to itself.
TEST_P(Transfers, AnExchangeGoesBothWays) {
  play(3, [](Communicator& comm, int rank) {
    const int next = (rank + 1) % 3, previous = (rank + 2) % 3;
    const auto sizeFrom = [](std::size_t bytes, int from) {
      return bytes + static_cast<std::size_t>(from);
    };
    constexpr std::size_t most = kBytes[std::size(kBytes) - 1] + 3;
    const Buffer registered = comm.alloc(2 * most);
    std::vector<std::uint8_t> ordinary(2 * most);
    for (std::uint8_t* data : {static_cast<std::uint8_t*>(registered.data()), ordinary.data()})
      for (const std::size_t bytes : kBytes) {
        const std::size_t out = sizeFrom(bytes, rank), in = sizeFrom(bytes, previous);
        fill(data, out, rank, next, bytes);
        comm.exchange({data, out, DataType::u8, next}, {data + out, in, DataType::u8, previous});
        requireFilled(data + out, in, previous, rank, bytes);
        std::memset(data + out, 0xee, out);
        comm.exchange({data, out, DataType::u8, rank}, {data + out, out, DataType::u8, rank});
        requireFilled(data + out, out, rank, next, bytes);
      }
  });
}

// Sends before their receives, as many as the slots hold and more, with collectives between.
TEST_P(Transfers, KeepTheirOrderAmongCollectives) {
  play(3, [](Communicator& comm, int rank) {
    const int next = (rank + 1) % 3, previous = (rank + 2) % 3;
    for (std::size_t round = 0; round < 40; ++round) {
      Group group;
      std::vector<std::vector<std::uint8_t>> out, in;
      for (std::size_t k = 0; k < 20; ++k) {
        const std::size_t bytes = kBytes[(round + k) % std::size(kBytes)];
        out.emplace_back(bytes + 1);
        in.emplace_back(bytes + 1);
        fill(out.back().data(), bytes, rank, next, k);
        group.send(comm, out.back().data(), bytes, DataType::u8, next);
        group.receive(comm, in.back().data(), bytes, DataType::u8, previous);
      }
      group.start().wait();
      for (std::size_t k = 0; k < 20; ++k)
        requireFilled(in[k].data(), in[k].size() - 1, previous, rank, k);
      std::int32_t sum = rank;
      comm.allReduce(&sum, &sum, 1, DataType::i32);
      require(sum == 3, "the collective between transfers gave a wrong sum");
    }
  });
}

// Program (5) of the specification: counts drawn at random, many of them 0.
TEST_P(Transfers, AllToAllVWithZeroCounts) {
  constexpr int kWorld = 4;
  play(kWorld, [](Communicator& comm, int rank) {
    std::mt19937 random(7);
    for (std::size_t round = 0; round < 30; ++round) {
      std::size_t counts[kWorld][kWorld];  // by sender and receiver, the same on every rank
      for (auto& row : counts)
        for (std::size_t& count : row)
          count = random() % 3 == 0 ? 0 : random() % (round % 10 == 9 ? 300000 : 3000);
      std::vector<std::size_t> inCounts(kWorld), inOffsets(kWorld), outCounts(kWorld),
          outOffsets(kWorld);
      std::size_t inEnd = 0, outEnd = 0;
      for (std::size_t q = 0; q < kWorld; ++q) {
        inCounts[q] = counts[rank][q];
        outCounts[q] = counts[q][rank];
        inOffsets[q] = inEnd;
        outOffsets[q] = outEnd + q;  // with gaps
        inEnd += inCounts[q];
        outEnd = outOffsets[q] + outCounts[q];
      }
      std::vector<std::uint8_t> in(inEnd + 1), out(outEnd + 1, 0xcc);
      for (int q = 0; q < kWorld; ++q) fill(&in[inOffsets[q]], inCounts[q], rank, q, round);
      comm.allToAllV(in.data(), inCounts, inOffsets, out.data(), outCounts, outOffsets,
                     DataType::u8);
      for (int q = 0; q < kWorld; ++q)
        requireFilled(&out[outOffsets[q]], outCounts[q], q, rank, round);
      for (std::size_t q = 1; q < kWorld; ++q)
        require(out[outOffsets[q] - 1] == 0xcc, "what lies between the parts was written");
    }
  });
}

// Collectives under way beside other work; they end in the order they were started.
TEST_P(Transfers, CollectivesRunWhileTheirCallerDoesSomethingElse) {
  play(3, [](Communicator& comm, int rank) {
    constexpr std::size_t kCalls = 12;
    std::vector<std::vector<std::int64_t>> data(kCalls);
    std::vector<Work> works;
    for (std::size_t k = 0; k < kCalls; ++k) {
      data[k].assign(k % 3 == 0 ? 3 : 20011, rank + static_cast<std::int64_t>(k));
      Group group;
      group.run(comm, Collective::allReduce, data[k].data(), data[k].data(), data[k].size(),
                DataType::i64);
      works.push_back(group.start());
    }
    while (!works[5].test()) {
    }
    for (std::size_t k = 0; k <= 5; ++k)
      for (const std::int64_t v : data[k])
        require(v == 3 + 3 * static_cast<std::int64_t>(k), "a finished call is wrong");
    std::int32_t last = 1;
    comm.allReduce(&last, &last, 1, DataType::i32);  // after all that were started before
    require(last == 3, "the blocking call is wrong");
    for (std::size_t k = 0; k < kCalls; ++k) {
      require(works[k].waitFor(std::chrono::nanoseconds(0)), "a call before a finished one is not");
      for (const std::int64_t v : data[k])
        require(v == 3 + 3 * static_cast<std::int64_t>(k), "a call is wrong");
    }
  });
}

// A group over collectives and transfers, of two communicators of the same ranks.
TEST(Groups, SpanOperationsAndCommunicators) {
  for (const Kind kind : {Kind::processes, Kind::threads}) {
    const auto outcomes =
        runRanks(kind, 2, std::vector<Options>{optionsOf(Mode::p2p), optionsOf(Mode::cc)},
                 [](std::vector<Communicator>& comms, int rank) {
                   std::vector<std::uint8_t> out(100001), in(100001);
                   for (std::size_t round = 0; round < 20; ++round) {
                     fill(out.data(), out.size(), rank, 1 - rank, round);
                     std::int32_t a = 1, b = 2;
                     Group group;
                     // The communicators are taken in another order by each rank.
                     for (const int which : {rank, 1 - rank}) {
                       Communicator& comm = comms[static_cast<std::size_t>(which)];
                       std::int32_t* value = which == 0 ? &a : &b;
                       group.run(comm, Collective::allReduce, value, value, 1, DataType::i32);
                       if (which == 0)
                         group.send(comm, out.data(), out.size(), DataType::u8, 1 - rank)
                             .receive(comm, in.data(), in.size(), DataType::u8, 1 - rank);
                       group.run(comm, Collective::barrier, nullptr, nullptr, 0, DataType::u8);
                     }
                     Work work = group.start();
                     if (round % 2 == 0) work.wait();
                     while (!work.test()) {
                     }
                     require(a == 2 && b == 4, "a collective in a group is wrong");
                     requireFilled(in.data(), in.size(), 1 - rank, rank, round);
                   }
                 });
    EXPECT_EQ(failures(outcomes), "") << name(kind);
  }
}

// Program (6) of the specification: every rank receives first, and one thread plays them all.
TEST(Groups, OneThreadDrivesAllRanks) {
  for (const Mode mode : kModesOfAll) {
    constexpr int kWorld = 5;
    std::vector<Communicator> comms = Communicator::createInProcess(kWorld, optionsOf(mode));
    constexpr std::size_t kCount = 50021;
    const auto at = [](int a, int b) { return static_cast<std::size_t>(a * kWorld + b); };
    std::vector<std::vector<std::uint8_t>> in(kWorld * kWorld, std::vector<std::uint8_t>(kCount)),
        out = in;
    std::vector<std::int32_t> sums(kWorld, 1);
    Group group;
    for (int r = 0; r < kWorld; ++r) {
      Communicator& comm = comms[static_cast<std::size_t>(r)];
      for (int q = 0; q < kWorld; ++q)
        group.receive(comm, in[at(q, r)].data(), kCount, DataType::u8, q);
      for (int q = 0; q < kWorld; ++q) {
        fill(out[at(r, q)].data(), kCount, r, q, 1);
        group.send(comm, out[at(r, q)].data(), kCount, DataType::u8, q);
      }
      std::int32_t& sum = sums[static_cast<std::size_t>(r)];
      group.run(comm, Collective::allReduce, &sum, &sum, 1, DataType::i32);
    }
    group.start().wait();
    for (int r = 0; r < kWorld; ++r)
      for (int q = 0; q < kWorld; ++q) requireFilled(in[at(q, r)].data(), kCount, q, r, 1);
    EXPECT_EQ(sums, std::vector<std::int32_t>(kWorld, kWorld)) << name(mode);
  }
}

// With a progress thread, what was started ends without anybody asking.
TEST(Groups, ProgressThreadFinishesWhatWasStarted) {
  for (const Kind kind : {Kind::processes, Kind::threads}) {
    Options options = optionsOf(Mode::p2p);
    options.progressThread = true;
    const auto outcomes = runRanks(kind, 2, options, [](Communicator& comm, int rank) {
      std::vector<std::uint8_t> out(300000), in(300000);
      for (std::size_t round = 0; round < 20; ++round) {
        fill(out.data(), out.size(), rank, 1 - rank, round);
        Group group;
        group.send(comm, out.data(), out.size(), DataType::u8, 1 - rank)
            .receive(comm, in.data(), in.size(), DataType::u8, 1 - rank);
        Work work = group.start();
        // The peer is told by a call on its own: only the thread can have moved the work before.
        if (round % 3 != 0) work.wait();
        std::int32_t sum = 1;
        comm.allReduce(&sum, &sum, 1, DataType::i32);
        require(sum == 2 && work.test(), "a call ended before what was started before it");
        requireFilled(in.data(), in.size(), 1 - rank, rank, round);
      }
    });
    EXPECT_EQ(failures(outcomes), "") << name(kind);
  }
}

}  // namespace
}  // namespace lockstep::testing
