// Ranks of masked sums without a communicator: the adding up is a loop.
#pragma once

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "cc_mode/masked/masked_sum.hpp"

namespace lockstep::test {

using Words = std::vector<std::uint64_t>;

/// As the key exchange would give them, from a seed: neighbours share, all share, nothing is zero.
inline std::vector<cc::MaskKeys> maskKeys(int world, std::uint32_t seed = 1) {
  std::mt19937 random(seed);
  const auto draw = [&] {
    cc::MaskKeys::Key key;
    for (std::byte& b : key) b = static_cast<std::byte>(random());
    return key;
  };
  const cc::MaskKeys::Key group = draw(), tags = draw();
  std::vector<cc::MaskKeys::Key> edges;  // edge r: between rank r and the one before it
  for (int rank = 0; rank < world; ++rank) edges.push_back(draw());
  if (world == 2) edges[1] = edges[0];
  std::vector<cc::MaskKeys> keys;
  for (std::size_t rank = 0; rank < edges.size(); ++rank)
    keys.push_back({edges[rank], edges[(rank + 1) % edges.size()], group, tags});
  return keys;
}

/// All ranks of one world.
class MaskedWorld {
 public:
  explicit MaskedWorld(int world, std::uint32_t seed = 1) {
    const auto keys = maskKeys(world, seed);
    for (int rank = 0; rank < world; ++rank)
      ranks_.push_back(std::make_unique<cc::MaskedSum>(rank, world, cc::createAead(),
                                                       keys[static_cast<std::size_t>(rank)]));
  }

  std::size_t size() const { return ranks_.size(); }
  cc::MaskedSum& at(std::size_t rank) { return *ranks_[rank]; }
  void begin(const cc::MaskedSum::Call& call) {
    for (auto& rank : ranks_) rank->begin(call);
  }
  /// The exponents that the ranks agree on.
  std::vector<std::int32_t> exponentsOf(const std::vector<std::vector<std::byte>>& inputs) {
    std::vector<std::int32_t> most(at(0).chunks(), std::numeric_limits<std::int32_t>::min()),
        own(most);
    for (std::size_t rank = 0; rank < size(); ++rank) {
      at(rank).measure(inputs[rank].data(), own);
      for (std::size_t i = 0; i < own.size(); ++i) most[i] = std::max(most[i], own[i]);
    }
    return most;
  }
  /// What a rank shows.
  Words masked(std::size_t rank, std::span<const std::int32_t> exponents,
               const std::vector<std::byte>& in) {
    Words words(at(rank).wordsOf(0, at(rank).chunks()));
    at(rank).mask(0, at(rank).chunks(), exponents, in.data(), words.data());
    return words;
  }
  std::vector<Words> masked(std::span<const std::int32_t> exponents,
                            const std::vector<std::vector<std::byte>>& inputs) {
    std::vector<Words> all;
    for (std::size_t rank = 0; rank < size(); ++rank)
      all.push_back(masked(rank, exponents, inputs[rank]));
    return all;
  }

 private:
  std::vector<std::unique_ptr<cc::MaskedSum>> ranks_;
};

/// What an honest reducer does.
inline Words added(const std::vector<Words>& all) {
  Words sum(all[0].size());
  for (const Words& words : all)
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += words[i];
  return sum;
}

template <class T>
std::vector<std::byte> asBytes(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace lockstep::test
