// floors: what this machine can do at all, and Lockstep beside it.
#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <fstream>
#include <iostream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fail.hpp"
#include "bench/floors/contest.hpp"
#include "bench/floors/floors.hpp"
#include "bench/floors/lockstep_loop.hpp"
#include "bench/floors/primitives.hpp"
#include "bench/floors/transfer.hpp"
#include "bench/sizes.hpp"
#include "bench/tasks.hpp"

namespace lockstep::floors {
namespace {

struct Settings {
  std::string begin = "8", end = "64M", json, algorithm, protocol;
  std::vector<std::string> which{"all"};
  std::size_t factor = 2;
  int samples = 15;
  bool alone = false;
  std::vector<std::size_t> sizes;

  bool wants(std::string_view part) const {
    return std::any_of(which.begin(), which.end(),
                       [&](const std::string& w) { return w == "all" || w == part; });
  }
  std::size_t maxBytes() const { return sizes.back(); }
};

/// The first two CPUs this process may use. Throws unsupported when there is but one: the floors
/// spin without yielding.
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

/// Those with floors besides all-reduce, and the groups of these.
constexpr std::array kOthers{Collective::broadcast, Collective::allGather, Collective::allToAll,
                             Collective::reduceScatter};
constexpr std::array kOtherGroups{Group::registered, Group::ordinary};
/// Buffers of the groups of all-reduce and of the others.
constexpr std::size_t kContests = 3 + kOthers.size() * kOtherGroups.size();

/// One rank's half of the run. Rank 0 prints.
class Run {
 public:
  Run(Pair& pair, const Settings& settings) : pair_(pair), settings_(settings) {}

  void all() {
    if (settings_.wants("primitives")) primitives();
    for (const Group group : {Group::registered, Group::ordinary, Group::sealed})
      if (settings_.wants(name(group))) contest(Collective::allReduce, group);
    for (const Collective op : kOthers)
      for (const Group group : kOtherGroups)
        if (settings_.wants(lockstep::name(op))) contest(op, group);
    if (pair_.rank() == 0 && !settings_.json.empty()) writeJson();
  }

 private:
  template <class... Args>
  void print(fmt::format_string<Args...> text, Args&&... args) const {
    if (pair_.rank() != 0) return;
    fmt::print(text, std::forward<Args>(args)...);
    std::fflush(stdout);
  }

  void primitives() {
    print("{:<46} {:>10} {:>14}\n", "primitives", "one core", "each of both");
    const auto cell = [](double v) { return std::isnan(v) ? "-" : fmt::format("{:.1f}", v); };
    for (const Primitive& p : measurePrimitives(pair_)) {
      print("{:<46} {:>10} {:>14} {}\n", p.name, cell(p.oneCore), cell(p.bothCores), p.unit);
      json_["primitives"].push_back({{"name", p.name},
                                     {"oneCore", p.oneCore},
                                     {"eachOfBoth", p.bothCores},
                                     {"unit", p.unit}});
    }
  }

  Options optionsFor(Group group) const {
    Options options;
    if (group == Group::sealed) {
      options.mode = Mode::cc;
      options.insecureKeys = true;
    }
    options.algorithm = settings_.algorithm;
    options.protocol = settings_.protocol;
    return options;
  }

  /// Shared memory for the inputs and outputs of registered groups, taken once.
  float* shared(float*& buffer) {
    if (buffer == nullptr) buffer = pair_.takeShared<float>(settings_.maxBytes() / sizeof(float));
    return buffer;
  }

  void contest(Collective op, Group group) {
    const std::size_t bytes = settings_.maxBytes(), count = bytes / sizeof(float);
    const bool isShared = group == Group::registered;
    const Mapping privateIn = Mapping::anonymous(isShared ? kPage : bytes);
    const Mapping privateOut = Mapping::anonymous(isShared ? kPage : bytes);
    float* in = isShared ? shared(sharedIn_) : reinterpret_cast<float*>(privateIn.data());
    float* out = isShared ? shared(sharedOut_) : reinterpret_cast<float*>(privateOut.data());
    fill(in, count);

    std::vector<std::unique_ptr<Loop>> loops;
    std::vector<Contender> contenders;
    for (const Floor& floor : floorsOf(op, group)) {
      loops.push_back(floor.make(pair_, std::min(bytes, floor.maxBytes) / sizeof(float)));
      contenders.push_back(
          {floor.name, floor.minBytes, floor.maxBytes, loops.back().get(), in, out});
    }
    if (settings_.alone) {
      standings(op, group, contenders, nullptr, nullptr);
      return;
    }
    const std::unique_ptr<LockstepLoop> lockstep = joinLockstep(pair_, optionsFor(group), op);
    Buffer ownIn, ownOut;
    Contender challenger{"Lockstep", 0, bytes, lockstep.get(), in, out};
    if (isShared) {
      ownIn = lockstep->communicator().alloc(bytes);
      ownOut = lockstep->communicator().alloc(bytes);
      fill(static_cast<float*>(ownIn.data()), count);
      challenger.in = static_cast<const float*>(ownIn.data());
      challenger.out = static_cast<float*>(ownOut.data());
    }
    standings(op, group, contenders, &challenger, &lockstep->communicator());
  }

  void standings(Collective op, Group group, const std::vector<Contender>& contenders,
                 const Contender* challenger, const Communicator* communicator) {
    print(
        "\n{}, {} buffers, f32{}, 2 ranks on 2 cores\n{:>10} {:>11} {:>11} {:>6} {:>15} {:>8}  "
        "{}\n",
        lockstep::name(op), name(group), contractOf(op).reduces ? " sum" : "", "size", "floor us",
        "Lockstep us", "ratio", "95 %", "flag ns", "floor | plan");
    for (const std::size_t bytes : settings_.sizes) {
      const Standing s = compete(pair_, op, contenders, challenger, bytes, settings_.samples);
      std::string plan;
      if (communicator != nullptr) {
        const Plan p = communicator->plan(
            op, bytes / sizeof(float) / bench::blocksOf(bench::operationOf(op), 2), DataType::f32,
            group == Group::registered);
        plan = fmt::format(" | {} {}", p.algorithm, p.protocol);
      }
      print("{:>10} {:>11.2f} {:>11} {:>6} {:>15} {:>8.0f}  {}{}\n",
            bench::formatBytes(static_cast<double>(bytes)), s.floorSeconds * 1e6,
            s.compared ? fmt::format("{:.2f}", s.seconds * 1e6) : "-",
            s.compared ? fmt::format("{:.2f}", s.ratio) : "-",
            s.compared ? fmt::format("{:.2f} to {:.2f}", s.low, s.high) : "-", s.flagSeconds * 1e9,
            s.floor, plan);
      record(op, group, s, plan);
    }
  }

  void record(Collective op, Group group, const Standing& s, const std::string& plan) {
    nlohmann::json line{{"op", lockstep::name(op)},
                        {"group", name(group)},
                        {"bytes", s.bytes},
                        {"floor", s.floor},
                        {"floorSeconds", s.floorSeconds},
                        {"flagSeconds", s.flagSeconds}};
    if (s.compared)
      line.update({{"seconds", s.seconds},
                   {"ratio", s.ratio},
                   {"low", s.low},
                   {"high", s.high},
                   {"plan", plan}});
    json_["standings"].push_back(std::move(line));
  }

  void writeJson() const {
    std::ofstream file(settings_.json);
    file << json_.dump(2) << '\n';
    file.close();
    if (!file) fail(ErrorCode::system, "cannot write {}", settings_.json);
  }

  static std::vector<Floor> floorsOf(Collective op, Group group) {
    if (op != Collective::allReduce) return transferFloors(group, op);
    switch (group) {
      case Group::registered:
        return registeredFloors();
      case Group::ordinary:
        return ordinaryFloors();
      case Group::sealed:
        return sealedFloors();
    }
    return {};
  }

  void fill(float* in, std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) in[i] = patternAt(i, pair_.rank());
  }

  Pair& pair_;
  const Settings& settings_;
  float *sharedIn_ = nullptr, *sharedOut_ = nullptr;
  nlohmann::json json_;
};

/// The child's whole life; its exit status.
int runRank(Pair& pair, const Settings& settings, int rank, int cpu) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    pair.enter(rank, cpu);
    Run(pair, settings).all();
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "floors: rank {}: {}\n", rank, e.what());
    return 1;
  }
}

/// Runs both ranks; when one fails, the other is ended too.
int runBoth(Pair& pair, const Settings& settings) {
  const std::array<int, 2> cpus = twoCpus();
  std::array<pid_t, 2> children{};
  for (int rank = 0; rank < 2; ++rank) {
    const pid_t child = fork();
    if (child < 0) failErrno("cannot start a rank");
    if (child == 0) _exit(runRank(pair, settings, rank, cpus[static_cast<std::size_t>(rank)]));
    children[static_cast<std::size_t>(rank)] = child;
  }
  int result = 0;
  for (int left = 2; left > 0; --left) {
    int status = 0;
    const pid_t ended = wait(&status);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    if (WIFSIGNALED(status) && result == 0)
      fmt::print(stderr, "floors: a rank was ended by signal {}\n", WTERMSIG(status));
    result = 1;
    for (const pid_t child : children)
      if (child != ended) kill(child, SIGKILL);
  }
  return result;
}

int main(int argc, char** argv) {
  Settings s;
  CLI::App app(
      "What this machine can do at all, by hand-made loops of two ranks, and Lockstep beside it");
  app.add_option("-b,--begin", s.begin, "smallest message (8, 4K, 1M)")->capture_default_str();
  app.add_option("-e,--end", s.end, "largest message")->capture_default_str();
  app.add_option("-f,--factor", s.factor, "from one size to the next")->capture_default_str();
  app.add_option("--which", s.which,
                 "what to measure: buffers of all-reduce, other collectives (a list)")
      ->delimiter(',')
      ->check(CLI::IsMember({"registered", "ordinary", "sealed", "primitives", "broadcast",
                             "allgather", "alltoall", "reducescatter", "all"}))
      ->capture_default_str();
  app.add_option("--samples", s.samples, "batches per size")
      ->check(CLI::Range(6, 10000))
      ->capture_default_str();
  app.add_option("--algo", s.algorithm, "force Lockstep's algorithm");
  app.add_option("--protocol", s.protocol, "force Lockstep's protocol");
  app.add_flag("--alone", s.alone, "the floors only, without Lockstep");
  app.add_option("--json", s.json, "write the results to this file as well");
  CLI11_PARSE(app, argc, argv);
  try {
    s.sizes = bench::listSizes({bench::parseSize(s.begin), bench::parseSize(s.end), 0, s.factor});
    // Two blocks of whole elements; of whole cache lines, where loops may stream.
    for (std::size_t& bytes : s.sizes)
      bytes = roundUp(bytes, 2 * (bytes < 1024 ? sizeof(float) : kCacheLine));
    if (!s.json.empty() && !std::ofstream(s.json, std::ios::app))
      fail(ErrorCode::system, "cannot write {}", s.json);
    // The registered buffers, and the slots of every contest.
    Pair pair(2 * roundUp(s.maxBytes(), kPage) + kContests * kSlotRoom);
    return runBoth(pair, s);
  } catch (const std::exception& e) {
    fmt::print(stderr, "floors: {}\n", e.what());
    return 1;
  }
}

}  // namespace
}  // namespace lockstep::floors

int main(int argc, char** argv) {
  return lockstep::floors::main(argc, argv);
}
