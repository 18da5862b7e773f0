// Communicators whose ranks show quotes: with and without a pre-shared key, their children, and
// ranks that are refused.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "support/attester.hpp"
#include "support/family.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// Processes first: they are forked before this one has threads.
constexpr std::array kKindsAll{Kind::processes, Kind::threads, Kind::sockets};

/// Options of a sealed mode with this attestation and no pre-shared key.
Options attested(Attestation attestation, Mode mode = Mode::cc) {
  Options options = optionsOf(mode);
  options.psk.clear();
  options.attestation = std::make_shared<const Attestation>(std::move(attestation));
  return options;
}

/// Three ranks; rank 1 has other options.
std::vector<Outcome> createWithOther(Kind kind, const Options& usual, const Options& other) {
  Meeting meeting;
  return playRanks(kind, 3, [&](int rank) {
    Communicator::create(meeting.id(rank), rank, 3, rank == 1 ? other : usual).barrier();
  });
}

TEST(AttestedCommunicator, WorksInSealedModesWithAndWithoutAPreSharedKey) {
  for (const Kind kind : kKindsAll)
    for (const Mode mode : {Mode::cc, Mode::ccMulticast})
      for (const bool preShared : {false, true}) {
        SCOPED_TRACE(fmt::format("{}, {}, {}", name(kind), name(mode), preShared));
        Options options = attested(softwareAttestation(), mode);
        if (preShared) options.psk = testPsk();
        EXPECT_EQ(failures(runRanks(kind, 3, options,
                                    [&](Communicator& comm, int) {
                                      require(
                                          comm.keySource() ==
                                              (preShared ? "X25519, pre-shared key and attestation"
                                                         : "X25519 and attestation"),
                                          comm.keySource());
                                      exercise(comm, everyone(3));
                                    })),
                  "");
      }
}

TEST(AttestedCommunicator, ChildrenAttestAnew) {
  for (const Kind kind : kKindsAll) {
    SCOPED_TRACE(name(kind));
    Shared<std::array<std::atomic<int>, 2>> counts;  // quotes made, and verified
    const Attestation honest = softwareAttestation();
    const Options options = attested({.quote =
                                          [&](auto binding) {
                                            ++(*counts)[0];
                                            return honest.quote(binding);
                                          },
                                      .verify =
                                          [&](int rank, auto quote, auto binding) {
                                            ++(*counts)[1];
                                            honest.verify(rank, quote, binding);
                                          }});
    const auto outcomes = runRanks(kind, 4, options, [&](Communicator& comm, int rank) {
      const auto check = [&](Communicator& child, const std::vector<int>& members) {
        require(child.keySource() == "X25519 and attestation", child.keySource());
        exercise(child, members);
      };
      auto half = comm.split(rank % 2, 0);
      check(*half, rank % 2 == 0 ? std::vector{0, 2} : std::vector{1, 3});
      auto twin = half->duplicate();
      check(twin, rank % 2 == 0 ? std::vector{0, 2} : std::vector{1, 3});
      auto rest = comm.shrink();
      check(rest, everyone(4));
    });
    EXPECT_EQ(failures(outcomes), "");
    EXPECT_EQ((*counts)[0], 4 * 4) << "of the first, its half, its twin, and the shrunk one";
    EXPECT_EQ((*counts)[1], 4 * (3 + 1 + 1 + 3));
  }
}

TEST(AttestedCommunicator, ShrinksToTheRanksThatAreLeft) {
  const auto outcomes = runRanks(Kind::processes, 3, attested(softwareAttestation()),
                                 [&](Communicator& comm, int rank) {
                                   comm.barrier();
                                   if (rank == 0) ::kill(::getpid(), SIGKILL);
                                   Communicator rest = comm.shrink();
                                   exercise(rest, {1, 2});
                                 });
  EXPECT_EQ(outcomes[0].text, "killed by signal 9");
  EXPECT_TRUE(outcomes[1].ok && outcomes[2].ok) << describe(outcomes);
}

TEST(AttestedCommunicator, ARankThatRunsSomethingElseIsNamed) {
  for (const Kind kind : {Kind::processes, Kind::sockets})
    for (const bool preShared : {false, true}) {
      Options usual = attested(softwareAttestation());
      Options other = attested(softwareAttestation("something else"));
      if (preShared) usual.psk = other.psk = testPsk();
      const auto outcomes = createWithOther(kind, usual, other);
      for (const Outcome& outcome : outcomes)
        EXPECT_EQ(outcome.code, ErrorCode::keyExchange) << describe(outcomes);
      for (const std::size_t r : {0U, 2U}) {
        EXPECT_EQ(outcomes[r].blamed, 1);
        EXPECT_THAT(outcomes[r].text,
                    AllOf(HasSubstr("rank 1's quote"), HasSubstr("another image runs there")));
      }
    }
}

// A child's error counts ranks as the parent does.
TEST(AttestedCommunicator, ARankThatIsRefusedInASplitIsNamed) {
  for (const Kind kind : kKindsAll) {
    SCOPED_TRACE(name(kind));
    Shared<std::atomic<int>> quotes;
    const Attestation honest = softwareAttestation();
    const Options options = attested({.quote =
                                          [&](auto binding) {
                                            ++*quotes;
                                            return honest.quote(binding);
                                          },
                                      .verify =
                                          [&](int rank, auto quote, auto binding) {
                                            honest.verify(rank, quote, binding);
                                            if (*quotes > 3 && rank == 1)
                                              throw std::runtime_error("revoked since");
                                          }});
    const auto outcomes = runRanks(kind, 3, options, [&](Communicator& comm, int rank) {
      auto pair = comm.split(rank == 0 ? kNoColor : 0, 0);
      require(!pair, "a child");
    });
    EXPECT_TRUE(outcomes[0].ok) << describe(outcomes);
    EXPECT_EQ(outcomes[1].code, ErrorCode::keyExchange);
    EXPECT_EQ(outcomes[1].blamed, 2);
    EXPECT_THAT(outcomes[1].text, HasSubstr("revoked since"));
    EXPECT_EQ(outcomes[2].code, ErrorCode::keyExchange);
    EXPECT_EQ(outcomes[2].blamed, 1);
    EXPECT_THAT(outcomes[2].text, HasSubstr("gave up the key exchange"));
  }
}

TEST(AttestedCommunicator, OneRankWithoutIsAMismatch) {
  const Options usual = attested(softwareAttestation());
  Options insecure = usual, preShared = optionsOf(Mode::cc);
  insecure.attestation.reset();
  insecure.insecureKeys = true;
  for (const auto& [other, words] :
       {std::pair(insecure, "'keys: insecure'"), std::pair(preShared, "'keys: pre-shared'")}) {
    const auto outcomes = createWithOther(Kind::sockets, usual, other);
    for (const Outcome& outcome : outcomes) {
      EXPECT_EQ(outcome.code, ErrorCode::mismatch) << describe(outcomes);
      EXPECT_THAT(outcome.text, AllOf(HasSubstr("'keys: attested'"), HasSubstr(words)));
    }
  }
}

TEST(AttestedCommunicator, HalfAnAttestationIsAnInvalidArgument) {
  const Attestation whole = softwareAttestation();
  for (const Mode mode : {Mode::p2p, Mode::cc})
    for (const Attestation& half : {Attestation{}, Attestation{.quote = whole.quote, .verify = {}},
                                    Attestation{.quote = {}, .verify = whole.verify}}) {
      Options options = attested(half, mode);
      options.insecureKeys = true;
      try {
        Communicator::createInProcess(2, options);
        ADD_FAILURE() << "accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
        EXPECT_THAT(error.what(), HasSubstr("Options::attestation has no function"));
      }
    }
}

TEST(AttestedCommunicator, IsNotAskedInTheClear) {
  const auto ends = Communicator::createInProcess(
      2, attested({.quote = [](auto) -> std::vector<std::byte> { throw 1; },
                   .verify = [](int, auto, auto) { throw 1; }},
                  Mode::p2p));
  EXPECT_EQ(ends[0].keySource(), "none");
}

TEST(AttestedCommunicator, ARankThatTakesLongerThanTheTimeoutIsNamed) {
  Shared<std::atomic<int>> gaveUp;
  Options usual = attested(softwareAttestation());
  usual.timeout = 2s;
  Options slow = attested({.quote = softwareAttestation().quote, .verify = [&](int, auto, auto) {
                             while (*gaveUp < 2) std::this_thread::sleep_for(1ms);
                           }});
  slow.timeout = usual.timeout;
  Meeting meeting;
  const auto outcomes = playRanks(Kind::sockets, 3, [&](int rank) {
    const UniqueId id = meeting.id(rank);
    try {
      Communicator::create(id, rank, 3, rank == 1 ? slow : usual);
    } catch (...) {
      ++*gaveUp;
      throw;
    }
  });
  for (const std::size_t r : {0U, 2U}) {
    EXPECT_EQ(outcomes[r].code, ErrorCode::timeout) << describe(outcomes);
    EXPECT_THAT(outcomes[r].text, HasSubstr("rank 1"));
  }
  EXPECT_FALSE(outcomes[1].ok);
}

}  // namespace
}  // namespace lockstep::testing
