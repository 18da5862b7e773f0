// Lockstep itself, through its public API, as one more loop.
#pragma once

#include <string>

#include "bench/floors/floors.hpp"
#include <lockstep/lockstep.hpp>

namespace lockstep::floors {

class LockstepLoop : public Loop {
 public:
  LockstepLoop(Communicator communicator, Collective op)
      : communicator_(std::move(communicator)), op_(op) {}
  void run(const float* in, float* out, std::size_t count) override {
    communicator_.run(op_, in, out, count, DataType::f32, Reduction::sum, 0);
  }
  Communicator& communicator() { return communicator_; }

 private:
  Communicator communicator_;
  Collective op_;
};

/// Joins the ranks. All at once.
std::unique_ptr<LockstepLoop> joinLockstep(Team& team, const Options& options, Collective op);

}  // namespace lockstep::floors
