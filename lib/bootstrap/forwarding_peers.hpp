// Peers that pass everything on to others: whoever wants to see or change something of it overrides
// that.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "bootstrap/peers.hpp"

namespace lockstep {

class ForwardingPeers : public Peers {
 public:
  /// `inner` stays until this is gone.
  explicit ForwardingPeers(Peers& inner) : inner_(inner) {}

  int rank() const override { return inner_.rank(); }
  int worldSize() const override { return inner_.worldSize(); }
  bool sameProcess() const override { return inner_.sameProcess(); }
  pid_t pidOf(int rank) const override { return inner_.pidOf(rank); }
  int pidfdOf(int rank) const override { return inner_.pidfdOf(rank); }
  std::vector<std::vector<std::byte>> allGather(std::span<const std::byte> mine,
                                                Deadline deadline) override {
    return inner_.allGather(mine, deadline);
  }
  std::vector<Fd> exchangeFds(const Fd& mine, Deadline deadline) override {
    return inner_.exchangeFds(mine, deadline);
  }
  std::vector<std::shared_ptr<void>> share(std::shared_ptr<void> mine, Deadline deadline) override {
    return inner_.share(std::move(mine), deadline);
  }
  std::unique_ptr<Peers> group(std::span<const int> members, Deadline deadline) override {
    return inner_.group(members, deadline);
  }
  void shrink(const Build& build, Deadline deadline) override { inner_.shrink(build, deadline); }
  std::uint64_t gone() noexcept override { return inner_.gone(); }
  void whileWaiting(std::function<void()> look) override { inner_.whileWaiting(std::move(look)); }

 private:
  Peers& inner_;
};

}  // namespace lockstep
