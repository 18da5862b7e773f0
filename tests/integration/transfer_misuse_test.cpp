// Works, groups and transfers used as nobody should: what ends, ends with an error that says so,
// and no memory is touched that its owner has back.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr Kind kKinds[] = {Kind::processes, Kind::threads};

Options withThread(Mode mode, bool progressThread) {
  Options options = optionsOf(mode);
  options.progressThread = progressThread;
  return options;
}

/// The error that `call` throws.
std::optional<ErrorCode> codeOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

/// Sends `out` to the other of two ranks and receives as much.
Work exchange(Communicator& comm, std::vector<std::uint8_t>& out, std::vector<std::uint8_t>& in) {
  Group group;
  group.send(comm, out.data(), out.size(), DataType::u8, 1 - comm.rank())
      .receive(comm, in.data(), in.size(), DataType::u8, 1 - comm.rank());
  return group.start();
}

// ---- lifetimes ----

TEST(TransferMisuse, WorksMayBeMovedAssignedAndDestroyedEarly) {
  for (const Kind kind : kKinds)
    for (const bool thread : {false, true}) {
      const auto outcomes =
          runRanks(kind, 2, withThread(Mode::p2p, thread), [](Communicator& comm, int) {
            for (const std::size_t bytes : {8, 100000}) {
              std::vector<std::uint8_t> out(bytes, 7), a(bytes), b(bytes), c(bytes);
              Work first = exchange(comm, out, a);
              Work moved = std::move(first);
              require(first.test(), "what was moved from is done");  // NOLINT: it may be asked
              moved = exchange(comm, out, b);
              require(a == out, "assignment did not wait");
              moved = Work();
              require(b == out, "assignment did not wait");
              { const Work dropped = exchange(comm, out, c); }
              require(c == out, "the destructor did not wait");
              moved.wait();
              require(moved.test() && moved.waitFor(0ns), "a done work is not done");
            }
          });
      EXPECT_EQ(failures(outcomes), "");
    }
}

TEST(TransferMisuse, GroupsMayBeEmptyReusedAndMoved) {
  const auto outcomes =
      runRanks(Kind::threads, 2, optionsOf(Mode::p2p), [](Communicator& comm, int rank) {
        Group group;
        require(group.start().test(), "an empty group is done");
        for (int round = 0; round < 3; ++round) {
          std::int32_t out = rank + round, in = -1;
          group.send(comm, &out, 1, DataType::i32, 1 - rank);
          Group moved = std::move(group);
          require(group.start().test(), "a group that was moved from is empty");  // NOLINT
          group = std::move(moved);
          group.receive(comm, &in, 1, DataType::i32, 1 - rank);
          group.start().wait();
          require(in == 1 - rank + round, "the wrong value");
        }
      });
  EXPECT_EQ(failures(outcomes), "");
}

TEST(TransferMisuse, AWorkOutlivesItsCommunicatorObject) {
  for (const bool thread : {false, true}) {
    std::vector<Communicator> comms =
        Communicator::createInProcess(2, withThread(Mode::p2p, thread));
    const auto outcomes = playRanks(Kind::threads, 2, [&](int rank) {
      std::vector<std::uint8_t> out(300000, 3), in(300000);
      Work work;
      {
        const Communicator mine = std::move(comms[static_cast<std::size_t>(rank)]);
        Communicator& same = const_cast<Communicator&>(mine);  // NOLINT
        work = exchange(same, out, in);
      }
      work.wait();
      require(in == out, "the wrong bytes");
    });
    EXPECT_EQ(failures(outcomes), "");
  }
}

TEST(TransferMisuse, AnyDurationCanBeWaited) {
  const auto outcomes =
      runRanks(Kind::threads, 2, optionsOf(Mode::p2p), [](Communicator& comm, int) {
        std::vector<std::uint8_t> out(100000, 1), in(100000);
        comm.barrier();
        Work work = exchange(comm, out, in);
        static_cast<void>(work.waitFor(-5s));
        static_cast<void>(work.waitFor(std::chrono::nanoseconds::min()));
        require(work.waitFor(std::chrono::nanoseconds::max()), "it gave up");
      });
  EXPECT_EQ(failures(outcomes), "");
}

TEST(TransferMisuse, AllocFinishesWhatIsUnderWay) {
  for (const Kind kind : kKinds) {
    const auto outcomes = runRanks(kind, 2, optionsOf(Mode::p2p), [](Communicator& comm, int) {
      std::vector<std::uint8_t> out(200000, 9), in(200000);
      Work work = exchange(comm, out, in);
      const Buffer buffer = comm.alloc(4096);
      require(work.test() && in == out, "alloc came before what was started before it");
    });
    EXPECT_EQ(failures(outcomes), "");
  }
}

TEST(TransferMisuse, TensOfThousandsOfSmallOperationsAreUnderWay) {
  for (const Kind kind : kKinds) {
    const auto outcomes = runRanks(kind, 2, optionsOf(Mode::p2p), [](Communicator& comm, int rank) {
      constexpr std::size_t kMany = 30000;
      std::vector<std::uint32_t> out(kMany), in(kMany);
      Group group;
      for (std::size_t i = 0; i < kMany; ++i) {
        out[i] = static_cast<std::uint32_t>(i * 3 + static_cast<std::size_t>(rank));
        group.send(comm, &out[i], 1, DataType::u32, 1 - rank);
        group.receive(comm, &in[i], 1, DataType::u32, 1 - rank);
      }
      group.start().wait();
      std::vector<Work> works;
      for (std::size_t i = 0; i < kMany; ++i) {
        require(in[i] == i * 3 + static_cast<std::size_t>(1 - rank), "the wrong value");
        Group one;
        one.send(comm, &out[i], 1, DataType::u32, 1 - rank)
            .receive(comm, &in[i], 1, DataType::u32, 1 - rank);
        works.push_back(one.start());
      }
      for (Work& work : works) work.wait();
    });
    EXPECT_EQ(failures(outcomes), "");
  }
}

// ---- threads ----

/// Two threads, each of another communicator, end operations of the same Work.
TEST(TransferMisuse, AWorkOverCommunicatorsWithThreadsEnds) {
  const Options options = withThread(Mode::p2p, true);
  const auto outcomes =
      runRanks(Kind::threads, 2, std::vector<Options>{options, options},
               [](std::vector<Communicator>& comms, int rank) {
                 for (int round = 0; round < 300; ++round) {
                   std::int32_t out = round, in[16] = {};
                   Group group;
                   for (std::size_t i = 0; i < 16; ++i)
                     group.send(comms[i % 2], &out, 1, DataType::i32, 1 - rank)
                         .receive(comms[i % 2], &in[i], 1, DataType::i32, 1 - rank);
                   Work work = group.start();
                   while (!work.test()) std::this_thread::yield();
                   for (const std::int32_t v : in) require(v == round, "the wrong value");
                 }
               });
  EXPECT_EQ(failures(outcomes), "");
}

/// An abort from elsewhere, at any point of what is under way; then nothing can be started.
TEST(TransferMisuse, AnAbortAtAnyTimeEndsEveryWork) {
  for (const bool thread : {false, true})
    for (int trial = 0; trial < 30; ++trial) {
      std::vector<Communicator> comms =
          Communicator::createInProcess(2, withThread(Mode::p2p, thread));
      std::thread killer([&] {
        std::this_thread::sleep_for(std::chrono::microseconds(trial * 37));
        comms[static_cast<std::size_t>(trial) % 2].abort();
      });
      // Not the ranks' own: threads reach into each other's buffers until both have failed.
      std::vector<std::vector<std::uint8_t>> outs(2, std::vector<std::uint8_t>(100000)), ins = outs;
      std::vector<std::vector<float>> all(2, std::vector<float>(1000));
      const auto outcomes = playRanks(Kind::threads, 2, [&](int rank) {
        const auto r = static_cast<std::size_t>(rank);
        Communicator& comm = comms[r];
        std::vector<std::uint8_t>&out = outs[r], &in = ins[r];
        std::vector<float>& sums = all[r];
        std::uint8_t small = 0;
        const auto code = codeOf([&] {
          for (;;) {
            Group group;
            group.send(comm, out.data(), out.size(), DataType::u8, 1 - rank)
                .receive(comm, in.data(), in.size(), DataType::u8, 1 - rank)
                .run(comm, Collective::allReduce, sums.data(), sums.data(), sums.size(),
                     DataType::f32)
                .send(comm, &small, 1, DataType::u8, 1 - rank)
                .receive(comm, &small, 1, DataType::u8, 1 - rank);
            Work first = group.start();
            Group more;
            more.run(comm, Collective::barrier, nullptr, nullptr, 0, DataType::u8);
            Work second = more.start();
            second.wait();
            first.wait();
          }
        });
        require(code == ErrorCode::aborted, "another error");
        Group late;
        late.send(comm, &small, 1, DataType::u8, 1 - rank);
        require(codeOf([&] { static_cast<void>(late.start()); }) == ErrorCode::aborted,
                "something was started");
        require(late.start().test(), "the group is not empty");
      });
      killer.join();
      EXPECT_EQ(failures(outcomes), "");
    }
}

// ---- forks ----

/// What the parent has under way is not the child's to move, nor to end.
TEST(TransferMisuse, AForkedChildLeavesWorksAlone) {
  for (const bool thread : {false, true}) {
    const auto outcomes = runRanks(
        Kind::processes, 2, withThread(Mode::p2p, thread), [](Communicator& comm, int rank) {
          std::vector<std::uint8_t> out(500000, 5), in(500000);
          std::int32_t sum = 1;
          Group group;
          if (rank == 0) group.receive(comm, in.data(), in.size(), DataType::u8, 1);
          group.run(comm, Collective::allReduce, &sum, &sum, 1, DataType::i32);
          Work work;
          if (rank == 0) work = group.start();
          comm.counters();
          const pid_t child = ::fork();
          if (child == 0) {
            ::alarm(20);
            bool good = codeOf([&] { comm.barrier(); }) == ErrorCode::invalidArgument;
            if (rank == 0)
              good = good && codeOf([&] { work.test(); }) == ErrorCode::invalidArgument;
            good = good && codeOf([&] { comm.alloc(4096); }) == ErrorCode::invalidArgument;
            good = good && codeOf([&] { comm.send(out.data(), 1, DataType::u8, 1 - rank); }) ==
                               ErrorCode::invalidArgument;
            work = Work();
            { const Communicator mine = std::move(comm); }
            ::_exit(good ? 0 : 1);
          }
          int status = 0;
          require(::waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                      WEXITSTATUS(status) == 0,
                  fmt::format("the child ended with {}", status));
          if (rank == 1) {
            comm.send(out.data(), out.size(), DataType::u8, 0);
            work = group.start();
          }
          work.wait();
          require(sum == 2 && (rank == 1 || in == out), "the parent's work went wrong");
          comm.barrier();
        });
    EXPECT_EQ(failures(outcomes), "");
  }
}

// ---- waiting for each other ----

TEST(TransferMisuse, TwoBlockingSendsAreToldToBecomeAGroup) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    Options options = optionsOf(mode);
    options.timeout = 600ms;
    const auto outcomes = runRanks(Kind::processes, 2, options, [](Communicator& comm, int rank) {
      std::vector<std::uint8_t> data(2000000);
      comm.barrier();
      comm.send(data.data(), data.size(), DataType::u8, 1 - rank);
    });
    bool told = false;
    for (const Outcome& outcome : outcomes) {
      ASSERT_TRUE(outcome.code == ErrorCode::timeout || outcome.code == ErrorCode::aborted)
          << describe(outcomes);
      told |= outcome.code == ErrorCode::timeout &&
              outcome.text.find("belong into one exchange or Group") != std::string::npos;
    }
    EXPECT_TRUE(told) << describe(outcomes);
  }
}

/// What a sender lends is its own again when it has given up: a late receiver must not take what
/// lies there by then for what was sent.
TEST(TransferMisuse, ALateReceiverDoesNotGetWhatTheSenderTookBack) {
  for (const bool registered : {false, true}) {
    Options options = optionsOf(Mode::p2p);
    options.timeout = 600ms;
    Shared<std::atomic<int>> over;
    const auto outcomes = runRanks(Kind::processes, 2, options, [&](Communicator& comm, int rank) {
      constexpr std::size_t kBytes = 1000000;
      const Buffer buffer = comm.alloc(kBytes);
      std::vector<std::uint8_t> ordinary(kBytes);
      auto* data = registered ? static_cast<std::uint8_t*>(buffer.data()) : ordinary.data();
      if (rank == 0) {
        const auto code = codeOf([&] { comm.send(data, kBytes, DataType::u8, 1); });
        std::fill(data, data + kBytes, std::uint8_t{0xee});
        *over = 1;
        require(code == ErrorCode::timeout, "no timeout");
        while (*over == 1) std::this_thread::sleep_for(1ms);
      } else {
        while (*over == 0) std::this_thread::sleep_for(1ms);
        const auto code = codeOf([&] { comm.receive(data, kBytes, DataType::u8, 0); });
        *over = 2;
        require(code == ErrorCode::aborted, "it received what was not sent");
      }
    });
    EXPECT_EQ(failures(outcomes), "") << registered;
  }
}

// ---- experts ----

TEST(TransferMisuse, ExpertsRefuseWhatCannotBeAndForgetWhatFailed) {
  const auto outcomes =
      runRanks(Kind::threads, 2, optionsOf(Mode::p2p), [](Communicator& comm, int rank) {
        std::vector<float> tokens(8, 1);
        const std::vector<std::int32_t> chosen{0, 1};
        Experts layer(comm, 2, 1, 4, DataType::f32);
        for (const std::size_t count :
             {std::numeric_limits<std::size_t>::max(), std::size_t{1} << 33, std::size_t{1} << 31})
          require(codeOf([&] { layer.dispatch(tokens.data(), count, chosen.data(), nullptr); }) ==
                      ErrorCode::invalidArgument,
                  "so many tokens");
        layer.dispatch(tokens.data(), 2, chosen.data(), nullptr);
        require(layer.received() == 2, "tokens are missing");
        Experts other(comm, 2, 1, rank == 0 ? 4 : 5, DataType::f32);
        other.dispatch(nullptr, 0, nullptr, nullptr);
      });
  for (const Outcome& outcome : outcomes)
    EXPECT_TRUE(outcome.code == ErrorCode::mismatch || outcome.code == ErrorCode::aborted)
        << describe(outcomes);
}

}  // namespace
}  // namespace lockstep::testing
