// The system's C++ compiler, which makes shared objects of kernels.
#pragma once

#include <string>
#include <vector>

namespace lockstep::cuda::fake {

struct SourceText {
  std::string name;  ///< "executor/cuda/prelude/layout.cuh": where it lies below the folder
  std::string text;
};

struct Compiled {
  std::string library;  ///< the bytes of a shared object; empty: it did not compile
  std::string log;      ///< what the compiler said
};

/// Compiles the first text, which can include the others, in a private folder that is gone
/// afterwards. `defines`: "NAME" or "NAME=VALUE". Throws std::system_error where the compiler
/// cannot be started or the folder not be written.
///
/// The compiler is $LOCKSTEP_FAKE_CXX, $CXX or the one that built this; $LOCKSTEP_FAKE_CXXFLAGS are
/// added, by default those of the build's sanitizers.
Compiled compileForHost(const std::vector<SourceText>& texts,
                        const std::vector<std::string>& defines);

}  // namespace lockstep::cuda::fake
