// From a schedule to the text of a kernel: nothing but calls to the prelude's primitives,
// specialised by world size, type, reduction and protocol, with rank, root and sizes at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "collectives/registry.hpp"
#include <lockstep/types.hpp>

namespace lockstep::cuda {

enum class Protocol : std::uint8_t { simple, ll };

/// Which kernel is wanted. Equal on all ranks but for `inPlace`, which changes no message.
struct KernelRequest {
  const schedule::Algorithm* algorithm = nullptr;
  DataType type = DataType::f32;  ///< of what reduces; else bytes are moved
  /// `avg` is a sum to a kernel, which is told the divisor. `preMulSum` multiplies each tile before
  /// (premultiply.cuh): a kernel of its own, the same in place and apart.
  Reduction reduction = Reduction::sum;
  Mode mode = Mode::p2p;
  int worldSize = 1;
  bool inPlace = false;
  Protocol protocol = Protocol::simple;  ///< of channels; sealed ones have simple
  int root = 0;                          ///< of rooted collectives in worlds above kMaxRoots
  bool rmsNorm = false;                  ///< an all-reduce that goes on with rms_norm.cuh
  bool oneNan = false;                   ///< a NaN that a reduction makes is always the same one
};

/// Kernels of rooted collectives know every root in worlds up to this; in larger ones a kernel is
/// made for one root.
inline constexpr int kMaxRoots = 16;

/// A kernel's text, and what its launcher has to know of the schedule.
struct Kernel {
  std::string name;  ///< "allreduce_two_shot_f32_sum_p2p_8": of the kernel in the text
  std::string text;
  int worldSize = 1;
  unsigned threads = 256;    ///< of a block: as many as its widest operation has registers for
  std::uint32_t chunks = 1;  ///< a tile's part of a block is cut into so many
  std::uint32_t scratchChunks = 0;  ///< of a full chunk each, per lane
  bool exposes = false;
  bool sealed = false;
  /// The largest message of a tile has so many chunks of so many blocks.
  std::uint32_t messageChunks = 0, messageBlocks = 0;
  /// Private staging that an operation takes: opened messages, and one result; sealed modes.
  std::uint32_t staged = 0;
  std::size_t elementBytes = 4;
};

/// Throws unsupported for a schedule that the executor cannot run (several lanes in a program), and
/// what prepareSchedule throws.
Kernel generateKernel(const KernelRequest& request);

/// The kernel that makes the keys of a sealed communicator's lanes ready (prelude/keys.cuh).
Kernel keysKernel();

/// Bytes of element that `request` makes a kernel for: the type's of what reduces, else 1.
std::size_t elementBytesOf(const KernelRequest& request);

}  // namespace lockstep::cuda
