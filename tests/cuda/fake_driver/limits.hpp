// What fits on an emulated GPU. Figures of an H100 (CUDA programming guide, compute
// capability 9.0), but for the number of multiprocessors: each block is a thread of the host.
#pragma once

#include <cstddef>

namespace lockstep::cuda::fake {

inline constexpr int kMostThreads = 1024;
inline constexpr int kThreadsPerMultiprocessor = 2048;
inline constexpr int kBlocksPerMultiprocessor = 32;
inline constexpr int kSharedPerMultiprocessor = 228 << 10;
inline constexpr int kSharedPerBlockOverhead = 1 << 10;
/// Dynamic shared memory of a block: without asking, and with cuFuncSetAttribute.
inline constexpr int kOrdinaryShared = 48 << 10;
inline constexpr int kMostShared = 227 << 10;
/// Of memory that is mapped.
inline constexpr std::size_t kGranularity = std::size_t{2} << 20;

/// LOCKSTEP_FAKE_SMS.
int multiprocessors();
/// LOCKSTEP_FAKE_MEMORY_MIB.
std::size_t memoryBytes();

}  // namespace lockstep::cuda::fake
