#include "bench/processes.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.hpp"
#include "base/fail.hpp"

namespace lockstep::bench {
namespace {

std::vector<char*> pointersTo(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Everything a child needs, made before the fork: between fork and exec only async-signal-safe
/// calls are allowed.
struct Prepared {
  explicit Prepared(const ChildSetup& s) : setup(s), arguments{s.program} {
    arguments.insert(arguments.end(), s.arguments.begin(), s.arguments.end());
    argv = pointersTo(arguments);
    sigemptyset(&noSignals);
    CPU_ZERO(&cpus);
    if (s.cpu >= 0) CPU_SET(static_cast<std::size_t>(s.cpu), &cpus);
  }
  const ChildSetup& setup;
  std::vector<std::string> arguments;
  std::vector<char*> argv;
  sigset_t noSignals{};
  cpu_set_t cpus{};
  pid_t parent = getpid();
};

[[noreturn]] void becomeChild(const Prepared& p, pid_t group) {
  setpgid(0, group);
  prctl(PR_SET_PDEATHSIG, p.setup.deathSignal);
  if (getppid() != p.parent) _exit(127);  // the parent died before prctl took effect
  if (p.setup.cpu >= 0) sched_setaffinity(0, sizeof p.cpus, &p.cpus);  // refused: runs unpinned
  for (const int fd : p.setup.inheritedFds) fcntl(fd, F_SETFD, 0);
  const int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0) dup2(nothing, STDIN_FILENO);
  sigprocmask(SIG_SETMASK, &p.noSignals, nullptr);
  execv(p.setup.program.c_str(), p.argv.data());
  _exit(127);
}

}  // namespace

void Children::start(const ChildSetup& setup) {
  const Prepared prepared(setup);
  const pid_t pid = fork();
  if (pid < 0) failErrno("cannot start a process");
  if (pid == 0) becomeChild(prepared, group_);
  setpgid(pid, group_);  // by both, so that it holds whichever runs first
  if (group_ == 0) group_ = pid;
  pids_.push_back(pid);
}

std::optional<ChildEnd> Children::reap() {
  for (std::size_t i = 0; i < pids_.size(); ++i) {
    int status = 0;
    if (pids_[i] == 0 || waitpid(pids_[i], &status, WNOHANG) != pids_[i]) continue;
    pids_[i] = 0;
    return ChildEnd{i, status};
  }
  return std::nullopt;
}

bool Children::running() const {
  return std::any_of(pids_.begin(), pids_.end(), [](pid_t pid) { return pid != 0; });
}

// The group too, for what the children have started themselves. Its number is ours while one of
// them is not reaped.
void Children::signalAll(int signal) noexcept {
  if (running()) kill(-group_, signal);
  for (const pid_t pid : pids_)
    if (pid != 0) kill(pid, signal);
}

void Children::terminate() noexcept {
  signalAll(SIGTERM);
  signalAll(SIGCONT);  // a stopped process takes no SIGTERM
  const Deadline grace = Deadline::in(kGrace);
  while (running() && !grace.passed())
    if (!reap()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  signalAll(SIGKILL);
  for (pid_t& pid : pids_) {
    if (pid == 0) continue;
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid = 0;
  }
}

std::string describeEnd(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("was killed by signal {} ({})", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
  return fmt::format("ended with exit status {}", WEXITSTATUS(status));
}

}  // namespace lockstep::bench
