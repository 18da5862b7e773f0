// Child processes that cannot outlive their parent, and that are gone when their owner is.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace lockstep::bench {

/// How a child is started.
struct ChildSetup {
  std::string program;
  std::vector<std::string> arguments;  ///< without the program
  std::vector<int> inheritedFds;       ///< stay open in the child, under the same numbers
  int cpu = -1;                        ///< pinned to it, or -1
  int deathSignal = 9;                 ///< sent to the child when this process dies
};

/// How a child ended.
struct ChildEnd {
  std::size_t index = 0;  ///< in the order of start
  int status = 0;         ///< as waitpid gives it
};

/// A set of children in a process group of their own (so that Ctrl-C reaches this process alone,
/// which then ends them in order).
class Children {
 public:
  /// Time that a child gets between SIGTERM and SIGKILL.
  static constexpr std::chrono::milliseconds kGrace{2000};

  Children() = default;
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;
  ~Children() { terminate(); }

  /// Throws system when the process cannot be started.
  void start(const ChildSetup& setup);
  /// The next child that has ended since the last call, without waiting.
  std::optional<ChildEnd> reap();
  bool running() const;
  /// SIGTERM, up to kGrace, SIGKILL, and waits for all.
  void terminate() noexcept;

 private:
  void signalAll(int signal) noexcept;

  std::vector<pid_t> pids_;  ///< 0: reaped
  pid_t group_ = 0;
};

/// "was killed by signal 9 (Killed)", "ended with exit status 1"
std::string describeEnd(int status);

}  // namespace lockstep::bench
