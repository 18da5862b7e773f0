// The cipher of every communicator in this program, as a test wants it.
#pragma once

#include <functional>
#include <memory>

#include "cc_mode/aead/aead.hpp"

namespace lockstep::testing {

using Watch = std::function<std::shared_ptr<const cc::Aead>(std::shared_ptr<const cc::Aead>)>;

/// What createAead gives goes through `watch` while this lives. One at a time.
class WatchedAead {
 public:
  explicit WatchedAead(Watch watch);
  WatchedAead(const WatchedAead&) = delete;
  WatchedAead& operator=(const WatchedAead&) = delete;
  ~WatchedAead();
};

}  // namespace lockstep::testing
