// What the key exchange gives for masked sums: who shares what, and that it is nobody's record key.
#include <barrier>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "cc_mode/keys/handshake.hpp"
#include "support/recording_aead.hpp"

namespace lockstep::test {
namespace {

using Messages = std::vector<std::vector<std::byte>>;

/// The key rings of a world, rank by rank, in threads.
std::vector<cc::KeyRing> exchanged(Mode mode, int world, std::shared_ptr<const cc::Aead> aead) {
  const std::vector<std::byte> psk(32, std::byte{7});
  const auto ranks = static_cast<std::size_t>(world);
  Messages said(ranks);
  std::barrier<> together(world);
  std::vector<cc::KeyRing> rings;
  for (int rank = 0; rank < world; ++rank) rings.emplace_back(aead);
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < world; ++rank)
    threads.emplace_back([&, rank, at = static_cast<std::size_t>(rank)] {
      rings[at] = cc::handshake({.rank = rank, .worldSize = world, .mode = mode, .psk = psk}, aead,
                                [&](std::span<const std::byte> mine) {
                                  said[at].assign(mine.begin(), mine.end());
                                  together.arrive_and_wait();
                                  Messages all = said;
                                  together.arrive_and_wait();
                                  return all;
                                });
    });
  threads.clear();
  return rings;
}

TEST(MaskedKeys, NeighboursShareAndMembersShare) {
  for (const int world : {2, 3, 5}) {
    testing::Ledger ledger;
    const auto aead = std::make_shared<testing::RecordingAead>(cc::createAead(), ledger);
    auto rings = exchanged(Mode::ccMasked, world, aead);
    std::vector<Secret<cc::MaskKeys>> keys;
    for (cc::KeyRing& ring : rings) {
      auto taken = ring.takeMasks();
      ASSERT_TRUE(taken);
      EXPECT_FALSE(ring.takeMasks()) << "the ring keeps them";
      keys.push_back(std::move(*taken));
    }
    std::set<cc::MaskKeys::Key> different;
    for (std::size_t rank = 0; rank < keys.size(); ++rank) {
      const std::size_t next = (rank + 1) % keys.size();
      EXPECT_EQ(keys[rank]->after, keys[next]->before);
      EXPECT_EQ(keys[rank]->group, keys[0]->group);
      EXPECT_EQ(keys[rank]->tags, keys[0]->tags);
      different.insert({keys[rank]->after, keys[rank]->group, keys[rank]->tags});
    }
    // An edge per rank, but one of two ranks; the group's; the tags'; and none has sealed anything.
    EXPECT_EQ(different.size(), (world == 2 ? 1U : keys.size()) + 2);
    for (const testing::Use& use : ledger.uses()) EXPECT_FALSE(different.contains(use.key));
    EXPECT_FALSE(different.contains({}));
  }
}

TEST(MaskedKeys, OtherModesAndLoneRanksHaveNone) {
  EXPECT_FALSE(exchanged(Mode::cc, 2, cc::createAead())[0].takeMasks());
  EXPECT_FALSE(exchanged(Mode::ccMasked, 1, cc::createAead())[0].takeMasks());
}

}  // namespace
}  // namespace lockstep::test
