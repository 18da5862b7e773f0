#include "bench/floors/processes.hpp"

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fail.hpp"

namespace lockstep::floors {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

using Part = std::function<nlohmann::json(int rank, int cpu)>;

/// A child's whole life; its exit status. Rank 0 leaves its result in `result`.
int live(const Part& part, int rank, int cpu, std::FILE* result) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    const std::string json = part(rank, cpu).dump();
    std::fflush(stdout);  // _exit does not
    if (rank == 0 && (std::fwrite(json.data(), 1, json.size(), result) != json.size() ||
                      std::fflush(result) != 0))
      failErrno("cannot hand over the results");
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "floors: rank {}: {}\n", rank, e.what());
    return 1;
  }
}

/// Waits for all; false when one failed, and then the others were ended.
bool join(const std::vector<pid_t>& children) {
  bool fine = true;
  for (std::size_t left = children.size(); left > 0; --left) {
    int status = 0;
    const pid_t ended = wait(&status);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    if (WIFSIGNALED(status) && fine)
      fmt::print(stderr, "floors: a rank was ended by signal {}\n", WTERMSIG(status));
    if (fine)
      for (const pid_t child : children)
        if (child != ended) kill(child, SIGKILL);
    fine = false;
  }
  return fine;
}

std::string contentsOf(std::FILE* file) {
  std::rewind(file);
  std::string text;
  std::array<char, 4096> piece;
  while (const std::size_t n = std::fread(piece.data(), 1, piece.size(), file))
    text.append(piece.data(), n);
  return text;
}

}  // namespace

std::array<int, 2> twoCpus() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) failErrno("cannot ask for the CPUs");
  std::array<int, 2> cpus{};
  std::size_t found = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; ++cpu)
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) cpus[found++] = cpu;
  if (found < 2)
    fail(ErrorCode::unsupported, "floors needs two CPUs, and this process may use only one");
  return cpus;
}

nlohmann::json runRanks(int ranks, const Part& part) {
  const std::array<int, 2> cpus = twoCpus();
  const File result(std::tmpfile());
  if (!result) failErrno("cannot make a temporary file");
  std::fflush(stdout);  // or the children would print it again
  std::vector<pid_t> children;
  for (int rank = 0; rank < ranks; ++rank) {
    const pid_t child = fork();
    if (child < 0) failErrno("cannot start a rank");
    if (child == 0)
      _exit(live(part, rank, cpus[static_cast<std::size_t>(rank) % cpus.size()], result.get()));
    children.push_back(child);
  }
  if (!join(children)) fail(ErrorCode::aborted, "a rank failed");
  return nlohmann::json::parse(contentsOf(result.get()));
}

}  // namespace lockstep::floors
