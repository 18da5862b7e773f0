#include <filesystem>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "bench/abstract_socket.hpp"
#include "bench/coordinator.hpp"
#include "bench/worker.hpp"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

fs::path findMpirun() {
  const char* variable = std::getenv("PATH");
  const std::string path = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find(':', start), path.size());
    fs::path candidate = fs::path(path.substr(start, end - start)) / "mpirun";
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  fail(
      ErrorCode::unsupported,
      "--baseline mpi needs Open MPI's mpirun, which is not in PATH (apt-get install openmpi-bin)");
}

/// Where Open MPI keeps its session files; gone with this object, however mpirun ended.
class SessionFolder {
 public:
  SessionFolder() {
    std::string name = (fs::temp_directory_path() / "ccbench-mpi-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) failErrno("cannot make the folder {}", name);
    path_ = name;
  }
  SessionFolder(const SessionFolder&) = delete;
  SessionFolder& operator=(const SessionFolder&) = delete;
  ~SessionFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<std::string> mpirunArguments(const Launch& launch,
                                         const std::vector<std::string>& setting) {
  const bool shared = launch.config.ranks > launch.config.cores;
  std::vector<std::string> arguments{"-n", fmt::to_string(launch.config.ranks), "--oversubscribe",
                                     "--bind-to", shared ? "none" : "core"};
  if (geteuid() == 0) arguments.emplace_back("--allow-run-as-root");
  // Open MPI does so by itself only when it has counted fewer slots than ranks.
  if (shared) arguments.insert(arguments.end(), {"--mca", "mpi_yield_when_idle", "1"});
  arguments.insert(arguments.end(), setting.begin(), setting.end());
  return arguments;
}

/// `setting`: arguments of mpirun.
Outcome launchUnderMpi(const Launch& launch, const fs::path& mpirun,
                       const std::vector<std::string>& setting) {
  const SessionFolder session;
  Children children;
  Coordinator coordinator(launch, children, "mpirun");
  std::string socket;
  coordinator.listenAt(listenAbstract(socket));

  ChildSetup setup;
  setup.program = mpirun.string();
  setup.arguments = mpirunArguments(launch, setting);
  const std::vector<std::string> rest{"--mca",         "orte_tmpdir_base",
                                      session.path(),  fs::read_symlink("/proc/self/exe").string(),
                                      kMpiRankCommand, socket};
  setup.arguments.insert(setup.arguments.end(), rest.begin(), rest.end());
  setup.deathSignal = SIGTERM;  // mpirun then ends its ranks and tidies up
  children.start(setup);
  return coordinator.run();
}

}  // namespace

std::vector<RivalSetting> mpiSettings() {
  const auto under = [mpirun = findMpirun()](const std::string& name,
                                             const std::vector<std::string>& arguments) {
    return RivalSetting{name, "mpi", [mpirun, arguments](const Launch& launch) {
                          return launchUnderMpi(launch, mpirun, arguments);
                        }};
  };
  // UCX is asked for by name and told that shared memory is a device it may use: Open MPI 4.1 takes
  // it only for network cards otherwise (opal/mca/common/ucx/help and its opal_common_ucx_tls
  // default).
  return {under("mpi default", {}),
          under("mpi ucx-sysv",
                {"--mca", "pml", "ucx", "--mca", "osc", "ucx", "--mca", "opal_common_ucx_tls",
                 "any", "--mca", "opal_common_ucx_devices", "any", "-x", "UCX_TLS=sysv,self"})};
}

}  // namespace lockstep::bench
