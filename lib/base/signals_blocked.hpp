// No signals on threads that a program does not know of.
#pragma once

#include <csignal>

#include <pthread.h>

namespace lockstep {

/// Blocks every signal in this thread, and so in threads it starts meanwhile: the handlers of a
/// program are not to run on a thread it does not know of.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace lockstep
