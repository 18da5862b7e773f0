// What a communicator keeps of its keys, so that it can have children.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/secret.hpp"
#include "cc_mode/keys/hkdf.hpp"

namespace lockstep::cc {

/// How a child came about: all of it is bound into its key. Every member knows the same.
struct Birth {
  std::string_view how;        ///< "split"
  std::uint64_t number = 0;    ///< of its parent's children
  std::int64_t color = 0;      ///< of the split
  std::span<const int> ranks;  ///< of the parent, in their new order
  /// How many children each of `ranks` has had, by its own account, where they may differ (a shrink
  /// after failures): who was told something else has another key.
  std::span<const std::uint64_t> counts = {};
};

/// A secret derived from what the members of a communicator have agreed on, and nobody else knows:
///
///     secret = HKDF-Expand(HKDF-Extract(salt transcript, all group keys), "lockstep children")
///     child's pre-shared key = HKDF-Expand(secret, "lockstep child" | birth)
///
/// It opens nothing that was sent, by the parent or by a child: traffic keys cannot be had back
/// from it, and a child's come from ephemeral ones too. Who has the parent's own pre-shared key
/// does not have it.
class Lineage {
 public:
  /// Of a communicator that nothing authenticates: its children have no pre-shared key.
  Lineage() = default;
  /// `keys`: of 32 bytes each, secret; `transcript`: of the exchange that made them.
  Lineage(Bytes keys, Bytes transcript);

  /// The pre-shared key of a child: 32 bytes, or none. No two births have the same. The caller
  /// wipes it. Throws invalidArgument in a forked child, whose copy of the secret is wiped.
  std::vector<std::byte> childPsk(const Birth& birth) const;

 private:
  std::optional<Secret<Hash>> secret_;
};

}  // namespace lockstep::cc
