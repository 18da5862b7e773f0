// Which algorithm and protocol a call on GPUs runs. Every rank decides alike, from the arguments
// and from what all agreed on.
#pragma once

#include <cstddef>
#include <string>

#include "collectives/registry.hpp"
#include "executor/cuda/generate.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep::gpu {

struct Choice {
  const schedule::Algorithm* algorithm = nullptr;
  cuda::Protocol protocol = cuda::Protocol::simple;
  std::string reason;
};

/// What decides.
struct Situation {
  Collective collective = Collective::allReduce;
  std::size_t bytes = 0;  ///< of the larger buffer of a rank
  int worldSize = 1;
  bool registered = false;     ///< this call's buffers can be read in place
  bool premultiplied = false;  ///< but what they hold is not what is added up
};

/// `options`: mode, reproducible, and what is forced by name. Throws invalidArgument for a forced
/// algorithm or protocol that cannot run so, or does not exist.
Choice choose(const Situation& situation, const Options& options);

}  // namespace lockstep::gpu
