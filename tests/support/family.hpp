// What tests of communicators that came out of communicators share.
#pragma once

#include <array>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include "support/world.hpp"

namespace lockstep::testing {

inline constexpr std::array kModesAll{Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast};
/// Processes first: they are forked before this one has threads.
inline constexpr std::array kKindsAll{Kind::processes, Kind::threads, Kind::sockets};

/// Every collective's data path, tried on a communicator whose rank i is rank `members[i]` of a
/// world: sums in three sizes and buffers, and who is where.
inline void exercise(Communicator& comm, const std::vector<int>& members) {
  require(comm.worldSize() == static_cast<int>(members.size()),
          fmt::format("{} ranks instead of {}", comm.worldSize(), members.size()));
  const int me = members.at(static_cast<std::size_t>(comm.rank()));
  std::vector<std::int32_t> all(members.size());
  comm.allGather(&me, all.data(), 1, DataType::i32);
  require(std::vector<int>(all.begin(), all.end()) == members, "ranks in another order");

  const auto expected = static_cast<float>(std::accumulate(members.begin(), members.end(), 0));
  const auto sum = [&](float* data, std::size_t count) {
    std::fill_n(data, count, static_cast<float>(me));
    comm.allReduce(data, data, count, DataType::f32);
    require(data[0] == expected && data[count - 1] == expected, "wrong sum");
  };
  std::vector<float> ordinary(50000);
  for (const std::size_t count : {std::size_t{1}, std::size_t{1000}, ordinary.size()})
    sum(ordinary.data(), count);
  const Buffer buffer = comm.alloc(ordinary.size() * sizeof(float));
  sum(static_cast<float*>(buffer.data()), ordinary.size());
  comm.barrier();
}

inline std::vector<int> everyone(int worldSize) {
  std::vector<int> ranks(static_cast<std::size_t>(worldSize));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

}  // namespace lockstep::testing
