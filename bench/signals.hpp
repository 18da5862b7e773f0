// Signals as something to wait for, beside descriptors.
#pragma once

#include <csignal>

#include "base/fd.hpp"

namespace lockstep::bench {

/// While it lives, SIGINT, SIGTERM, SIGHUP and SIGCHLD of this thread wait to be taken here.
class SignalWatch {
 public:
  SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();

  /// Readable when a signal waits.
  int fd() const { return fd_.get(); }
  /// The next one, or 0.
  int take();

 private:
  sigset_t before_{};
  Fd fd_;
};

}  // namespace lockstep::bench
