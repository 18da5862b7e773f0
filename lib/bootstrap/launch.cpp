#include "bootstrap/launch.hpp"

#include <array>
#include <charconv>
#include <cstdlib>
#include <span>
#include <string_view>

#include <unistd.h>

#include "base/fail.hpp"

namespace lockstep::launch {

namespace {

constexpr const char* kJob = "LOCKSTEP_JOB";

/// The variables that a launcher sets. Null: it has none.
struct Launcher {
  const char* name;
  const char* rank;
  const char* size;
  const char* localSize;
  const char* hosts;
  /// Those that are set make up the job's name.
  std::array<const char*, 4> job;
  /// RANK and WORLD_SIZE are anybody's names, and the script of a Slurm batch job has a rank and a
  /// size before it starts anything: without one of these it is not this launcher.
  std::array<const char*, 2> marks;
};

constexpr std::array kLaunchers{
    Launcher{"hand", "LOCKSTEP_RANK", "LOCKSTEP_WORLD_SIZE", nullptr, nullptr, {}, {}},
    Launcher{"torchrun",
             "RANK",
             "WORLD_SIZE",
             "LOCAL_WORLD_SIZE",
             nullptr,
             {"TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT"},
             {"TORCHELASTIC_RUN_ID", "MASTER_PORT"}},
    Launcher{"Open MPI",
             "OMPI_COMM_WORLD_RANK",
             "OMPI_COMM_WORLD_SIZE",
             "OMPI_COMM_WORLD_LOCAL_SIZE",
             nullptr,
             {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"},
             {}},
    Launcher{"PMI",
             "PMI_RANK",
             "PMI_SIZE",
             "MPI_LOCALNRANKS",
             nullptr,
             {"PMI_JOBID", "SLURM_JOB_ID", "SLURM_STEP_ID"},
             {}},
    Launcher{"Slurm",
             "SLURM_PROCID",
             "SLURM_NTASKS",
             nullptr,
             "SLURM_STEP_NUM_NODES",
             {"SLURM_JOB_ID", "SLURM_STEP_ID"},
             {"SLURM_STEP_ID"}},
};

class Reader {
 public:
  explicit Reader(const Environment& environment) : environment_(environment) {}

  std::string_view text(const char* variable) const {
    const char* value = variable == nullptr ? nullptr : environment_(variable);
    return value == nullptr ? std::string_view{} : std::string_view{value};
  }

  /// Nothing if it is not set.
  std::optional<int> number(const char* variable, int least) const {
    const std::string_view said = text(variable);
    if (said.empty()) return std::nullopt;
    int value = 0;
    const auto [end, error] = std::from_chars(said.data(), said.data() + said.size(), value);
    if (error != std::errc{} || end != said.data() + said.size() || value < least)
      fail(ErrorCode::invalidArgument, "{} is '{}'; it takes a number from {}", variable, said,
           least);
    return value;
  }

  bool any(std::span<const char* const> variables) const {
    bool none = true;  // asked for
    for (const char* variable : variables) {
      if (variable == nullptr) continue;
      if (!text(variable).empty()) return true;
      none = false;
    }
    return none;
  }

  std::string joined(std::span<const char* const> variables) const {
    std::string all;
    for (const char* variable : variables) {
      const std::string_view part = text(variable);
      if (part.empty()) continue;
      if (!all.empty()) all += '.';
      all += part;
    }
    return all;
  }

 private:
  const Environment& environment_;
};

void checkByHand(const Reader& reader, const Launcher& launcher) {
  const bool rank = !reader.text(launcher.rank).empty(), size = !reader.text(launcher.size).empty();
  if (rank != size)
    fail(ErrorCode::invalidArgument, "{} is set, but {} is not: set both",
         rank ? launcher.rank : launcher.size, rank ? launcher.size : launcher.rank);
}

}  // namespace

std::optional<Place> detect(const Environment& environment) {
  const Reader reader(environment);
  checkByHand(reader, kLaunchers.front());
  for (const Launcher& launcher : kLaunchers) {
    if (reader.text(launcher.rank).empty() || reader.text(launcher.size).empty() ||
        !reader.any(launcher.marks))
      continue;
    Place place{.launcher = launcher.name,
                .rank = *reader.number(launcher.rank, 0),
                .worldSize = *reader.number(launcher.size, 1),
                .localSize = reader.number(launcher.localSize, 1),
                .hosts = reader.number(launcher.hosts, 1),
                .job = reader.joined(launcher.job)};
    if (place.rank >= place.worldSize)
      fail(ErrorCode::invalidArgument, "{} is '{}', but {} is '{}': ranks count from 0",
           launcher.rank, place.rank, launcher.size, place.worldSize);
    if (const auto job = reader.text(kJob); !job.empty()) place.job = job;
    const bool byHand = &launcher == &kLaunchers.front();
    if (byHand && place.job.empty() && place.worldSize > 1)
      fail(ErrorCode::invalidArgument,
           "{} is set, but {} is not: set it to a text that is the same on all ranks and that no "
           "other job uses at the same time",
           launcher.rank, kJob);
    return place;
  }
  return std::nullopt;
}

Place find() {
  const auto found = detect([](const char* name) { return std::getenv(name); });
  if (!found)
    fail(
        ErrorCode::invalidArgument,
        "no launcher has said which rank this process is: start it by mpirun, srun or torchrun, or "
        "set LOCKSTEP_RANK, LOCKSTEP_WORLD_SIZE and LOCKSTEP_JOB, or hand a UniqueId to all ranks "
        "and use Communicator::create");
  Place place = *found;
  if ((place.localSize && *place.localSize != place.worldSize) || (place.hosts && *place.hosts > 1))
    fail(ErrorCode::unsupported,
         "{}: ranks of this job are on other hosts; this version connects ranks of one host",
         toString(place));
  // Ranks of one host have one parent then: what the launcher runs there.
  if (place.job.empty()) place.job = fmt::format("of process {}", ::getppid());
  return place;
}

std::string toString(const Place& place) {
  return fmt::format("rank {} of {}, started by {}, job '{}'", place.rank, place.worldSize,
                     place.launcher, place.job);
}

}  // namespace lockstep::launch
