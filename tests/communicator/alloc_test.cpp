// An alloc waits for all ranks, but no longer than there is hope: one that gives up ends it.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "base/mapping.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;

/// Promised: 100 ms. A loaded machine may take its time, but far less than the deadline.
constexpr auto kSoon = 2s;

struct Progress {
  std::atomic<int> waiting{0}, done{0};
};

void waitUntil(const std::atomic<int>& number, int value) {
  for (const Deadline limit = Deadline::in(30s); number < value;) {
    require(!limit.passed(), "the others did not come");
    std::this_thread::sleep_for(1ms);
  }
}

void requireAborted(Communicator& communicator, Progress& progress, int by) {
  ++progress.waiting;
  const auto begin = Clock::now();
  try {
    communicator.alloc(1 << 20);
  } catch (const Error& error) {
    ++progress.done;
    require(error.code() == ErrorCode::aborted, error.what());
    require(error.rank() == by, fmt::format("blames rank {}: {}", error.rank(), error.what()));
    require(error.operation() == "alloc", error.operation());
    require(std::string(error.what()).find(fmt::format("rank {} gave up", by)) != std::string::npos,
            error.what());
    require(Clock::now() - begin < kSoon, "it took too long");
    return;
  }
  throw std::runtime_error("an alloc without all ranks succeeded");
}

TEST(Alloc, EndsWhenAnotherRankAborts) {
  for (const Kind kind : {Kind::threads, Kind::sockets, Kind::processes})
    for (const Mode mode : {Mode::p2p, Mode::cc})
      for (const int aborting : {0, 2}) {
        Shared<Progress> progress;
        const auto outcomes =
            runRanks(kind, 3, optionsOf(mode), [&](Communicator& communicator, int rank) {
              if (rank != aborting) return requireAborted(communicator, *progress, aborting);
              waitUntil(progress->waiting, 2);
              std::this_thread::sleep_for(20ms);
              communicator.abort();
              waitUntil(progress->done, 2);  // so that it is not its leaving that tells
            });
        EXPECT_EQ(failures(outcomes), "") << name(kind) << ", " << name(mode) << ", " << aborting;
      }
}

TEST(Alloc, EndsWhenAnotherThreadOfItsRankAborts) {
  for (const Kind kind : {Kind::threads, Kind::processes})
    for (const Mode mode : {Mode::p2p, Mode::cc}) {
      Shared<Progress> progress;
      const auto outcomes =
          runRanks(kind, 2, optionsOf(mode), [&](Communicator& communicator, int rank) {
            if (rank == 1) return waitUntil(progress->done, 1);
            std::thread aborting([&] {
              waitUntil(progress->waiting, 1);
              communicator.abort();
            });
            requireAborted(communicator, *progress, 0);
            aborting.join();
          });
      EXPECT_EQ(failures(outcomes), "") << name(kind) << ", " << name(mode);
    }
}

/// What others read and write is refused by the cipher of a sealed communicator (in builds that
/// check, as all are that have tests): sent from there, and received to there. (A Buffer is refused
/// before: Arguments.ASealedCallRefusesABuffer..)
TEST(Alloc, SharedMemoryIsNotForASealedCommunicator) {
  for (const bool sends : {true, false}) {
    const auto play = [sends](Communicator& communicator, int rank) {
      constexpr std::size_t kBytes = 1 << 16;
      const Fd file = createSharedMemory("test", kBytes);
      const Mapping shared = Mapping::ofFile(file, kBytes, Mapping::Access::readWrite);
      std::vector<std::byte> own(kBytes);
      const bool mine = rank == (sends ? 0 : 1);
      void* data = mine ? shared.data() : own.data();
      if (rank == 0)
        communicator.send(data, kBytes, DataType::u8, 1);
      else
        communicator.receive(data, kBytes, DataType::u8, 0);
    };
    const auto outcomes = runRanks(Kind::sockets, 2, optionsOf(Mode::cc), play);
    EXPECT_EQ(outcomes[sends ? 0 : 1].code, ErrorCode::internal) << describe(outcomes);
  }
}

}  // namespace
}  // namespace lockstep::testing
