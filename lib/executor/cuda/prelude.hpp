// The text of prelude/*.cuh, which is part of the library: kernels are compiled where no source
// tree is. (Generated from the files by embed.cmake when the library is built.)
#pragma once

#include <span>
#include <string_view>

namespace lockstep::cuda {

/// Both end in a zero, so their data() is what NVRTC takes.
struct PreludeFile {
  std::string_view name;  ///< as it is included: "executor/cuda/prelude/layout.cuh"
  std::string_view text;
};

/// All files, ordered by name.
std::span<const PreludeFile> prelude();

}  // namespace lockstep::cuda
