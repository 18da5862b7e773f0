// Ids that were created with the pre-shared key, under attack by one who knows their text.
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "bootstrap/frame.hpp"
#include "bootstrap/meeting_id.hpp"
#include "bootstrap/peers.hpp"
#include "bootstrap/socket.hpp"
#include "cc_mode/keys/psk.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// Takes rank 1's place, if it is let. It stays as long as the sockets do.
std::vector<Fd> attack(const UniqueId& id) {
  const MeetingId point = MeetingId::parse(id.text());
  const Hello hello{point.token, 1, 2};
  std::vector<Fd> open;
  for (const Bytes& said : {encodeFrame(FrameType::hello, encodeHello(hello)),
                            encodeFrame(FrameType::keyedHello, encodeKeyedHello({hello}))}) {
    open.push_back(connectTcp(point.address, Deadline::in(20s)));
    sendAll(open.back(), said, Deadline::in(20s));
  }
  return open;
}

std::vector<Outcome> createTwo(const UniqueId& id, std::chrono::milliseconds timeout) {
  Options options = optionsOf(Mode::cc);
  options.timeout = timeout;
  return playRanks(Kind::sockets, 2, [&](int rank) {
    Communicator comm = Communicator::create(id, rank, 2, options);
    std::vector<float> data(1000, 1);
    comm.allReduce(data.data(), data.data(), data.size(), DataType::f32);
    require(data.front() == 2 && data.back() == 2, "a wrong sum");
  });
}

TEST(KeyedId, AnAttackerWhoCameFirstTakesNobodysPlace) {
  const UniqueId id = UniqueId::create({}, testPsk());
  const auto attacker = attack(id);
  EXPECT_EQ(failures(createTwo(id, 60s)), "");
}

// The attack is one: without a key it ends what the ranks try. They notice.
TEST(KeyedId, AKeyComesOutOfItsFile) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("lockstep-test-" + std::to_string(::getpid()) + ".psk"))
                               .string();
  cc::writePskFile(path);  // as `ccbench keygen` does
  const std::vector<std::byte> key = readPskFile(path);
  std::filesystem::remove(path);
  EXPECT_EQ(key.size(), 32U);
  Options options = optionsOf(Mode::cc);
  options.psk = key;
  EXPECT_EQ(Communicator::createInProcess(1, options)[0].keySource(), "X25519 and pre-shared key");
  EXPECT_THROW(static_cast<void>(readPskFile(path)), Error);
}

TEST(KeyedId, WithoutAKeyTheAttackerTakesAPlace) {
  const UniqueId id = UniqueId::create();
  const auto attacker = attack(id);
  const auto outcomes = createTwo(id, 300ms);
  EXPECT_FALSE(outcomes[0].ok);
  EXPECT_FALSE(outcomes[1].ok);
}

TEST(KeyedId, ARankWithoutTheKeyIsToldAtOnceAndTheOthersWait) {
  const UniqueId id = UniqueId::create({}, testPsk());
  const auto outcomes = playRanks(Kind::sockets, 3, [&](int i) {
    Options options = optionsOf(i == 2 ? Mode::p2p : Mode::cc);
    if (i == 1) options.psk.back() ^= std::byte{1};
    if (i == 0) options.timeout = 200ms;
    Communicator::create(id, i, 3, options);
  });
  EXPECT_EQ(outcomes[0].code, ErrorCode::timeout) << describe(outcomes);
  EXPECT_THAT(outcomes[0].text, HasSubstr("ranks 1 and 2 of 3 have not come"));
  EXPECT_EQ(outcomes[1].code, ErrorCode::keyExchange) << describe(outcomes);
  EXPECT_THAT(outcomes[1].text, HasSubstr("another pre-shared key"));
  EXPECT_EQ(outcomes[2].code, ErrorCode::keyExchange) << describe(outcomes);
  EXPECT_THAT(outcomes[2].text, HasSubstr("without the pre-shared key"));
}

TEST(KeyedId, ClearModesMeetThereToo) {
  const UniqueId id = UniqueId::create({}, testPsk());
  Options options = optionsOf(Mode::p2p);
  options.psk = testPsk();
  EXPECT_EQ(
      failures(playRanks(Kind::sockets, 2,
                         [&](int rank) { Communicator::create(id, rank, 2, options).barrier(); })),
      "");
}

TEST(KeyedId, ShortKeysAreRefused) {
  const auto psk = testPsk();
  try {
    UniqueId::create({}, std::span(psk).first(31));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("31 bytes"));
  }
}

}  // namespace
}  // namespace lockstep::testing
