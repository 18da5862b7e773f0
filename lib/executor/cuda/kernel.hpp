// What goes into the compiler and what comes out.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::cuda {

/// A kernel as text. Programs that differ in anything here are different programs.
struct KernelSource {
  std::string name;                  ///< of its one entry point, extern "C"
  std::string text;                  ///< includes what it needs of the prelude
  std::vector<std::string> defines;  ///< "LOCKSTEP_THREADS=256"
};

struct Kernel;  // generate.hpp

/// A generated kernel as it is compiled: for the threads that it is launched with, and with room
/// for what its blocks keep in shared memory.
KernelSource sourceOf(const Kernel& kernel);

/// A GPU's compute capability: {9, 0} is sm_90.
struct Chip {
  int major = 0, minor = 0;
  constexpr int number() const { return major * 10 + minor; }
  friend bool operator==(const Chip&, const Chip&) = default;
};

/// What a block or thread may take of a multiprocessor.
struct Limits {
  int registers = 255;          ///< of a thread
  int spillBytes = 0;           ///< stores and loads of a thread's registers to its stack
  int stackBytes = 0;           ///< of a thread
  int sharedBytes = 48 * 1024;  ///< of a block, static
};

/// What a kernel takes, as ptxas said it. Nothing: it did not say.
struct Resources {
  std::optional<int> registers, spillBytes, stackBytes, sharedBytes;

  /// What is over the limits or not known, for people: "spilled bytes 300 (limit 0)". Empty: none.
  std::string exceeds(const Limits& limits) const;
  friend bool operator==(const Resources&, const Resources&) = default;
};

/// A compiled kernel.
struct Cubin {
  std::string name;              ///< of its entry point
  std::string architecture;      ///< "sm_90", or "compute_120" for PTX
  std::vector<std::byte> image;  ///< as cuModuleLoadData takes it; PTX ends in a zero
  Resources resources;           ///< all unknown for PTX
  std::string log;               ///< what NVRTC and ptxas said, warnings too

  /// Whether the driver has yet to compile it, for a chip that is newer than NVRTC.
  bool isPtx() const { return architecture.starts_with("compute_"); }
  friend bool operator==(const Cubin&, const Cubin&) = default;
};

}  // namespace lockstep::cuda
