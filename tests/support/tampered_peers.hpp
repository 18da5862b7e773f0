// Peers with somebody on the line, who sees and changes what this rank hears of others.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "bootstrap/forwarding_peers.hpp"

namespace lockstep::testing {

/// What all ranks said, by rank.
using Messages = std::vector<std::vector<std::byte>>;

class TamperedPeers final : public ForwardingPeers {
 public:
  using Tamper = std::function<void(Messages& all)>;

  TamperedPeers(std::unique_ptr<Peers> inner, Tamper tamper)
      : ForwardingPeers(*inner), inner_(std::move(inner)), tamper_(std::move(tamper)) {}

  Messages allGather(std::span<const std::byte> mine, Deadline deadline) override {
    Messages all = ForwardingPeers::allGather(mine, deadline);
    tamper_(all);
    return all;
  }

 private:
  std::unique_ptr<Peers> inner_;
  Tamper tamper_;
};

}  // namespace lockstep::testing
