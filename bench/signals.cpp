#include "bench/signals.hpp"

#include <pthread.h>
#include <sys/signalfd.h>

#include "base/fail.hpp"

namespace lockstep::bench {

SignalWatch::SignalWatch() {
  sigset_t watched;
  sigemptyset(&watched);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&watched, signal);
  pthread_sigmask(SIG_BLOCK, &watched, &before_);
  fd_ = Fd(signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd_) failErrno("cannot watch for signals");
}

SignalWatch::~SignalWatch() {
  while (take() != 0) {  // what arrived meanwhile was meant for the run that ends here
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

int SignalWatch::take() {
  signalfd_siginfo info{};
  return ::read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo)
                                                              : 0;
}

}  // namespace lockstep::bench
