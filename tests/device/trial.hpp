// One collective call on all ranks, and what it must leave behind, by the reference.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/worlds.hpp"

namespace lockstep::test {

struct TrialCall {
  Collective collective = Collective::allReduce;
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;  ///< preMulSum: with the factors of testing::someFactor
  std::size_t count = 0;
  int root = 0;
  bool inPlace = false;
  std::size_t shift = 0;   ///< elements from an aligned address
  std::uint64_t seed = 0;  ///< of what all ranks give

  std::string text() const;
};

/// What rank `rank` of `world` gives, and what it must get. Empty: it has no such buffer.
std::vector<std::byte> inputOf(const TrialCall& call, int world, int rank);
std::vector<std::byte> expectedOf(const TrialCall& call, int world, int rank);

/// Calls it with buffers inside `region`, of `bytes`; "" if the result is right bit for bit and
/// nothing around it was touched.
std::string tryCall(Player& player, const TrialCall& call, void* region, std::size_t bytes);

}  // namespace lockstep::test
