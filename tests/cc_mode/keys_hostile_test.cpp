// Key exchange messages and key files as an attacker may make them, without libFuzzer.
#include <random>

#include <gtest/gtest.h>

#include "fuzz/handshake_target.hpp"
#include "fuzz/psk_file_target.hpp"

namespace lockstep::test {
namespace {

std::vector<std::byte> randomBytes(std::mt19937& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

TEST(HostileHandshake, EndsInKeysOnlyIfNothingWasChanged) {
  for (const auto by : {fuzz::KnownBy::psk, fuzz::KnownBy::quotes}) {
    fuzz::handshake({}, by);  // nothing is
    std::mt19937 random(5);
    for (int i = 0; i < 150; ++i) fuzz::handshake(randomBytes(random, random() % 60), by);
  }
}

// Each kind of change, in each round, of the peer's message and of one's own.
TEST(HostileHandshake, EveryChangeInEveryRound) {
  std::mt19937 random(6);
  for (std::size_t round = 0; round < 3; ++round)
    for (unsigned kind = 1; kind < 8; ++kind)
      for (const unsigned whose : {0U, 1U}) {
        auto input = randomBytes(random, 2 * round + 12);
        for (std::size_t before = 0; before < round; ++before) input[2 * before + 1] = {};
        input[2 * round] = std::byte(whose);
        input[2 * round + 1] = std::byte(kind);
        for (const auto by : {fuzz::KnownBy::psk, fuzz::KnownBy::quotes})
          fuzz::handshake(input, by);
      }
}

TEST(HostileHandshake, AnyBytesAsAHello) {
  const auto good = cc::encode({.rank = 1, .world = 2});
  fuzz::helloMessage(good);
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::byte> message(good.begin(), good.end());
    for (unsigned n = random() % 4; n > 0; --n)
      message[random() % message.size()] = static_cast<std::byte>(random());
    if (random() % 8 == 0) message.resize(random() % 200);
    fuzz::helloMessage(message);
  }
}

TEST(HostilePskFile, IsAKeyOrAnError) {
  const std::string hex = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";
  std::mt19937 random(8);
  fuzz::pskFile(hex);
  fuzz::pskFile(hex + " \n");
  for (int i = 0; i < 1000; ++i) {
    std::string text;
    for (unsigned n = random() % (random() % 20 == 0 ? 40 : 4); n > 0; --n) text += hex;
    if (random() % 2 == 0 && !text.empty())
      text[random() % text.size()] = static_cast<char>(random());
    if (random() % 4 == 0) text.resize(random() % (text.size() + 1));
    if (random() % 2 == 0) text += "\r\n";
    fuzz::pskFile(text);
  }
}

}  // namespace
}  // namespace lockstep::test
