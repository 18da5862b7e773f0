#include "transport/cma/cma.hpp"

#include <cerrno>

#include <poll.h>
#include <sys/uio.h>

#include "base/fail.hpp"

namespace lockstep::cma {

namespace {

using Call = ssize_t (*)(pid_t, const iovec*, unsigned long, const iovec*, unsigned long,
                         unsigned long);

iovec part(void* base, std::size_t bytes) {
  return {.iov_base = base, .iov_len = bytes};
}

[[noreturn]] void throwDied(const Process& process) {
  throw Error(ErrorCode::peerDied, process.rank, "",
              fmt::format("the process of rank {} has died", process.rank));
}

void checkAlive(const Process& process) {
  pollfd entry{process.pidfd, POLLIN, 0};  // poll(2) skips a negative descriptor
  if (::poll(&entry, 1, 0) > 0) throwDied(process);
}

/// A call may move less than asked (it stops at 2 GiB, or at the first bad page).
void moveAll(Call call, const char* verb, Process process, std::uint64_t address, std::byte* local,
             std::size_t bytes) {
  while (bytes > 0) {
    const iovec here = part(local, bytes);
    const iovec there =
        part(reinterpret_cast<void*>(address), bytes);  // NOLINT: an address elsewhere
    const ssize_t moved = call(process.pid, &here, 1, &there, 1, 0);
    if (moved <= 0) {
      if (moved < 0 && errno == EINTR) continue;
      if (moved < 0 && errno == ESRCH) throwDied(process);
      const int error = errno;
      checkAlive(process);  // if its number is another's by now, that is not what to tell about
      errno = error;
      // A dying process loses its memory before it is gone.
      if (moved < 0 && errno == EFAULT)
        throw Error(
            ErrorCode::peerDied, process.rank, "",
            fmt::format("the buffer of rank {} is no longer there: its process is dying, or "
                        "has unmapped the buffer during the call",
                        process.rank));
      failErrno(
          "cannot {} the memory of process {}; set Options::crossMemoryAttach to false (or "
          "LOCKSTEP_CMA=0) on all ranks to go without",
          verb, process.pid);
    }
    local += moved;
    address += static_cast<std::uint64_t>(moved);
    bytes -= static_cast<std::size_t>(moved);
  }
}

}  // namespace

void read(Process process, std::uint64_t address, void* local, std::size_t bytes) {
  moveAll(::process_vm_readv, "read", process, address, static_cast<std::byte*>(local), bytes);
  checkAlive(process);  // or it may have been another's memory
}

void write(Process process, std::uint64_t address, const void* local, std::size_t bytes) {
  checkAlive(process);  // or it may become another's memory
  // writev's iovec is not const, but it only reads.
  moveAll(::process_vm_writev, "write", process, address,
          static_cast<std::byte*>(const_cast<void*>(local)), bytes);  // NOLINT
}

bool mayRead(pid_t pid, std::uint64_t address, void* local, std::size_t bytes) noexcept {
  const iovec here = part(local, bytes);
  const iovec there =
      part(reinterpret_cast<void*>(address), bytes);  // NOLINT: an address elsewhere
  return pid > 0 && ::process_vm_readv(pid, &here, 1, &there, 1, 0) == static_cast<ssize_t>(bytes);
}

}  // namespace lockstep::cma
