// Kernels from text to machine code, by NVRTC: for this chip, on this machine, without a toolkit.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cc_mode/digest.hpp"
#include "executor/cuda/kernel.hpp"

namespace lockstep::cuda {

/// What NVRTC is told to make.
struct Target {
  std::string architecture;  ///< "sm_90", or "compute_120" for a chip that NVRTC does not know
  std::string note;          ///< why it is not the chip's own; empty if it is
};
/// Of an NVRTC of this version that knows these architectures (80 for sm_80, ascending): the chip's
/// own machine code, else PTX of the newest older one, which the driver compiles when it loads it.
/// Throws unsupported if the chip, or the NVRTC, is too old.
Target targetFor(Chip chip, int nvrtcMajor, int nvrtcMinor, std::span<const int> architectures);
/// Of the NVRTC that is there. Throws unsupported if none is.
Target targetFor(Chip chip);

/// How `source` is compiled. No contraction and no fast math: the bits of a result are those of the
/// host's executor.
std::vector<std::string> compilerOptions(const KernelSource& source, const Target& target,
                                         int nvrtcMajor, int nvrtcMinor);

/// Compiles. Any number of threads may at once. Throws internal, with the beginning of what the
/// compiler said, if the text is wrong; unsupported as targetFor; system for what NVRTC itself
/// fails at.
Cubin compile(const KernelSource& source, Chip chip);

/// SHA-256 of all that decides what compile() returns and how the driver goes on from there: the
/// source, the prelude, the options, which NVRTC, and the driver (as cuDriverGetVersion says it).
cc::Digest cacheKey(const KernelSource& source, Chip chip, int driverVersion);

}  // namespace lockstep::cuda
