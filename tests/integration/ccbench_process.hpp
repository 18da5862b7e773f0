// ccbench as a child process, for tests that use it as its user does.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.hpp"
#include "base/fd.hpp"

namespace lockstep {

inline const std::string kCcbench = LOCKSTEP_BINARY_DIR "/bin/ccbench";

#define SKIP_WITHOUT_CCBENCH() \
  if (access(kCcbench.c_str(), X_OK) != 0) GTEST_SKIP() << "ccbench was not built: " << kCcbench

#define SKIP_WITHOUT_GLOO()                                                    \
  if (access(LOCKSTEP_BINARY_DIR "/bin/lockstep_baseline_gloo.so", R_OK) != 0) \
  GTEST_SKIP() << "built without Gloo, or with a sanitizer"

class CcbenchProcess {
 public:
  /// `redirections`: as a shell takes them, applied after both streams are caught here.
  explicit CcbenchProcess(const std::vector<std::string>& arguments,
                          const std::string& redirections = {}) {
    int out[2], err[2];
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    std::vector<std::string> words{kCcbench};
    if (!redirections.empty())
      words = {"/bin/sh", "-c", "exec \"$0\" \"$@\" " + redirections, kCcbench};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(out[1], STDOUT_FILENO);
      dup2(err[1], STDERR_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    out_ = Fd(out[0]);
    err_ = Fd(err[0]);
    ::close(out[1]);
    ::close(err[1]);
  }
  CcbenchProcess(const CcbenchProcess&) = delete;
  CcbenchProcess& operator=(const CcbenchProcess&) = delete;
  ~CcbenchProcess() {
    if (pid_ <= 0) return;
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  const std::string& out() const { return outText_; }
  const std::string& err() const { return errText_; }

  /// Processes it has started, once there are `count`; fewer if that takes too long.
  std::vector<pid_t> children(std::size_t count) const {
    std::vector<pid_t> pids;
    for (const Deadline deadline = Deadline::in(std::chrono::seconds(30)); !deadline.passed();) {
      pids.clear();
      std::ifstream file("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) +
                         "/children");
      for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
      if (pids.size() >= count) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return pids;
  }

  /// Reads what it prints until it ends; its exit status, 128 + signal when one ended it.
  int wait() {
    for (bool open = true; open;) {
      pollfd ends[] = {{out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}};
      ::poll(ends, 2, -1);
      const bool outOpen = drain(ends[0], outText_), errOpen = drain(ends[1], errText_);
      open = outOpen || errOpen;
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  /// False at the end.
  static bool drain(const pollfd& end, std::string& text) {
    if (end.revents == 0) return true;
    char chunk[4096];
    const ssize_t n = ::read(end.fd, chunk, sizeof chunk);
    if (n > 0) text.append(chunk, static_cast<std::size_t>(n));
    return n > 0;
  }

  pid_t pid_ = -1;
  Fd out_, err_;
  std::string outText_, errText_;
};

/// Runs to the end.
struct CcbenchRun {
  explicit CcbenchRun(const std::vector<std::string>& arguments,
                      const std::string& redirections = {}) {
    CcbenchProcess process(arguments, redirections);
    status = process.wait();
    out = process.out();
    err = process.err();
  }
  int status = -1;
  std::string out, err;
};

}  // namespace lockstep
