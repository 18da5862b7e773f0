// Moving memory between two processes by the kernel.
#pragma once

#include <sys/uio.h>

#include "base/fail.hpp"
#include "bench/floors/pair.hpp"

namespace lockstep::floors {

/// For floats. Throws system.
class Attach {
 public:
  explicit Attach(pid_t peer) : peer_(peer) {}
  void read(float* mine, const float* theirs, std::size_t count) const {
    move(process_vm_readv, mine, const_cast<float*>(theirs), count);
  }
  void write(const float* mine, float* theirs, std::size_t count) const {
    move(process_vm_writev, const_cast<float*>(mine), theirs, count);
  }

 private:
  using Call = ssize_t (*)(pid_t, const iovec*, unsigned long, const iovec*, unsigned long,
                           unsigned long);
  void move(Call call, float* mine, float* theirs, std::size_t count) const {
    const iovec local{mine, count * sizeof(float)}, remote{theirs, count * sizeof(float)};
    if (call(peer_, &local, 1, &remote, 1, 0) != static_cast<ssize_t>(local.iov_len))
      failErrno("process_vm_readv or process_vm_writev of {} B", local.iov_len);
  }
  pid_t peer_;
};

}  // namespace lockstep::floors
