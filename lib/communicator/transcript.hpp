// What ranks tell each other before they have keys, so that the key exchange can confirm it.
#pragma once

#include <span>
#include <vector>

#include "bootstrap/forwarding_peers.hpp"
#include "cc_mode/keys/hkdf.hpp"

namespace lockstep {

/// Peers that remember what their all-gathers have given: who was told something else than the
/// others, or said something else than they were told, has another digest, and then other keys.
class Transcript final : public ForwardingPeers {
 public:
  using ForwardingPeers::ForwardingPeers;

  std::vector<std::vector<std::byte>> allGather(std::span<const std::byte> mine,
                                                Deadline deadline) override;

  /// Of every message of every rank in every all-gather so far, in their order.
  const cc::Hash& digest() const { return digest_; }

 private:
  cc::Hash digest_{};
};

}  // namespace lockstep
