// What ranks agree on against whoever carries it: before they have keys, in calls of a communicator
// that lives, and about who is left of one that failed.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cc_mode/digest.hpp"
#include "communicator/communicator_impl.hpp"
#include "support/family.hpp"
#include "support/tampered_peers.hpp"
#include "support/world.hpp"
#include <lockstep/device.hpp>

namespace lockstep::testing {
namespace {

using Tamper = TamperedPeers::Tamper;

Communicator create(std::unique_ptr<Peers> peers, const Options& options) {
  return CommunicatorImpl::wrap(
      std::make_shared<CommunicatorImpl>(std::move(peers), options, Deadline::in(options.timeout)));
}

Communicator createTampered(std::unique_ptr<Peers> peers, const Options& options, Tamper tamper) {
  return create(std::make_unique<TamperedPeers>(std::move(peers), std::move(tamper)), options);
}

/// Changes a byte of what rank 1 said: for all, or to rank 0, whose place is the first.
void changeRankOne(Messages& all) {
  if (!all[1].empty()) all[1].front() ^= std::byte{1};
}

/// Calls `change` for the all-gather of this number, from 1 on.
Tamper inRound(int number, Tamper change) {
  return [number, change = std::move(change), round = 0](Messages& all) mutable {
    if (++round == number) change(all);
  };
}

// ---- before there are keys ----

/// All-gathers of processes before the key exchange, and after it.
enum Round { kProbes = 1, kVerdicts, kCores, kOptions, kId, kTimes = kId + 4 };

/// A world that meets by sockets; `tamper` makes what happens on each rank's line.
std::vector<Outcome> createOverSockets(int world, const std::function<Options(int rank)>& options,
                                       const std::function<Tamper(int rank)>& tamper) {
  Meeting meeting;
  return playRanks(Kind::sockets, world, [&](int rank) {
    const Options mine = options(rank);
    auto peers = joinProcesses(meeting.id(rank).text(), rank, world, Deadline::in(mine.timeout));
    Communicator comm = createTampered(std::move(peers), mine, tamper(rank));
    exercise(comm, everyone(world));
  });
}

std::vector<Outcome> changeWhatRankZeroHears(Mode mode, int round, const Tamper& change) {
  return createOverSockets(
      3, [&](int) { return optionsOf(mode); },
      [&](int rank) -> Tamper { return rank == 0 ? inRound(round, change) : [](Messages&) {}; });
}

TEST(Agreed, NothingIsBelievedThatTheKeyExchangeDoesNotConfirm) {
  for (const int round : {kProbes, kVerdicts, kCores, kId}) {
    SCOPED_TRACE(round);
    const auto outcomes = changeWhatRankZeroHears(Mode::cc, round, changeRankOne);
    for (const Outcome& outcome : outcomes)
      EXPECT_EQ(outcome.code, ErrorCode::keyExchange) << describe(outcomes);
  }
}

/// The carrier tells all ranks the same, rank 1 included: only that one knows what it said.
TEST(Agreed, NothingIsBelievedThatARankDidNotSay) {
  for (const int round : {kProbes, kVerdicts, kCores, kId}) {
    SCOPED_TRACE(round);
    const auto outcomes = createOverSockets(
        3, [](int) { return optionsOf(Mode::cc); },
        [&](int) { return inRound(round, changeRankOne); });
    for (const Outcome& outcome : outcomes)
      EXPECT_EQ(outcome.code, ErrorCode::keyExchange) << describe(outcomes);
  }
}

/// The key exchange is what notices: without it, a core more or less changes nothing.
TEST(Agreed, ClearModesBelieveTheirCarrier) {
  const auto outcomes = changeWhatRankZeroHears(Mode::p2p, kCores, changeRankOne);
  EXPECT_EQ(failures(outcomes), "");
}

/// Every rank is shown its own options in place of the others'.
TEST(Agreed, OptionsThatAreMadeToLookAlikeAreNoticed) {
  const auto outcomes = createOverSockets(
      2,
      [](int rank) {
        Options options = optionsOf(Mode::cc);
        if (rank == 1) options.algorithm = "one_shot";
        return options;
      },
      [](int rank) {
        return inRound(kOptions, [rank](Messages& all) {
          all[static_cast<std::size_t>(1 - rank)] = all[static_cast<std::size_t>(rank)];
        });
      });
  for (const Outcome& outcome : outcomes)
    EXPECT_EQ(outcome.code, ErrorCode::keyExchange) << describe(outcomes);
}

TEST(Agreed, MeasuredTimesAreSealed) {
  const auto outcomes =
      changeWhatRankZeroHears(Mode::cc, kTimes, [](Messages& all) { all[2][5] ^= std::byte{1}; });
  EXPECT_EQ(outcomes[0].code, ErrorCode::integrity) << describe(outcomes);
  EXPECT_EQ(outcomes[0].blamed, 2);
}

TEST(Agreed, SealedRanksDoNotSayWhereTheirMemoryIs) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    const auto outcomes = changeWhatRankZeroHears(mode, kProbes, [&](Messages& all) {
      for (const auto& message : all)
        require(std::ranges::count(message, std::byte{0}) == 16 || !isSealed(mode), "an address");
      require(isSealed(mode) || std::ranges::count(all[1], std::byte{0}) < 16, "no address");
    });
    EXPECT_EQ(failures(outcomes), "");
  }
}

// ---- calls ----

constexpr int kColor = 0x5a31c277, kKey = 0x7b18d9e4;
constexpr std::size_t kBytes = 0x1d5b31;
constexpr std::string_view kTable = R"({"version": 2, "tables": []})";

struct Call {
  const char* name;
  std::function<void(Communicator&)> make;
};

std::vector<Call> calls() {
  return {{"split", [](Communicator& c) { static_cast<void>(c.split(kColor, kKey)); }},
          {"duplicate", [](Communicator& c) { static_cast<void>(c.duplicate()); }},
          {"alloc", [](Communicator& c) { static_cast<void>(c.alloc(kBytes)); }},
          {"retune", [](Communicator& c) { c.retune(kTable, "mine"); }}};
}

/// A world of threads. What rank 0 hears goes through `tamper` once a barrier has been passed.
std::vector<Outcome> callUnderAttack(Mode mode, const Call& call, const Tamper& tamper) {
  auto ends = joinThreads(3);
  return playRanks(Kind::threads, 3, [&](int rank) {
    bool armed = false;
    Communicator comm = createTampered(std::move(ends[static_cast<std::size_t>(rank)]),
                                       optionsOf(mode), [&](Messages& all) {
                                         if (armed) tamper(all);
                                       });
    comm.barrier();
    armed = rank == 0;
    try {
      call.make(comm);
    } catch (const Error&) {
      try {
        comm.barrier();
      } catch (const Error& error) {
        require(error.code() == ErrorCode::aborted, "it is not poisoned");
        throw;
      }
    }
  });
}

TEST(Agreed, EveryTamperedCallIsAnIntegrityError) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast})
    for (const Call& call : calls()) {
      SCOPED_TRACE(fmt::format("{}, {}", name(mode), call.name));
      Outcome victim;
      const Call watched{call.name, [&](Communicator& comm) {
                           try {
                             call.make(comm);
                           } catch (const Error& error) {
                             if (comm.rank() == 0)
                               victim = {.code = error.code(),
                                         .blamed = error.rank(),
                                         .operation = error.operation(),
                                         .text = error.what()};
                             throw;
                           }
                         }};
      const auto outcomes = callUnderAttack(mode, watched, changeRankOne);
      EXPECT_EQ(victim.code, ErrorCode::integrity) << victim.text;
      EXPECT_EQ(victim.blamed, 1);
      EXPECT_EQ(victim.operation, call.name);
      // Who was not lied to may be done before it hears that rank 0 has failed.
      EXPECT_EQ(outcomes[0].code, ErrorCode::aborted) << describe(outcomes);
      for (const Outcome& outcome : outcomes)
        EXPECT_TRUE(outcome.ok || outcome.code == ErrorCode::aborted) << describe(outcomes);
    }
}

/// Whoever carries messages does not know what is in them. If it were believed, one rank would go
/// on in good health that the others have given up, or blame a rank that has forged nothing.
TEST(Agreed, ACarriersVerdictEndsTheCommunicatorAndIsNoVerdict) {
  auto all = calls();
  all.push_back({"create for GPUs",
                 [](Communicator& comm) { static_cast<void>(DeviceCommunicator::create(comm)); }});
  for (const ErrorCode lie : {ErrorCode::mismatch, ErrorCode::integrity, ErrorCode::keyExchange})
    for (const Call& call : all) {
      SCOPED_TRACE(fmt::format("{}, {}", name(lie), call.name));
      std::optional<ErrorCode> code;
      int blamed = 0;
      const Call watched{call.name, [&](Communicator& comm) {
                           try {
                             call.make(comm);
                           } catch (const Error& error) {
                             if (comm.rank() == 0) code = error.code(), blamed = error.rank();
                             throw;
                           }
                         }};
      const auto outcomes = callUnderAttack(
          Mode::cc, watched, [&](Messages&) { throw Error(lie, 1, {}, "so it says"); });
      EXPECT_EQ(code, ErrorCode::bootstrap) << describe(outcomes);
      EXPECT_EQ(blamed, -1);
      EXPECT_EQ(outcomes[0].code, ErrorCode::aborted) << "it is not poisoned";
    }
}

/// The word that a rank has failed may be forged; a message that does not verify is a fact.
TEST(Agreed, AForgeryIsToldWhoeverSeemsToHaveFailed) {
  auto ends = joinThreads(2);
  std::atomic<bool> failed{false};
  const auto outcomes = playRanks(Kind::threads, 2, [&](int rank) {
    bool armed = false;
    Communicator comm = createTampered(std::move(ends[static_cast<std::size_t>(rank)]),
                                       optionsOf(Mode::cc), [&](Messages& all) {
                                         if (!armed) return;
                                         failed.wait(false);
                                         changeRankOne(all);
                                       });
    comm.barrier();
    armed = rank == 0;
    comm.alloc(64);
    comm.abort();
    failed = true;
    failed.notify_all();
  });
  EXPECT_EQ(outcomes[0].code, ErrorCode::integrity) << describe(outcomes);
  EXPECT_TRUE(outcomes[1].ok) << describe(outcomes);
}

/// Whether there are GPUs or not: that is the first thing their ranks tell each other. A forgery is
/// the end of the hosts' communicator as well.
TEST(Agreed, WhatGpusAgreeOnIsSealed) {
  Outcome victim;
  auto ends = joinThreads(3);
  const auto outcomes = playRanks(Kind::threads, 3, [&](int rank) {
    bool armed = false;
    Communicator comm = createTampered(std::move(ends[static_cast<std::size_t>(rank)]),
                                       optionsOf(Mode::cc), [&](Messages& all) {
                                         if (armed) changeRankOne(all);
                                       });
    comm.barrier();
    armed = rank == 0;
    try {
      static_cast<void>(DeviceCommunicator::create(comm));
    } catch (const Error& first) {
      if (rank == 0) {
        victim.code = first.code();
        victim.blamed = first.rank();
        victim.text = first.what();
      }
      try {
        comm.barrier();
      } catch (const Error& error) {
        require(error.code() == ErrorCode::aborted, "it is not poisoned");
        throw;
      }
    }
  });
  EXPECT_EQ(victim.code, ErrorCode::integrity) << victim.text;
  EXPECT_EQ(victim.blamed, 1);
  for (const Outcome& outcome : outcomes)
    EXPECT_EQ(outcome.code, ErrorCode::aborted) << describe(outcomes);
}

template <class T>
bool holds(const std::vector<std::byte>& message, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return std::ranges::search(message, bytes).begin() != message.end();
}

TEST(Agreed, NoWishCrossesInTheClear) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    int found = 0;
    for (const Call& call : calls())
      EXPECT_EQ(failures(callUnderAttack(mode, call,
                                         [&](Messages& all) {
                                           for (const auto& message : all)
                                             found += holds(message, kColor) +
                                                      holds(message, kKey) +
                                                      holds(message, kBytes) +
                                                      holds(message, cc::digest(kTable));
                                         })),
                "");
    EXPECT_EQ(found, isSealed(mode) ? 0 : 4 * 3) << name(mode);
  }
}

/// The same in every mode: ranks that make different calls are told so, and may go on.
/// Rank 1 makes `other`, the rest `mine`; all are told both.
void requireBothNamed(Communicator& comm, const Call& mine, const Call& other) {
  try {
    (comm.rank() == 1 ? other : mine).make(comm);
  } catch (const Error& error) {
    const std::string_view text = error.what();
    const auto named = [&](std::string_view call) {
      return text.find(fmt::format("called {}", call)) != text.npos;
    };
    require(error.code() == ErrorCode::mismatch && named(mine.name) && named(other.name),
            error.what());
    return;
  }
  require(false, "no error");
}

TEST(Agreed, DifferentCallsAreNamed) {
  for (const Kind kind : {Kind::threads, Kind::processes})
    for (const Mode mode : {Mode::p2p, Mode::cc}) {
      const auto outcomes = runRanks(kind, 3, optionsOf(mode), [](Communicator& comm, int) {
        for (const Call& mine : calls())
          for (const Call& other : calls())
            if (mine.name != other.name) requireBothNamed(comm, mine, other);
        exercise(comm, everyone(3));
      });
      EXPECT_EQ(failures(outcomes), "") << name(kind) << ", " << name(mode);
    }
}

// ---- who is left ----

/// What a rank is told in a shrink: who else is left, and by which line it reaches them.
struct Told {
  std::vector<int> members;
  std::unique_ptr<Peers> peers;
};

class LyingPeers final : public ForwardingPeers {
 public:
  LyingPeers(std::unique_ptr<Peers> inner, std::function<Told()> tell)
      : ForwardingPeers(*inner), inner_(std::move(inner)), tell_(std::move(tell)) {}
  void shrink(const Build& build, Deadline) override {
    Told told = tell_();
    build(std::move(told.peers), told.members);
  }

 private:
  std::unique_ptr<Peers> inner_;
  std::function<Told()> tell_;
};

/// A world of 3 whose ranks are told something in a shrink, and then try to live with it.
std::vector<Outcome> shrinkByHearsay(Mode mode, std::vector<Told> told) {
  auto ends = joinThreads(3);
  return playRanks(Kind::threads, 3, [&](int rank) {
    const auto r = static_cast<std::size_t>(rank);
    const std::vector<int> members = told[r].members;
    Communicator comm =
        create(std::make_unique<LyingPeers>(std::move(ends[r]), [&] { return std::move(told[r]); }),
               optionsOf(mode));
    comm.barrier();
    Communicator rest = comm.shrink();
    exercise(rest, members);
  });
}

TEST(Agreed, WhoIsTakenForDeadIsLeftOut) {
  auto two = joinThreads(2), one = joinThreads(1);
  std::vector<Told> told;
  told.push_back({{0, 1}, std::move(two[0])});
  told.push_back({{0, 1}, std::move(two[1])});
  told.push_back({{2}, std::move(one[0])});
  EXPECT_EQ(failures(shrinkByHearsay(Mode::cc, std::move(told))), "");
}

TEST(Agreed, RanksThatAreToldOfDifferentSurvivorsGetNoKeys) {
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    auto two = joinThreads(2), one = joinThreads(1);
    std::vector<Told> told;
    told.push_back({{0, 1}, std::move(two[0])});  // but it is rank 2 that answers
    told.push_back({{1}, std::move(one[0])});
    told.push_back({{0, 2}, std::move(two[1])});
    const auto outcomes = shrinkByHearsay(mode, std::move(told));
    for (const std::size_t r : {0U, 2U})
      EXPECT_EQ(outcomes[r].code, ErrorCode::keyExchange) << describe(outcomes);
    EXPECT_TRUE(outcomes[1].ok) << describe(outcomes);
  }
}

TEST(Agreed, AStrangerIsNoSurvivor) {
  auto two = joinThreads(2), one = joinThreads(1);
  std::thread stranger([&, end = std::move(two[1])]() mutable {
    Options options = optionsOf(Mode::cc);
    options.psk[0] ^= std::byte{1};
    try {
      family::countsOf(*end, 0, Deadline::in(options.timeout));
      create(std::move(end), options);
      ADD_FAILURE() << "a stranger is in the group";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::keyExchange) << error.what();
    }
  });
  std::vector<Told> told;
  told.push_back({{0, 1}, std::move(two[0])});
  for (int r = 1; r < 3; ++r) told.push_back({{r}, std::move(joinThreads(1)[0])});
  const auto outcomes = shrinkByHearsay(Mode::cc, std::move(told));
  stranger.join();
  EXPECT_EQ(outcomes[0].code, ErrorCode::keyExchange) << describe(outcomes);
}

/// Who says how many children each survivor has had chooses the number of the next: not unnoticed,
/// even if all are told the same highest one.
TEST(Agreed, NobodyElseChoosesTheNumberOfAChild) {
  for (const bool lies : {false, true}) {
    auto three = joinThreads(3);
    std::vector<Told> told;
    for (int rank = 0; rank < 3; ++rank) {
      const auto r = static_cast<std::size_t>(rank);
      const auto lie = inRound(1, [lies, r](Messages& all) {
        if (lies) std::ranges::fill(all[(r + 1) % 3], std::byte{0x7f});
      });
      told.push_back({{0, 1, 2}, std::make_unique<TamperedPeers>(std::move(three[r]), lie)});
    }
    const auto outcomes = shrinkByHearsay(Mode::cc, std::move(told));
    for (const Outcome& outcome : outcomes) {
      EXPECT_EQ(outcome.ok, !lies) << describe(outcomes);
      EXPECT_EQ(outcome.code == ErrorCode::keyExchange, lies) << describe(outcomes);
    }
  }
}

/// A try that comes to nothing uses its number up.
TEST(Agreed, NoTwoTriesAreOfOneNumber) {
  std::vector<std::uint64_t> numbers;
  const auto tell = [&] {
    const auto note = inRound(1, [&](Messages& all) {
      std::memcpy(&numbers.emplace_back(), all[0].data(), sizeof(std::uint64_t));
      if (numbers.size() < 3) throw Error(ErrorCode::aborted, "somebody has died");
    });
    return Told{{0}, std::make_unique<TamperedPeers>(std::move(joinThreads(1)[0]), note)};
  };
  Communicator comm =
      create(std::make_unique<LyingPeers>(std::move(joinThreads(1)[0]), tell), optionsOf(Mode::cc));
  EXPECT_THROW(static_cast<void>(comm.shrink()), Error);
  EXPECT_THROW(static_cast<void>(comm.shrink()), Error);
  Communicator rest = comm.shrink();
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{0, 1, 2}));
}

}  // namespace
}  // namespace lockstep::testing
