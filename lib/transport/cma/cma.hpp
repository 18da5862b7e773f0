// Cross-memory attach: reading and writing the ordinary memory of another process
// (process_vm_readv).
#pragma once

#include <cstddef>
#include <cstdint>

#include <sys/types.h>

namespace lockstep::cma {

/// Copies `bytes` from `address` in process `pid` to `local`. Throws system, naming the process.
void read(pid_t pid, std::uint64_t address, void* local, std::size_t bytes);
/// Copies `bytes` from `local` to `address` in process `pid`.
void write(pid_t pid, std::uint64_t address, const void* local, std::size_t bytes);

/// Whether this process may read `address` of `pid` (containers and Yama often forbid it). Never
/// throws.
bool mayRead(pid_t pid, std::uint64_t address, void* local, std::size_t bytes) noexcept;

}  // namespace lockstep::cma
