// Why a communicator has failed, as each of its ranks says it: who saw it, who heard of it, who
// heard of it from one that had heard; in the first error and in all later ones.
#include "communicator/cause.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/clock.hpp"
#include "support/world.hpp"
#include "transport/shm/call.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kWitness = 0, kMessenger = 1, kLast = 2, kCulprit = 3, kWorld = 4;

struct Failure {
  const char* name;
  const char* told;  ///< what happened, in the words of those who did not see it
  Kind kind;
  void (*culprit)(Communicator&);
};

constexpr Failure kFailures[] = {
    {"died", "rank 3 has died or left", Kind::processes,
     [](Communicator&) { ::kill(::getpid(), SIGKILL); }},
    {"late", "it waited too long for rank 3", Kind::processes, [](Communicator&) {}},
    {"late, a thread", "it waited too long for rank 3", Kind::threads, [](Communicator&) {}},
    {"mismatch", "rank 3 called something else", Kind::processes,
     [](Communicator& communicator) {
       float one = 1;
       communicator.allReduce(&one, &one, 1, DataType::f32);
     }},
    {"abort", "it called abort", Kind::threads,
     [](Communicator& communicator) { communicator.abort(); }},
};

/// So far that many ranks have got their errors.
using Told = std::atomic<int>;

void waitFor(const Told& told, int ranks) {
  for (const Deadline limit = Deadline::in(30s); told < ranks;) {
    require(!limit.passed(), "the others did not fail");
    std::this_thread::sleep_for(1ms);
  }
}

bool contains(const Error& error, std::string_view part) {
  return std::string_view(error.what()).find(part) != std::string_view::npos;
}

void requireCause(const Error& error) {
  require(error.rank() == kCulprit, fmt::format("blames {}: {}", error.rank(), error.what()));
  const std::string_view text = error.what();
  const std::size_t hint = text.find(kGoOn);
  require(hint != text.npos && hint + kGoOn.size() == text.size(), "no hint: " + std::string(text));
}

/// Second-hand: from `witness` it hears that `told`.
void requireHeard(const Error& error, int witness, const char* told, bool sealed) {
  requireCause(error);
  require(error.code() == ErrorCode::aborted, error.what());
  require(contains(error, fmt::format("rank {} gave up", witness)), error.what());
  require(contains(error, told), error.what());
  require(contains(error, shm::kHearsay) == sealed, error.what());
}

template <class Call>
void expectError(const Call& call, const std::function<void(const Error&)>& require) {
  try {
    call();
  } catch (const Error& error) {
    return require(error);
  }
  throw std::runtime_error("it succeeded");
}

/// One after the other: the witness waits for the culprit, the messenger hears of it, the last too.
void playFailure(const Failure& failure, Communicator& communicator, int rank, bool sealed,
                 Told& told) {
  communicator.barrier();
  if (rank == kCulprit) {
    try {
      failure.culprit(communicator);
    } catch (const Error&) {  // it has called something else
    }
    return waitFor(told, kWorld - 1);
  }
  waitFor(told, rank);
  const bool abort = std::string_view(failure.name) == "abort";
  const int witness = abort ? kCulprit : kWitness;
  // A mismatch is seen by whoever makes the call in question.
  const auto first = [&] {
    if (rank == kMessenger)
      communicator.alloc(4096);
    else
      communicator.barrier();
  };
  const bool sees = rank == kWitness || communicator.rank() == kLast;
  expectError(first, [&](const Error& error) {
    requireCause(error);
    if (!sees) requireHeard(error, witness, failure.told, sealed);
  });
  // The error is swallowed. All later ones say so again.
  const auto again = [&](const Error& error) {
    requireCause(error);
    require(error.code() == ErrorCode::aborted, error.what());
    require(contains(error, failure.told), error.what());
    require(contains(error, "has failed before"), error.what());
  };
  float one = 1;
  expectError([&] { communicator.barrier(); }, again);
  expectError([&] { communicator.send(&one, 1, DataType::f32, kCulprit); }, again);
  expectError([&] { communicator.alloc(4096); }, again);
  expectError([&] { static_cast<void>(communicator.duplicate()); }, again);
  expectError(
      [&] {
        Group group;
        group.run(communicator, Collective::barrier, nullptr, nullptr, 0, DataType::u8);
        group.start().wait();
      },
      again);
  ++told;
}

TEST(Causes, AreTheSameForAllRanksFirstAndLater) {
  for (const Mode mode : {Mode::p2p, Mode::cc})
    for (const Failure& failure : kFailures) {
      SCOPED_TRACE(fmt::format("{}, {}", name(mode), failure.name));
      Shared<Told> told;
      Options options = optionsOf(mode);
      if (std::string_view(failure.told).starts_with("it waited")) options.timeout = 1s;
      auto outcomes = runRanks(failure.kind, kWorld, options, [&](Communicator& comm, int rank) {
        playFailure(failure, comm, rank, isSealed(mode), *told);
      });
      if (std::string_view(failure.name) == "died") outcomes.pop_back();
      EXPECT_EQ(failures(outcomes), "");
    }
}

// A sender that gave up, whose buffer can no longer be read: the executor knows no more than that.
TEST(Causes, AreToldWhereTheExecutorDoesNotKnowThem) {
  Options options = optionsOf(Mode::p2p);
  Shared<Told> told;
  const auto outcomes =
      runRanks(Kind::threads, 2, options, [&](Communicator& communicator, int rank) {
        std::vector<float> data(1 << 20, 1.0F);
        if (rank == 1) {
          Group group;
          group.send(communicator, data.data(), data.size(), DataType::f32, 0);
          Work work = group.start();
          static_cast<void>(work.test());
          communicator.abort();
          ++*told;
          return expectError([&] { work.wait(); }, [](const Error&) {});
        }
        waitFor(*told, 1);
        expectError([&] { communicator.receive(data.data(), data.size(), DataType::f32, 1); },
                    [](const Error& error) {
                      require(error.rank() == 1, error.what());
                      require(contains(error, "rank 1 gave up before any call: it called abort"),
                              error.what());
                      require(contains(error, kGoOn), error.what());
                    });
      });
  EXPECT_EQ(failures(outcomes), "");
}

TEST(Causes, OfForgedWordsAreOfThisWorldAndAreCodes) {
  shm::StatusLine line{};
  for (const std::uint64_t word : {std::uint64_t{5}, std::uint64_t{250}, ~std::uint64_t{0}}) {
    line.errorCode = std::max<std::uint64_t>(word, 11);
    line.culprit = line.witness = line.sequence = word;
    const Cause cause = hear(line, 2, 4);
    EXPECT_EQ(cause.code, ErrorCode::internal);
    EXPECT_EQ(cause.witness, 2);
    EXPECT_EQ(cause.culprit, 2);
    EXPECT_TRUE(toString(cause).starts_with("rank 2 gave up at call #")) << toString(cause);
  }
}

TEST(Causes, ComeOutAsTheyWentIn) {
  shm::StatusLine line{};
  const Cause cause{
      .known = true, .code = ErrorCode::timeout, .culprit = 63, .witness = 0, .sequence = 17};
  tell(line, cause);
  const Cause heard = hear(line, 5, 64);
  EXPECT_EQ(toString(heard), "rank 0 gave up at call #17: it waited too long for rank 63");
}

}  // namespace
}  // namespace lockstep::testing
