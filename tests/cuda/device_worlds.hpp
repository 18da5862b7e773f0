// Worlds of ranks on emulated GPUs. Every world gets fresh processes, since CUDA does not survive
// fork(), each world has a driver of its own, and at its end it is seen whether anything was left
// behind.
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <sys/prctl.h>

#include "bootstrap/worlds.hpp"

namespace lockstep::test {

/// Variables of the environment: what the emulated driver is to be and to fail at.
using Environment = std::map<std::string, std::string>;

/// What ranks are: threads of one process, or a process each.
enum class Ranks { threads, processes };

/// LOCKSTEP_TEST_GPU=1: worlds are on this machine's GPUs instead (tools/gpu_check).
inline bool onRealGpus() {
  const char* wanted = ::getenv("LOCKSTEP_TEST_GPU");
  return wanted != nullptr && *wanted == '1';
}

inline void enter(const Environment& environment) {
  if (onRealGpus())
    ::setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32",
             0);  // ranks that share a GPU (lockstep/device.hpp)
  else
    ::setenv("LOCKSTEP_CUDA_LIBRARY", LOCKSTEP_FAKE_CUDA, 1);
  ::setenv("LOCKSTEP_FAKE_STRICT", "1", 1);
  for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
}

/// Ends this process as programs end, so that the driver looks for what is still alive (exit status
/// 99, which is "died" to who waits). Not if something has gone wrong, which is said first, nor
/// with LOCKSTEP_FAKE_STRICT=0: a thread that never returns from the driver holds what it holds.
inline std::string leave(std::string said) {
  if (said.empty() && ::getenv("LOCKSTEP_FAKE_STRICT") == std::string_view("1")) std::exit(0);
  return said;
}

/// What a rank does with its peers; "" or what went wrong.
using DeviceRank = std::function<std::string(Peers&)>;

/// "rank 1: ..; ", or "" when all is well.
inline std::string failuresOf(const std::vector<std::string>& said) {
  std::string all;
  for (std::size_t r = 0; r < said.size(); ++r)
    if (!said[r].empty()) all += "rank " + std::to_string(r) + ": " + said[r] + "; ";
  return all;
}

inline std::string playThreads(int world, const DeviceRank& body) {
  auto ends = joinThreads(world);
  const auto said = runThreads(world, [&](int rank) {
    const auto peers = std::move(ends[static_cast<std::size_t>(rank)]);  // gone when it returns
    return body(*peers);
  });
  return failuresOf(said);
}

/// A process that keeps a meeting point, so that the test program has no threads when it forks (a
/// race detector wants it so), and no rank's end takes it away.
class MeetingHost {
 public:
  explicit MeetingHost(int readers)
      : host_(
            [&](int) -> std::string {
              ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // whatever becomes of the test program
              const std::string id = openMeetingPoint("");
              Record record{};
              std::copy(id.begin(), id.end(), record.begin());
              for (int r = 0; r < readers; ++r)
                if (::write(names_.in.get(), record.data(), record.size()) < 0) return "no pipe";
              for (;;) ::pause();
            },
            -1, gate_) {
    gate_.open();
  }
  /// For each reader, once.
  std::string name() {
    Record record{};
    return ::read(names_.out.get(), record.data(), record.size()) < 0 ? "" : record.data();
  }

 private:
  using Record = std::array<char, 256>;  // goes through a pipe in one piece
  Pipe names_;
  Gate gate_;
  Child host_;  // killed at the end
};

inline std::string playProcesses(int world, const Environment& environment,
                                 const DeviceRank& body) {
  MeetingHost meeting(world);
  const auto said = runProcesses(world, [&](int rank) {
    enter(environment);
    const auto play = [&](int r) { return body(*joinProcesses(meeting.name(), r, world, soon())); };
    return leave(runCaught(play, rank));
  });
  return failuresOf(said);
}

/// Plays a world and tells what went wrong on any rank, or "".
inline std::string playDevices(Ranks ranks, int world, const Environment& environment,
                               const DeviceRank& body) {
  if (ranks == Ranks::processes) return playProcesses(world, environment, body);
  return runProcesses(1, [&](int) {
    enter(environment);
    return leave(playThreads(world, body));
  })[0];
}

}  // namespace lockstep::test

/// In a test that asks for what only the emulated driver does.
#define LOCKSTEP_NEEDS_EMULATION() \
  if (::lockstep::test::onRealGpus()) GTEST_SKIP() << "real GPUs do not do that when asked"
