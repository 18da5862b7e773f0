// What is concluded from the times that a new communicator measures.
#include "communicator/measure.hpp"

#include <limits>
#include <string_view>
#include <thread>

#include <gtest/gtest.h>

#include "bootstrap/forwarding_peers.hpp"
#include "communicator/communicator_impl.hpp"
#include "communicator/tuning.hpp"
#include "support/world.hpp"

namespace lockstep {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

SlotTimes timesOf(std::array<double, 3> through, std::array<double, 3> past,
                  std::array<double, 3> attached) {
  SlotTimes times;
  for (std::size_t s = 0; s < times.seconds.size(); ++s)
    times.seconds[s] = {through[s], past[s], attached[s]};
  return times;
}

TEST(Measure, SlotsAreStreamedWhereThatIsClearlyFaster) {
  const std::array<double, 3> never{kNever, kNever, kNever};
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, {1, 2, 4}, never)).streamFrom, 1024U);
  const auto kThroughCache = host::Surroundings::kNeverStream;
  EXPECT_EQ(conclude(timesOf({1, 2, 4}, {2, 4, 8}, never)).streamFrom, kThroughCache);
  EXPECT_EQ(conclude(timesOf({1, 2, 4}, {0.95, 1.9, 3.8}, never)).streamFrom, kThroughCache);
}

TEST(Measure, AttachBeginsWhereItStaysFasterThanTheBetterSlots) {
  const std::array<double, 3> slow{9, 9, 9};
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, slow, {1, 2, 4})).attachAbove, 8192U);
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, slow, {3, 2, 4})).attachAbove, 16384U);
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, slow, {1, 5, 4})).attachAbove, 32768U);
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, slow, {1, 2, 9})).attachAbove, 65536U);
  EXPECT_EQ(conclude(timesOf(slow, {1, 2, 3}, {2, 3, 4})).attachAbove, 65536U);
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, slow, {kNever, kNever, kNever})).attachAbove, 65536U);
}

TEST(Measure, MovesTheRuleOfTheTable) {
  const auto protocolOf = [](const TuningTable& table, std::size_t bytes) {
    return table.select({.worldSize = 2, .bytes = bytes, .direct = false, .zeroCopy = true}, "", "")
        .protocol;
  };
  TuningTable table = TuningTable::builtIn();
  EXPECT_EQ(protocolOf(table, 65536), HostProtocol::simple);
  table.attachPaysAbove(16384);
  EXPECT_EQ(protocolOf(table, 16384), HostProtocol::simple);
  EXPECT_EQ(protocolOf(table, 16388), HostProtocol::zeroCopy);
}

TEST(Measure, MovesTheRulesOfCrowdsByHalf) {
  TuningTable table = TuningTable::builtIn();
  table.attachPaysAbove(32768);
  const auto largestInSlots = [&](Collective collective, int ranks) {
    std::size_t largest = 0;
    for (std::size_t bytes = 4096; bytes <= 65536; bytes *= 2)
      if (table
              .select({.collective = collective,
                       .worldSize = ranks,
                       .bytes = bytes,
                       .direct = false,
                       .zeroCopy = true},
                      "", "")
              .protocol != HostProtocol::zeroCopy)
        largest = bytes;
    return largest;
  };
  EXPECT_EQ(largestInSlots(Collective::allToAll, 2), 32768U);
  EXPECT_EQ(largestInSlots(Collective::allToAll, 4), 16384U);
  EXPECT_EQ(largestInSlots(Collective::allGather, 3), 16384U);
  EXPECT_EQ(largestInSlots(Collective::broadcast, 4), 32768U);
}

/// Holds its rank back when the times have been exchanged, until the other rank's call has ended.
class HeldPeers final : public ForwardingPeers {
 public:
  HeldPeers(std::unique_ptr<Peers> inner, std::thread& other)
      : ForwardingPeers(*inner), inner_(std::move(inner)), other_(other) {}
  std::vector<std::vector<std::byte>> allGather(std::span<const std::byte> mine,
                                                Deadline deadline) override {
    auto all = ForwardingPeers::allGather(mine, deadline);
    constexpr std::string_view kNamed = "?measure";  // a byte for its length goes before the name
    if (mine.size() == kNamed.size() + sizeof(SlotTimes)) other_.join();
    return all;
  }

 private:
  std::unique_ptr<Peers> inner_;
  std::thread& other_;
};

/// Whoever comes late to its first call has made none: that is no call that differs.
TEST(Measure, LeavesNoCallBehindThatOthersWouldSee) {
  Options options = testing::optionsOf(Mode::p2p);
  options.timeout = std::chrono::milliseconds(3000);
  testing::Meeting meeting;
  const auto join = [&](int rank) {
    return joinProcesses(meeting.id(rank).text(), rank, 2, Deadline::in(options.timeout));
  };
  std::string said;
  std::thread early([&] {
    try {
      auto communicator = CommunicatorImpl::wrap(
          std::make_shared<CommunicatorImpl>(join(0), options, Deadline::in(options.timeout)));
      communicator.barrier();
    } catch (const Error& error) {
      said = error.what();
    }
  });
  const CommunicatorImpl late(std::make_unique<HeldPeers>(join(1), early), options,
                              Deadline::in(options.timeout));
  ASSERT_FALSE(early.joinable()) << "the times were not exchanged";
  EXPECT_NE(said.find("rank 1, which has made no call yet"), std::string::npos) << said;
}

}  // namespace
}  // namespace lockstep
