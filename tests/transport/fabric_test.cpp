// The memory of a communicator belongs to all ranks that hold it: one that fails early takes
// nothing away from the others.
#include "transport/shm/fabric.hpp"

#include <latch>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "bootstrap/forwarding_peers.hpp"
#include <lockstep/error.hpp>

namespace lockstep::shm {
namespace {

Deadline soon() {
  return Deadline::in(std::chrono::seconds(20));
}

/// Its rank gives its segment, and then fails.
class FailsAfterSharing final : public ForwardingPeers {
 public:
  using ForwardingPeers::ForwardingPeers;
  std::vector<std::shared_ptr<void>> share(std::shared_ptr<void> mine, Deadline deadline) override {
    ForwardingPeers::share(std::move(mine), deadline);
    throw Error(ErrorCode::timeout, "too late");
  }
};

/// Its rank has the others' segments only after one of those has failed.
class SharesLate final : public ForwardingPeers {
 public:
  SharesLate(Peers& inner, std::latch& failed) : ForwardingPeers(inner), failed_(failed) {}
  std::vector<std::shared_ptr<void>> share(std::shared_ptr<void> mine, Deadline deadline) override {
    auto all = ForwardingPeers::share(std::move(mine), deadline);
    failed_.wait();
    return all;
  }

 private:
  std::latch& failed_;
};

TEST(Fabric, AThreadThatFailsWhileOthersConnectTakesNothingAway) {
  auto ends = joinThreads(2);
  std::latch failed(1);
  std::thread failing([&] {
    FailsAfterSharing peers(*ends[0]);
    EXPECT_THROW(Fabric(peers, soon()), Error);
    failed.count_down();
  });
  SharesLate peers(*ends[1], failed);
  Fabric fabric(peers, soon());
  EXPECT_EQ(fabric.of(0).status.presence.load(), static_cast<std::uint64_t>(Presence::joining));
  fabric.out(0, Protocol::simple);
  failing.join();
}

TEST(Fabric, ThreadsShareOneMapping) {
  auto ends = joinThreads(2);
  std::unique_ptr<Fabric> fabrics[2];
  std::thread other([&] { fabrics[1] = std::make_unique<Fabric>(*ends[1], soon()); });
  fabrics[0] = std::make_unique<Fabric>(*ends[0], soon());
  other.join();
  EXPECT_EQ(&fabrics[0]->of(1), &fabrics[1]->mine());
  fabrics[1].reset();
  EXPECT_EQ(fabrics[0]->of(1).status.presence.load(), static_cast<std::uint64_t>(Presence::here));
}

}  // namespace
}  // namespace lockstep::shm
