// How ranks that a launcher has started find each other: on an abstract Unix socket whose name all
// of them can derive. Rank 0 waits there for the others, then hands all of them one text.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "base/clock.hpp"

namespace lockstep {

struct Rendezvous {
  std::string name;  ///< of the job, and of which of its meetings this is; the same on all ranks
  int rank = 0;
  int worldSize = 1;  ///< at most kMaxWorld
  /// Empty on all ranks, or the same: then rank 0 counts only those who prove that they know it.
  /// What rank 0 says is not proven: `text` must be of something that proves itself.
  std::span<const std::byte> psk{};
};

/// What `text` returns on rank 0, which calls it once all have come. Only processes of this user,
/// on this host and in this network namespace, take part. Throws timeout (names the ranks that did
/// not come, on all that did), mismatch (told of another world size, or a rank that is there
/// already), keyExchange (on a rank whose key is not rank 0's), bootstrap (rank 0 is there
/// already), and what `text` throws.
std::string meetAt(const Rendezvous& place, const std::function<std::string()>& text,
                   Deadline deadline);

/// The abstract socket of that place.
std::string socketNameOf(const Rendezvous& place);

}  // namespace lockstep
