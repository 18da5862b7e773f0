// What time counts for a deadline: that of who waits, with or without a core to do so; not that of
// who does something else.
#include "communicator/watch.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "bootstrap/peers.hpp"
#include "support/world.hpp"
#include "transport/shm/fabric.hpp"
#include <lockstep/error.hpp>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

class Deadlines : public ::testing::Test {
 protected:
  Deadlines() { watch_.begin(call_, 150ms); }

  /// The time until it is looked at again: longer than what is taken for waiting unasked.
  void look(bool attended) {
    watch_.checkAll({.word = nullptr, .rank = 0}, attended);
    std::this_thread::sleep_for(100ms);
  }

  std::vector<std::unique_ptr<Peers>> ends_ = joinThreads(1);
  shm::Fabric fabric_{*ends_[0], Deadline::in(20s)};
  shm::CallDescription call_{.sequence = 1, .count = 8};
  Watch watch_{fabric_, *ends_[0], false};
};

TEST_F(Deadlines, PassForWhoWaitsHoweverSeldomItGetsACore) {
  look(false);
  look(true);
  try {
    look(true);
    FAIL() << "no deadline";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::timeout);
  }
}

TEST_F(Deadlines, DoNotPassWhileNobodyWaits) {
  for (int i = 0; i < 4; ++i) EXPECT_NO_THROW(look(false));
}

TEST_F(Deadlines, OfAStoppedProcessAreNotOver) {
  watch_.begin(call_, 1500ms);
  look(false);
  std::this_thread::sleep_for(2s);  // as if it had been stopped
  EXPECT_NO_THROW(look(true));
}

std::uint64_t nanosecondsRun(pid_t process) {
  std::uint64_t run = 0;
  std::ifstream("/proc/" + std::to_string(process) + "/schedstat") >> run;
  return run;
}

/// Gets a millisecond of a core for every hundred that it is stopped, for so long.
class Slowed {
 public:
  Slowed(pid_t process, std::chrono::milliseconds duration)
      : thread_([=] {
          for (const auto until = Deadline::in(duration); !until.passed();) {
            ::kill(process, SIGSTOP);
            std::this_thread::sleep_for(100ms);
            const std::uint64_t before = nanosecondsRun(process);
            ::kill(process, SIGCONT);
            while (!until.passed() && nanosecondsRun(process) < before + 1'000'000)
              std::this_thread::sleep_for(200us);
          }
          ::kill(process, SIGCONT);
        }) {}
  ~Slowed() { thread_.join(); }
  Slowed(const Slowed&) = delete;
  Slowed& operator=(const Slowed&) = delete;

 private:
  std::thread thread_;
};

// A call of tens of milliseconds that is made to take longer than the timeout, bit by bit.
TEST(DeadlinesOfCalls, AreOfWaitsAndNotOfWhatALargeCallTakes) {
  Options options = testing::optionsOf(Mode::cc);
  options.timeout = 2s;
  const auto outcomes =
      testing::runRanks(testing::Kind::processes, 2, options, [](Communicator& comm, int rank) {
        std::array<std::int64_t, 2> pids{};
        const std::int64_t mine = ::getpid();
        comm.allGather(&mine, pids.data(), 1, DataType::i64);
        std::vector<std::int32_t> data(std::size_t{16} << 20, 1);
        std::optional<Slowed> slowed;
        if (rank == 0) slowed.emplace(static_cast<pid_t>(pids[1]), 3s);
        comm.allReduce(data.data(), data.data(), data.size(), DataType::i32);
        testing::require(data.back() == 2, "a wrong sum");
      });
  EXPECT_EQ(testing::failures(outcomes), "");
}

}  // namespace
}  // namespace lockstep
