// All kernels of a communicator at once: from disk what is there, from the compiler what is not.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "executor/cuda/cache.hpp"
#include "executor/cuda/kernel.hpp"

namespace lockstep::cuda {

struct CompileOptions {
  int threads = 0;               ///< as inParallel takes it
  int driverVersion = 0;         ///< as cuDriverGetVersion says it; 0: no driver
  const Cache* cache = nullptr;  ///< nullptr: none
};

struct CompiledKernels {
  std::vector<Cubin> cubins;  ///< in the order of the sources
  int hits = 0, misses = 0;   ///< from disk, from the compiler
  double seconds = 0;
  std::string note;       ///< why they are PTX, for people; empty if they are not
  std::string notCached;  ///< why none was kept on disk, for people; empty if they were
};

/// Throws what compile() throws, of the first source that is wrong.
CompiledKernels compileAll(std::span<const KernelSource> sources, Chip chip,
                           const CompileOptions& options = {});

}  // namespace lockstep::cuda
