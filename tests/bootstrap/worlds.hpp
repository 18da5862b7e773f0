// Running ranks as forked processes, or as threads, and hearing what became of each.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.hpp"
#include "bootstrap/frame.hpp"
#include "bootstrap/peers.hpp"
#include <lockstep/error.hpp>

namespace lockstep::test {

using namespace std::chrono_literals;

/// Plays one rank; returns "" or what went wrong.
using Rank = std::function<std::string(int rank)>;

inline Deadline soon() {
  return Deadline::in(20s);
}

inline std::string runCaught(const Rank& body, int rank) {
  try {
    return body(rank);
  } catch (const std::exception& e) {
    return std::string("threw: ") + e.what();
  }
}

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    out = Fd(ends[0]);
    in = Fd(ends[1]);
  }
  Fd out, in;
};

/// Holds children back until all are forked: the meeting point's thread is idle until then. (A fork
/// that catches a busy thread may copy a locked lock of a sanitizer's allocator.)
class Gate {
 public:
  Gate() { std::this_thread::sleep_for(10ms); }  // that thread may have just been started
  void open() { pipe_.in.reset(); }
  void wait() {
    open();  // this process's copy
    char none;
    while (::read(pipe_.out.get(), &none, 1) < 0) {
    }
    pipe_.out.reset();
  }

 private:
  Pipe pipe_;
};

/// A forked process that plays a rank. Killed when destroyed.
class Child {
 public:
  Child(const Rank& body, int rank, Gate& gate) {
    Pipe result;
    pid_ = ::fork();
    if (pid_ != 0) {
      out_ = std::move(result.out);
      return;
    }
    result.out.reset();
    Fd in = std::move(result.in);
    gate.wait();
    const std::string said = runCaught(body, rank);
    if (::write(in.get(), said.data(), said.size()) < 0) ::_exit(2);
    ::_exit(0);
  }
  Child(Child&& o) noexcept : pid_(std::exchange(o.pid_, -1)), out_(std::move(o.out_)) {}
  ~Child() {
    kill();
    reap();
  }
  pid_t pid() const { return pid_; }
  void kill() const {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
  }
  void reap() {
    if (pid_ > 0) ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  /// What it returned; "did not end" after half a minute, "died" if it was killed.
  std::string outcome() {
    std::string said;
    for (;;) {
      pollfd entry{out_.get(), POLLIN, 0};
      if (::poll(&entry, 1, 30000) <= 0) return "did not end";
      char part[512];
      const ssize_t n = ::read(out_.get(), part, sizeof part);
      if (n <= 0) break;
      said.append(part, static_cast<std::size_t>(n));
    }
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? said : "died";
  }

 private:
  pid_t pid_ = -1;
  Fd out_;
};

inline std::vector<std::string> runProcesses(int worldSize, const Rank& body) {
  std::vector<Child> children;
  Gate gate;
  children.reserve(static_cast<std::size_t>(worldSize));
  for (int rank = 0; rank < worldSize; ++rank) children.emplace_back(body, rank, gate);
  gate.open();
  std::vector<std::string> outcomes;
  for (Child& child : children) outcomes.push_back(child.outcome());
  return outcomes;
}

inline std::vector<std::string> runThreads(int worldSize, const Rank& body) {
  std::vector<std::string> outcomes(static_cast<std::size_t>(worldSize));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < worldSize; ++rank)
    threads.emplace_back(
        [&, rank] { outcomes[static_cast<std::size_t>(rank)] = runCaught(body, rank); });
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

/// `size` bytes that tell which rank and round they are of.
inline Bytes pattern(int rank, int round, std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(i * 7 + i / 251 + static_cast<std::size_t>(rank) * 31 +
                                      static_cast<std::size_t>(round) * 101);
  return bytes;
}

/// One all-gather of size(rank) bytes from each rank, checked.
inline std::string gatherOnce(Peers& peers, int round,
                              const std::function<std::size_t(int)>& size) {
  const auto all = peers.allGather(pattern(peers.rank(), round, size(peers.rank())), soon());
  if (static_cast<int>(all.size()) != peers.worldSize()) return "wrong number of contributions";
  for (int r = 0; r < peers.worldSize(); ++r)
    if (all[static_cast<std::size_t>(r)] != pattern(r, round, size(r)))
      return "wrong bytes of rank " + std::to_string(r) + " in round " + std::to_string(round);
  return {};
}

inline std::string gatherOnce(Peers& peers, int round) {
  return gatherOnce(peers, round, [](int) { return std::size_t{100}; });
}

/// "<code>: <message>" of the error that `action` throws.
template <class Action>
std::string errorText(const Action& action) {
  try {
    action();
  } catch (const Error& e) {
    return std::string(name(e.code())) + ": " + e.what();
  }
  return "no error";
}

inline void sleepFor(Clock::duration d) {
  std::this_thread::sleep_for(d);
}

}  // namespace lockstep::test
