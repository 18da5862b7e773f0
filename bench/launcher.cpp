#include "bench/launcher.hpp"

#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/socket.h>

#include "base/fail.hpp"
#include "bench/coordinator.hpp"
#include "bench/rival.hpp"
#include "bench/worker.hpp"

namespace lockstep::bench {
namespace {

struct SocketPair {
  SocketPair() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      failErrno("cannot make a pair of sockets");
    parent = Fd(ends[0]);
    child = Fd(ends[1]);
  }
  Fd parent, child;
};

}  // namespace

namespace {

/// All ranks in one process.
Outcome launchThreads(const Launch& launch) {
  Children children;
  Coordinator coordinator(launch, children, "the process of the ranks");
  ChildSetup setup;
  setup.program = std::filesystem::read_symlink("/proc/self/exe").string();
  std::vector<Fd> ends;  // of the child, open until it has them
  for (int rank = 0; rank < launch.config.ranks; ++rank) {
    SocketPair sockets;
    setup.inheritedFds.push_back(sockets.child.get());
    ends.push_back(std::move(sockets.child));
    coordinator.addLink(std::move(sockets.parent));
  }
  setup.arguments = {kRankThreadsCommand, fmt::format("{}", fmt::join(setup.inheritedFds, ","))};
  children.start(setup);
  ends.clear();
  return coordinator.run();
}

}  // namespace

Outcome launchRanks(const Launch& launch) {
  if (ranksShareGpus(launch.config)) return launchThreads(launch);
  Children children;
  Coordinator coordinator(launch, children, "");
  const bool pinned = launch.config.ranks <= static_cast<int>(launch.cpus.size());
  for (int rank = 0; rank < launch.config.ranks; ++rank) {
    SocketPair sockets;
    ChildSetup setup;
    setup.program = std::filesystem::read_symlink("/proc/self/exe").string();
    setup.arguments = {kRankCommand, fmt::to_string(rank), fmt::to_string(sockets.child.get())};
    setup.inheritedFds = {sockets.child.get()};
    if (pinned) setup.cpu = launch.cpus[static_cast<std::size_t>(rank)];
    children.start(setup);
    coordinator.addLink(std::move(sockets.parent));
  }
  return coordinator.run();
}

std::vector<RivalSetting> settingsBeside(const std::string& rival) {
  requireModule(rival);
  if (rival == "mpi") return mpiSettings();
  return {{rival, rival, launchRanks}};
}

}  // namespace lockstep::bench
