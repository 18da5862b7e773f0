// Creation is bounded: all that ranks settle once they have met has one deadline.
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bootstrap/forwarding_peers.hpp"
#include "communicator/communicator_impl.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using ::testing::Each;

using Deadlines = std::vector<Clock::time_point>;

class NotingPeers final : public ForwardingPeers {
 public:
  NotingPeers(std::unique_ptr<Peers> inner, Deadlines& noted)
      : ForwardingPeers(*inner), inner_(std::move(inner)), noted_(noted) {}

  std::vector<std::vector<std::byte>> allGather(std::span<const std::byte> mine,
                                                Deadline deadline) override {
    noted_.push_back(deadline.at());
    return ForwardingPeers::allGather(mine, deadline);
  }
  std::vector<Fd> exchangeFds(const Fd& mine, Deadline deadline) override {
    noted_.push_back(deadline.at());
    return ForwardingPeers::exchangeFds(mine, deadline);
  }

 private:
  std::unique_ptr<Peers> inner_;
  Deadlines& noted_;
};

TEST(Creation, HasOneDeadline) {
  for (const Mode mode : {Mode::p2p, Mode::cc}) {
    Meeting meeting;
    const Options options = optionsOf(mode);
    const Deadline deadline = Deadline::in(options.timeout);
    std::vector<Deadlines> noted(2);
    const auto outcomes = playRanks(Kind::sockets, 2, [&](int rank) {
      auto peers =
          std::make_unique<NotingPeers>(joinProcesses(meeting.id(rank).text(), rank, 2, deadline),
                                        noted[static_cast<std::size_t>(rank)]);
      const CommunicatorImpl created(std::move(peers), options, deadline);
    });
    EXPECT_EQ(failures(outcomes), "");
    for (Deadlines& all : noted) {
      all.pop_back();             // of what it has measured
      EXPECT_GE(all.size(), 5U);  // memory, attachment, its verdict, cores, options
      EXPECT_THAT(all, Each(deadline.at()));
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
