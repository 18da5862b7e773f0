// What the ranks of a communicator that lives tell each other beside their channels: wishes for
// children, tuning tables, sizes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "bootstrap/forwarding_peers.hpp"
#include "cc_mode/keys/key_ring.hpp"

namespace lockstep {

/// Peers whose all-gathers say which call they are of, and are sealed. A message goes to each peer
/// under a key of the two alone, one for each direction and for nothing else, with a number that
/// both count: it opens once, for the rank it was made for, in the very all-gather it was made for.
/// Descriptors, groups and shrinks pass through.
class Control final : public ForwardingPeers {
 public:
  /// A message and its purpose, at most.
  static constexpr std::size_t kMostBytes = std::size_t{16} << 10;

  /// `keys` are those of `peers`, or null in clear modes: then nothing is sealed. `purpose`: the
  /// call of which the messages are a part ("alloc"); it stays the caller's, and has 255 bytes at
  /// most. Several may take turns with the same keys: those count.
  Control(Peers& peers, cc::KeyRing* keys, std::string_view purpose)
      : ForwardingPeers(peers), keys_(keys), purpose_(purpose) {}

  /// Throws besides: mismatch, naming a rank that has another purpose (all ranks see that, and may
  /// go on). Sealed also: integrity, naming a rank whose message does not verify (only who was lied
  /// to sees that); invalidArgument (more than kMostBytes; nothing was sent). The first two are
  /// then not believed of the peers beneath, nor is keyExchange: that is bootstrap.
  std::vector<std::vector<std::byte>> allGather(std::span<const std::byte> mine,
                                                Deadline deadline) override;

 private:
  using Bytes = std::vector<std::byte>;

  std::vector<Bytes> carry(const Bytes& message, Deadline deadline);
  Bytes frame(std::span<const std::byte> mine) const;
  Bytes sealForAll(const Bytes& frame);
  Bytes open(int sender, std::uint64_t number, const Bytes& message);
  Bytes messageIn(int sender, const Bytes& frame) const;

  cc::KeyRing* keys_;
  std::string_view purpose_;
};

}  // namespace lockstep
