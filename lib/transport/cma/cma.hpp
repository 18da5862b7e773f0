// Cross-memory attach: reading and writing the ordinary memory of another process
// (process_vm_readv).
//
// The kernel takes a process by its number, and the number of a dead process may become another's.
// A pidfd tells: as long as it does not report the end, the number is still the process's. So what
// was read is used only if the process has not ended by then, and nothing is written to one that
// has. Between that look and the write lie some instructions, in which a process would have to die,
// be reaped, and its number come around; there is no call that writes by pidfd.
#pragma once

#include <cstddef>
#include <cstdint>

#include <sys/types.h>

namespace lockstep::cma {

/// Whose memory.
struct Process {
  pid_t pid = -1;
  int rank = -1;   ///< for errors
  int pidfd = -1;  ///< of it; without one, its number is trusted
};

/// Copies `bytes` from `address` in `process` to `local`. Throws peerDied when it or the memory is
/// no more, and system, naming it, for everything else.
void read(Process process, std::uint64_t address, void* local, std::size_t bytes);
/// Copies `bytes` from `local` to `address` in `process`. Throws as read does.
void write(Process process, std::uint64_t address, const void* local, std::size_t bytes);

/// Whether this process may read `address` of `pid` (containers and Yama often forbid it). Never
/// throws.
bool mayRead(pid_t pid, std::uint64_t address, void* local, std::size_t bytes) noexcept;

}  // namespace lockstep::cma
