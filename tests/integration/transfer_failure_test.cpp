// What becomes of sends, receives and groups when the other side does something else, dies, or does
// nothing: an error on both, soon, that says what met what.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr std::array kModesAll{Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast};

/// Fails the test unless `outcome` is an error with one of the codes.
void expectError(const Outcome& outcome, std::initializer_list<ErrorCode> codes) {
  EXPECT_TRUE(outcome.code && std::find(codes.begin(), codes.end(), *outcome.code) != codes.end())
      << outcome.text;
}

struct Pair {
  std::size_t sent, received;
  DataType sentType, receivedType;
};

TEST(TransferFailure, ASendThatMeetsAnotherReceiveIsNamedWithBoth) {
  const Pair pairs[] = {
      {8, 7, DataType::f32, DataType::f32},          {7, 8, DataType::f32, DataType::f32},
      {8, 8, DataType::f32, DataType::i32},          {0, 8, DataType::f32, DataType::f32},
      {8, 0, DataType::f32, DataType::f32},          {8, 100000, DataType::f32, DataType::f32},
      {100000, 8, DataType::f32, DataType::f32},     {100000, 100001, DataType::f32, DataType::f32},
      {100000, 100000, DataType::f32, DataType::u32}};
  for (const Mode mode : {Mode::p2p, Mode::cc})
    for (const bool registered : {false, true})
      for (const Pair& pair : pairs) {
        SCOPED_TRACE(
            fmt::format("{}, {}, {} and {}", name(mode), registered, pair.sent, pair.received));
        const auto outcomes =
            runRanks(Kind::processes, 2, optionsOf(mode), [&](Communicator& comm, int rank) {
              const Buffer buffer = comm.alloc(400004);
              std::vector<float> ordinary(100001);
              void* data = registered ? buffer.data() : ordinary.data();
              if (rank == 0)
                comm.send(data, pair.sent, pair.sentType, 1);
              else
                comm.receive(data, pair.received, pair.receivedType, 0);
              comm.barrier();
            });
        expectError(outcomes[1], {ErrorCode::mismatch});
        EXPECT_EQ(outcomes[1].blamed, 0);
        EXPECT_THAT(outcomes[1].text,
                    HasSubstr(fmt::format("sends {} {}", pair.sent, name(pair.sentType))));
        EXPECT_THAT(outcomes[1].text, HasSubstr(fmt::format("receive of {} {}", pair.received,
                                                            name(pair.receivedType))));
        expectError(outcomes[0], {ErrorCode::mismatch, ErrorCode::aborted});
      }
}

TEST(TransferFailure, ATransferThatMeetsACollectiveIsNamed) {
  for (const Mode mode : kModesAll)
    for (const std::size_t count : {std::size_t{2}, std::size_t{100000}}) {
      SCOPED_TRACE(fmt::format("{}, {}", name(mode), count));
      const auto outcomes =
          runRanks(Kind::processes, 2, optionsOf(mode), [&](Communicator& comm, int rank) {
            std::vector<float> data(count);
            comm.barrier();
            if (rank == 0)
              comm.receive(data.data(), count, DataType::f32, 1);
            else
              comm.allReduce(data.data(), data.data(), count, DataType::f32);
          });
      expectError(outcomes[0], {ErrorCode::mismatch});
      EXPECT_THAT(outcomes[0].text, HasSubstr("allreduce #2"));
      expectError(outcomes[1], {ErrorCode::mismatch, ErrorCode::aborted});
    }
}

/// Sealed, on any channel: the send has taken a nonce. In the clear only on the same one.
TEST(TransferFailure, ACollectiveThatMeetsASendIsNamed) {
  for (const auto& [mode, count] :
       {std::pair{Mode::p2p, 2}, std::pair{Mode::cc, 2}, std::pair{Mode::cc, 100000}}) {
    SCOPED_TRACE(fmt::format("{}, {}", name(mode), count));
    Options options = optionsOf(mode);
    options.algorithm = "one_shot";
    const auto outcomes =
        runRanks(Kind::processes, 2, options,
                 [most = static_cast<std::size_t>(count)](Communicator& comm, int rank) {
                   std::vector<float> data(most);
                   comm.barrier();
                   if (rank == 1) comm.send(data.data(), 2, DataType::f32, 0);
                   comm.allReduce(data.data(), data.data(), most, DataType::f32);
                 });
    expectError(outcomes[0], {ErrorCode::mismatch});
    EXPECT_THAT(outcomes[0].text, HasSubstr("rank 1 sends 2 f32"));
    EXPECT_THAT(outcomes[0].text, HasSubstr("rank 0 called allreduce #2"));
  }
}

TEST(TransferFailure, AReceiveThatNobodySendsToEndsAtItsDeadline) {
  for (const Kind kind : {Kind::threads, Kind::processes}) {
    Options options = optionsOf(Mode::cc);
    options.timeout = 600ms;
    Shared<std::atomic<int>> done;
    const auto outcomes = runRanks(kind, 2, options, [&](Communicator& comm, int rank) {
      comm.barrier();
      if (rank == 1) {
        while (*done == 0) std::this_thread::sleep_for(1ms);
        return;
      }
      float value = 0;
      try {
        comm.receive(&value, 1, DataType::f32, 1);
      } catch (...) {
        *done = 1;
        throw;
      }
    });
    expectError(outcomes[0], {ErrorCode::timeout});
    EXPECT_EQ(outcomes[0].blamed, 1);
    EXPECT_THAT(outcomes[0].text, HasSubstr("receive of 1 f32 from rank 1"));
    EXPECT_THAT(outcomes[0].text, HasSubstr("neither sends nor receives"));
  }
}

/// Computing between two looks is not waiting.
TEST(TransferFailure, TimeInWhichNobodyLooksIsNotHeldAgainstAnyone) {
  Options options = optionsOf(Mode::p2p);
  options.timeout = 400ms;
  const auto outcomes = runRanks(Kind::processes, 2, options, [&](Communicator& comm, int rank) {
    float value = 0;
    Group group;
    group.receive(comm, &value, 1, DataType::f32, 1 - rank);
    Work receive = group.start();
    static_cast<void>(receive.test());
    std::this_thread::sleep_for(500ms);
    static_cast<void>(receive.test());
    const float mine = 7;
    comm.send(&mine, 1, DataType::f32, 1 - rank);
    receive.wait();
    require(value == 7, "the wrong value");
  });
  EXPECT_EQ(failures(outcomes), "");
}

TEST(TransferFailure, AKilledRankEndsTransfersAndWorks) {
  for (const Mode mode : {Mode::p2p, Mode::cc})
    for (const bool asynchronous : {false, true}) {
      const auto outcomes =
          runRanks(Kind::processes, 3, optionsOf(mode), [&](Communicator& comm, int rank) {
            std::vector<float> data(1 << 20);
            comm.barrier();
            if (rank == 1) {
              ::usleep(20000);
              ::kill(::getpid(), SIGKILL);
            }
            if (!asynchronous) return comm.receive(data.data(), data.size(), DataType::f32, 1);
            Group group;
            group.receive(comm, data.data(), data.size(), DataType::f32, 1);
            Work work = group.start();
            while (!work.test()) {
            }
          });
      for (const std::size_t r : {0, 2})
        expectError(outcomes[r], {ErrorCode::peerDied, ErrorCode::aborted});
    }
}

TEST(TransferFailure, WhatIsBehindAFailureFailsToo) {
  const auto outcomes =
      runRanks(Kind::processes, 2, optionsOf(Mode::p2p), [&](Communicator& comm, int rank) {
        float a = 0, b = 1;
        Group bad, good;
        if (rank == 0)
          bad.receive(comm, &a, 1, DataType::i32, 1);
        else
          bad.send(comm, &a, 1, DataType::f32, 0);
        good.run(comm, Collective::allReduce, &b, &b, 1, DataType::f32);
        Work first = bad.start(), second;
        try {
          second = good.start();  // it may have failed already
          second.wait();
        } catch (const Error&) {
          try {
            comm.barrier();
          } catch (const Error& later) {
            require(later.code() == ErrorCode::aborted, later.what());
            return;
          }
        }
        require(false, "a call behind a failed one succeeded");
      });
  EXPECT_EQ(failures(outcomes), "");
}

TEST(TransferFailure, AnAbortEndsAWork) {
  for (const bool thread : {false, true}) {
    Options options = optionsOf(Mode::p2p);
    options.progressThread = thread;
    const auto outcomes = runRanks(Kind::threads, 2, options, [&](Communicator& comm, int rank) {
      if (rank == 1) {
        std::this_thread::sleep_for(20ms);
        comm.abort();
        return;
      }
      float value = 0;
      Group group;
      group.receive(comm, &value, 1, DataType::f32, 1);
      Work work = group.start();
      try {
        work.wait();
      } catch (const Error& error) {
        require(error.code() == ErrorCode::aborted, error.what());
        return;
      }
      require(false, "it ended without an error");
    });
    EXPECT_EQ(failures(outcomes), "");
  }
}

TEST(TransferFailure, BadArgumentsAreNamedAndHarmNothing) {
  const auto outcomes =
      runRanks(Kind::threads, 2, optionsOf(Mode::p2p), [&](Communicator& comm, int rank) {
        float value = 0;
        const auto refused = [](const char* part, auto call) {
          try {
            call();
          } catch (const Error& error) {
            require(error.code() == ErrorCode::invalidArgument &&
                        std::string(error.what()).find(part) != std::string::npos,
                    error.what());
            return;
          }
          require(false, std::string("not refused: ") + part);
        };
        const std::vector<std::size_t> one{1}, two{1, 1}, apart{0, 1}, same{0, 0}, far{0, ~0ULL};
        float in[2] = {}, out[2] = {};
        refused("null", [&] { comm.send(nullptr, 1, DataType::f32, 1 - rank); });
        refused("rank 2 is not in a world of 2",
                [&] { comm.receive(&value, 1, DataType::f32, 2); });
        refused("rank -1", [&] { comm.receive(&value, 1, DataType::f32, -1); });
        refused("itself", [&] { comm.send(&value, 1, DataType::f32, rank); });
        refused("memory can hold", [&] { comm.send(&value, ~0ULL, DataType::f32, 1 - rank); });
        refused("no such data type",
                [&] { comm.send(&value, 1, static_cast<DataType>(99), 1 - rank); });
        refused("one per rank",
                [&] { comm.allToAllV(in, one, one, out, two, apart, DataType::f32); });
        refused("overlaps", [&] { comm.allToAllV(in, two, apart, out, two, same, DataType::f32); });
        refused("overlap", [&] { comm.allToAllV(in, two, apart, in, two, apart, DataType::f32); });
        refused("memory can hold",
                [&] { comm.allToAllV(in, two, far, out, two, apart, DataType::f32); });
        const Send toOther{in, 2, DataType::f32, 1 - rank};
        const Receive fromOther{out, 2, DataType::f32, 1 - rank};
        refused("send: the data is null", [&] {
          comm.exchange({nullptr, 1, DataType::f32, 1 - rank}, fromOther);
        });
        refused("receive: rank 7", [&] { comm.exchange(toOther, {out, 2, DataType::f32, 7}); });
        refused("overlap", [&] { comm.exchange(toOther, {in + 1, 2, DataType::f32, 1 - rank}); });
        refused("needs both ends", [&] { comm.exchange(toOther, {out, 2, DataType::f32, rank}); });
        refused("needs both ends", [&] { comm.exchange({in, 2, DataType::f32, rank}, fromOther); });
        Group group;
        refused("root 5", [&] {
          group.run(comm, Collective::broadcast, in, out, 1, DataType::f32, Reduction::sum, 5);
        });
        group.start().wait();
        comm.allToAllV(in, two, apart, out, two, apart, DataType::f32);
        comm.barrier();
      });
  EXPECT_EQ(failures(outcomes), "");
}

}  // namespace
}  // namespace lockstep::testing
