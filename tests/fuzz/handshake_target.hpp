// The key exchange of two ranks, between which everything that one of them receives may be changed,
// cut, swapped, or replaced by a recording: it ends in keys only if it was not.
#pragma once

#include <array>
#include <barrier>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "cc_mode/aead/aead.hpp"
#include "cc_mode/keys/handshake.hpp"
#include "cc_mode/keys/hello.hpp"
#include "fuzz/input.hpp"
#include "support/attester.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

using Messages = std::vector<std::vector<std::byte>>;

/// What both said, by round.
using Recording = std::array<Messages, 3>;

/// By what ranks know each other, besides being the same in all else.
enum class KnownBy : std::uint8_t { psk, quotes };

inline cc::HandshakeParameters parametersOf(int rank, KnownBy by) {
  static constexpr std::array<std::byte, cc::kMinPskBytes> kPsk{std::byte{0x5a}};
  static const Attestation quotes = testing::softwareAttestation();
  cc::HandshakeParameters parameters;
  parameters.rank = rank;
  parameters.worldSize = 2;
  if (by == KnownBy::psk) parameters.psk = kPsk;
  if (by == KnownBy::quotes) parameters.mode = Mode::ccMasked, parameters.attestation = &quotes;
  return parameters;
}

/// One session. `tamper(round, messages)` has its way with what rank 0 receives. True: rank 0 got
/// keys.
template <class Tamper>
bool exchangeKeys(KnownBy by, Recording& said, Tamper tamper) {
  static const std::shared_ptr<const cc::Aead> aead = cc::createAead();
  std::barrier all(2);
  for (Messages& messages : said) messages.assign(2, {});
  std::optional<cc::KeyRing> keys;
  const auto play = [&](int rank) {
    std::size_t round = 0;
    const auto gather = [&](std::span<const std::byte> mine) {
      demand(round < said.size());
      Messages& messages = said[round];
      messages[static_cast<std::size_t>(rank)].assign(mine.begin(), mine.end());
      all.arrive_and_wait();
      Messages received = messages;
      all.arrive_and_wait();
      if (rank == 0) tamper(round, received);
      ++round;
      return received;
    };
    try {
      auto ring = cc::handshake(parametersOf(rank, by), aead, gather);
      if (rank == 0) keys.emplace(std::move(ring));
    } catch (const Error& error) {
      demand(error.code() == ErrorCode::keyExchange);
    }
    demand(round == said.size());  // so that the other one never waits
  };
  std::thread other(play, 1);
  play(0);
  other.join();
  return keys.has_value();
}

inline const Recording& earlierSession(KnownBy by) {
  static std::map<KnownBy, Recording> recordings;
  const auto [found, fresh] = recordings.try_emplace(by);
  if (fresh) demand(exchangeKeys(by, found->second, [](std::size_t, Messages&) {}));
  return found->second;
}

/// One change of what rank 0 receives in a round, as the input says.
inline void change(Input& input, std::size_t round, const Recording& earlier, const Recording& said,
                   Messages& received) {
  std::vector<std::byte>& message = received[input.byte() % 4 == 0 ? 0 : 1];
  switch (input.byte() % 8) {
    case 0:
      return;
    case 1:
    case 2:
      for (std::size_t n = 1 + input.below(8); n > 0 && !message.empty(); --n)
        message[input.below(message.size())] ^= static_cast<std::byte>(input.byte());
      return;
    case 3:
      return message.resize(input.below(2 * message.size() + 2));
    case 4:
      message = input.bytes(input.below(256));
      return;
    case 5:
      message = earlier[input.byte() % 3][input.byte() % 2];
      return;
    case 6:
      message = said[input.byte() % (round + 1)][input.byte() % 2];
      return;
    case 7:
      return received.resize(input.below(4));
  }
}

inline void handshake(std::span<const std::byte> bytes, KnownBy by = KnownBy::psk) {
  Input input(bytes);
  const Recording& earlier = earlierSession(by);  // not while another session is under way
  Recording said;
  bool changed = false;
  const bool keys = exchangeKeys(by, said, [&](std::size_t round, Messages& received) {
    const Messages before = received;
    change(input, round, earlier, said, received);
    changed |= received != before;
  });
  demand(keys == !changed);
}

/// Any bytes as a first message: refused in rank 1's name, or a hello that is written as the same
/// bytes.
inline void helloMessage(std::span<const std::byte> message) {
  const cc::Hello mine{.world = 2};
  try {
    const auto hello = cc::checkHello(message, 1, mine, "a cipher");
    const auto encoded = cc::encode(hello);
    demand(std::equal(encoded.begin(), encoded.end(), message.begin(), message.end()));
  } catch (const Error& error) {
    demand(error.code() == ErrorCode::keyExchange && error.rank() == 1);
  }
}

}  // namespace lockstep::fuzz
