// Every byte of a control message, recomputed from keys and from what is said.
#include <array>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "communicator/control.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using Bytes = std::vector<std::byte>;
constexpr int kWorld = 3;

/// A key that says whose it is: no secret.
std::array<std::byte, cc::kKeyBytes> keyOf(int sender, int receiver) {
  return {std::byte{2}, static_cast<std::byte>(sender), static_cast<std::byte>(receiver)};
}

/// Keeps what its rank gives to the carrier.
class KeepingPeers final : public ForwardingPeers {
 public:
  using ForwardingPeers::ForwardingPeers;
  std::vector<Bytes> allGather(std::span<const std::byte> mine, Deadline deadline) override {
    given.emplace_back(mine.begin(), mine.end());
    return ForwardingPeers::allGather(mine, deadline);
  }
  std::vector<Bytes> given;
};

template <class T>
void append(Bytes& bytes, const T& value) {
  const auto* from = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), from, from + sizeof value);
}

void append(Bytes& bytes, std::string_view text) {
  const auto* from = reinterpret_cast<const std::byte*>(text.data());
  bytes.insert(bytes.end(), from, from + text.size());
}

/// What rank `sender` must give for all, the `number`th time.
Bytes expected(int sender, std::uint64_t number, std::string_view purpose, std::string_view text) {
  const auto aead = cc::createAead("openssl");
  Bytes frame{static_cast<std::byte>(purpose.size())};
  append(frame, purpose);
  append(frame, text);
  Bytes all;
  for (int receiver = 0; receiver < kWorld; ++receiver) {
    if (receiver == sender) continue;
    Bytes aad;
    append(aad, std::string_view("lockstep control"));
    append(aad, number);
    append(aad, static_cast<std::uint32_t>(frame.size()));
    append(aad, static_cast<std::int16_t>(sender));
    append(aad, static_cast<std::int16_t>(receiver));
    Bytes cipher(frame.size());
    cc::Tag tag;
    aead->seal(*aead->expand(keyOf(sender, receiver)), cc::nonceOf(number),
               cc::ConstPrivateBytes(aad.data(), aad.size()),
               cc::ConstPrivateBytes(frame.data(), frame.size()),
               cc::PrivateBytes(cipher.data(), cipher.size()), tag);
    all.insert(all.end(), cipher.begin(), cipher.end());
    append(all, tag);
  }
  return all;
}

TEST(ControlBytes, AreWhatKeysSay) {
  const auto ends = joinThreads(kWorld);
  std::vector<std::unique_ptr<KeepingPeers>> peers;
  std::vector<cc::KeyRing> rings;
  for (int rank = 0; rank < kWorld; ++rank) {
    peers.push_back(std::make_unique<KeepingPeers>(*ends[static_cast<std::size_t>(rank)]));
    rings.emplace_back(cc::createAead());
    for (int peer = 0; peer < kWorld; ++peer) {
      if (peer == rank) continue;
      rings.back().addControl({rank, peer}, keyOf(rank, peer));
      rings.back().addControl({peer, rank}, keyOf(peer, rank));
    }
  }
  constexpr std::array<std::string_view, 3> kTexts{"", "a wish", "another, and a longer one"};
  const auto outcomes = playRanks(Kind::threads, kWorld, [&](int rank) {
    const auto r = static_cast<std::size_t>(rank);
    Control control(*peers[r], &rings[r], "alloc");
    for (const std::string_view text : kTexts)
      control.allGather(std::as_bytes(std::span(text)), Deadline::in(std::chrono::seconds(30)));
  });
  ASSERT_EQ(failures(outcomes), "");
  for (int rank = 0; rank < kWorld; ++rank) {
    const auto& given = peers[static_cast<std::size_t>(rank)]->given;
    ASSERT_EQ(given.size(), kTexts.size());
    for (std::size_t i = 0; i < given.size(); ++i)
      EXPECT_EQ(given[i], expected(rank, i, "alloc", kTexts[i])) << "rank " << rank;
  }
}

}  // namespace
}  // namespace lockstep::testing
