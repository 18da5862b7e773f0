// Cross-memory attach: reading and writing the ordinary memory of another process
// (process_vm_readv).
#pragma once

#include <cstddef>
#include <cstdint>

#include <sys/types.h>

namespace lockstep::cma {

/// Whose memory.
struct Process {
  pid_t pid = -1;
  int rank = -1;  ///< for errors
};

/// Copies `bytes` from `address` in `process` to `local`. Throws peerDied when it or the memory is
/// no more, and system, naming it, for everything else.
void read(Process process, std::uint64_t address, void* local, std::size_t bytes);
/// Copies `bytes` from `local` to `address` in `process`.
void write(Process process, std::uint64_t address, const void* local, std::size_t bytes);

/// Whether this process may read `address` of `pid` (containers and Yama often forbid it). Never
/// throws.
bool mayRead(pid_t pid, std::uint64_t address, void* local, std::size_t bytes) noexcept;

}  // namespace lockstep::cma
