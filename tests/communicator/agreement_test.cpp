// Ranks that were created differently: every one of them hears what differs, and where.
#include "communicator/agreement.hpp"

#include <functional>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/tampered_peers.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using ::testing::HasSubstr;

/// A world of 3 whose rank 2 has other options.
std::vector<Outcome> createDifferently(Kind kind, const Options& options,
                                       const std::function<void(Options&)>& change) {
  Meeting meeting;
  return playRanks(kind, 3, [&](int rank) {
    Options mine = options;
    mine.timeout = std::chrono::seconds(20);
    if (rank == 2) change(mine);
    auto communicator = Communicator::create(meeting.id(rank), rank, 3, mine);
    communicator.barrier();
  });
}

TEST(Agreement, OptionsThatDifferAreNamedWithBothValues) {
  struct Case {
    Mode mode;
    std::function<void(Options&)> change;
    std::string usual, other;
  };
  const Case cases[] = {
      {Mode::p2p, [](Options& o) { o.mode = Mode::multicast; }, "mode: p2p", "mode: multicast"},
      {Mode::cc, [](Options& o) { o.mode = Mode::ccMulticast; }, "mode: cc", "mode: cc-multicast"},
      {Mode::p2p,
       [](Options& o) {
         o.mode = Mode::cc;
         o.psk = testPsk();
       },
       "mode: p2p", "mode: cc"},
      {Mode::p2p, [](Options& o) { o.timeout = std::chrono::seconds(21); }, "timeout: 20000 ms",
       "timeout: 21000 ms"},
      {Mode::p2p, [](Options& o) { o.algorithm = "ring"; }, "algorithm: ", "algorithm: ring"},
      {Mode::p2p, [](Options& o) { o.protocol = "ll"; }, "protocol: ", "protocol: ll"},
      {Mode::p2p, [](Options& o) { o.crossMemoryAttach = false; }, "cross-memory attach: true",
       "cross-memory attach: false"},
      {Mode::p2p, [](Options& o) { o.reproducible = true; }, "reproducible: false",
       "reproducible: true"},
      {Mode::cc, [](Options& o) { o.rekeyBytes = 1 << 20; }, "rekey bytes: 0",
       "rekey bytes: 1048576"},
      {Mode::cc,
       [](Options& o) {
         o.psk.clear();
         o.insecureKeys = true;
       },
       "keys: pre-shared", "keys: insecure"},
      {Mode::cc, [](Options& o) { o.cipher = "openssl"; }, "cipher: ", "cipher: "},
  };
  for (const Kind kind : {Kind::sockets, Kind::processes})
    for (const Case& c : cases) {
      SCOPED_TRACE(c.other);
      Options usual = optionsOf(c.mode);
      if (isSealed(c.mode)) usual.cipher = "ipsec-mb";
      const auto outcomes = createDifferently(kind, usual, c.change);
      for (std::size_t r = 0; r < outcomes.size(); ++r) {
        if (outcomes[r].code == ErrorCode::unsupported)
          GTEST_SKIP() << "this CPU lacks what the other cipher needs: " << outcomes[r].text;
        EXPECT_EQ(outcomes[r].code, ErrorCode::mismatch) << describe(outcomes);
        EXPECT_THAT(outcomes[r].text, HasSubstr("'" + c.usual));
        EXPECT_THAT(outcomes[r].text, HasSubstr("'" + c.other));
        EXPECT_THAT(outcomes[r].text, HasSubstr("rank 2"));
      }
    }
}

TEST(Agreement, AnotherPreSharedKeyIsAFailedKeyExchange) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast})
    for (const Kind kind : {Kind::sockets, Kind::processes}) {
      const auto outcomes =
          createDifferently(kind, optionsOf(mode), [](Options& o) { o.psk[31] ^= std::byte{1}; });
      for (const Outcome& outcome : outcomes)
        EXPECT_EQ(outcome.code, ErrorCode::keyExchange) << describe(outcomes);
      EXPECT_EQ(outcomes[2].code, ErrorCode::keyExchange) << describe(outcomes);
      EXPECT_THAT(outcomes[2].text, HasSubstr("key"));
    }
}

/// After the last round only the victim knows. It must not wait for the others until its deadline.
TEST(Agreement, ARankThatAloneRefusesTheKeysDoesNotWaitForTheOthers) {
  auto ends = joinThreads(2);
  const Options options = optionsOf(Mode::cc);
  std::thread other([&] {
    cc::Lineage lineage;
    Transcript peers(*ends[1]);
    EXPECT_NO_THROW(
        agreement::keys(peers, options, cc::createAead(), lineage, Deadline::in(options.timeout)));
  });
  constexpr int kLast = 4;  // the communicator's id, hellos, wrapped keys, confirmations
  TamperedPeers tampered(std::move(ends[0]), [round = 0](Messages& all) mutable {
    if (++round == kLast) all[1].back() ^= std::byte{1};
  });
  Transcript peers(tampered);
  cc::Lineage lineage;
  const auto begin = Clock::now();
  try {
    agreement::keys(peers, options, cc::createAead(), lineage, Deadline::in(options.timeout));
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::keyExchange);
    EXPECT_THAT(error.what(), HasSubstr("rank 1 does not confirm"));
  }
  EXPECT_LT(Clock::now() - begin, options.timeout / 4);
  other.join();
}

TEST(Agreement, ShortKeysAreRefused) {
  Options options = optionsOf(Mode::cc);
  options.psk.resize(31);
  EXPECT_THROW(Communicator::createInProcess(2, options), Error);
}

TEST(Agreement, WhatWasAgreedIsTold) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    auto all = Communicator::createInProcess(2, optionsOf(mode));
    EXPECT_EQ(all[1].rank(), 1);
    EXPECT_EQ(all[1].worldSize(), 2);
    EXPECT_EQ(all[1].options().mode, mode);
    EXPECT_EQ(all[1].cipher() == "none", mode == Mode::p2p);
    EXPECT_EQ(all[1].keySource() == "none", mode == Mode::p2p);
    EXPECT_EQ(all[1].ordinaryPath(), mode == Mode::p2p ? "same process" : "slots");
  }
  Options insecure = optionsOf(Mode::cc);
  insecure.psk.clear();
  insecure.insecureKeys = true;
  auto all = Communicator::createInProcess(2, insecure);
  EXPECT_THAT(all[0].keySource(), HasSubstr("insecure"));
}

}  // namespace
}  // namespace lockstep::testing
