// Who touched a chunk of memory, as far as it can still matter.
#pragma once

#include <optional>
#include <vector>

#include "collectives/verify/clocks.hpp"

namespace lockstep::schedule {

/// One chunk's accesses. Visiting events in an order that the graph allows, it is enough to compare
/// each access with the last write and with the reads since: if those are all ordered, so is every
/// earlier pair, and if some pair is not, the first such pair is found (as in FastTrack: Flanagan
/// and Freund, PLDI 2009).
class AccessLog {
 public:
  /// Notes a read; returns an unordered write, if there is one.
  std::optional<Stamp> read(const Clocks& clocks, const Stamp& now) {
    for (Stamp& earlier : reads_)
      if (earlier.chain == now.chain) {
        earlier = now;
        return unorderedWrite(clocks);
      }
    reads_.push_back(now);
    return unorderedWrite(clocks);
  }

  /// Notes a write; returns an unordered access, if there is one.
  std::optional<Stamp> write(const Clocks& clocks, const Stamp& now) {
    std::optional<Stamp> conflict = unorderedWrite(clocks);
    for (const Stamp& earlier : reads_)
      if (!conflict && !clocks.before(earlier)) conflict = earlier;
    reads_.clear();
    lastWrite_ = now;
    return conflict;
  }

 private:
  std::optional<Stamp> unorderedWrite(const Clocks& clocks) const {
    if (clocks.before(lastWrite_)) return std::nullopt;
    return lastWrite_;
  }

  Stamp lastWrite_;           ///< time 0 when there was none
  std::vector<Stamp> reads_;  ///< since then, the last of each chain
};

}  // namespace lockstep::schedule
