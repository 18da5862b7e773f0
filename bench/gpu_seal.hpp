// `ccbench seal`: how fast a GPU seals and opens by itself, without anything that is exchanged.
// What a sealed collective on GPUs can reach at most follows from it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/cuda/context.hpp"
#include "executor/cuda/kernel.hpp"

namespace lockstep::bench {

inline constexpr const char* kSealCommand = "seal";

/// `arguments` after "seal". The exit status, as ccbench's. Throws UsageError, also where there is
/// no GPU.
int runSeal(const std::vector<std::string>& arguments);

/// A kernel of AES-256-GCM by one of the two ciphers of the prelude.
struct SealKernel {
  enum class Does { prepare, seal, open };
  std::string cipher;  ///< "table", "bitsliced": of prelude/aes.cuh
  Does does = Does::prepare;
};
/// Its text, for blocks of 256 threads, of which a multiprocessor holds three.
cuda::KernelSource sourceOf(const SealKernel& kernel);

/// What a cipher does with so many bytes, cut into messages with a tag each.
struct SealRate {
  std::string cipher;
  std::size_t messageBytes = 0, bytes = 0;
  double sealed = 0, opened = 0;  ///< plaintext bytes per second
};
/// Of messages of 4, 16 and 64 KiB, and buffers of `most` bytes, a 16th and a 256th of that; by
/// every multiprocessor. Throws internal where what was opened is not what was sealed, or what was
/// changed was opened.
std::vector<SealRate> measureSealing(const cuda::PrimaryContext& context, std::size_t most);

}  // namespace lockstep::bench
