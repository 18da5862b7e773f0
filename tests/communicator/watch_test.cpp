// What time counts for a deadline: that of who waits, with or without a core to do so; not that of
// who does something else.
#include "communicator/watch.hpp"

#include <chrono>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "bootstrap/peers.hpp"
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

}  // namespace
}  // namespace lockstep
