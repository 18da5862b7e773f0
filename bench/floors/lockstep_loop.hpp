// Lockstep itself, through its public API, as one more loop.
#pragma once

#include <string>

#include "bench/floors/floors.hpp"
#include <lockstep/lockstep.hpp>

namespace lockstep::floors {

class LockstepLoop : public Loop {
 public:
  explicit LockstepLoop(Communicator communicator) : communicator_(std::move(communicator)) {}
  void run(const float* in, float* out, std::size_t count) override {
    communicator_.allReduce(in, out, count, DataType::f32);
  }
  Communicator& communicator() { return communicator_; }

 private:
  Communicator communicator_;
};

/// Joins the two ranks. Both at once.
std::unique_ptr<LockstepLoop> joinLockstep(Pair& pair, const Options& options);

}  // namespace lockstep::floors
