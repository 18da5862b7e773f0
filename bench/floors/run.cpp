#include "bench/floors/run.hpp"

#include <array>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>

#include "bench/floors/contest.hpp"
#include "bench/floors/floors.hpp"
#include "bench/floors/lockstep_loop.hpp"
#include "bench/floors/primitives.hpp"
#include "bench/floors/small.hpp"
#include "bench/floors/transfer.hpp"
#include "bench/sizes.hpp"
#include "bench/tasks.hpp"

namespace lockstep::floors {
namespace {

/// Those with floors besides all-reduce, and the groups of these.
constexpr std::array kOthers{Collective::broadcast, Collective::allGather, Collective::allToAll,
                             Collective::reduceScatter};
constexpr std::array kOtherGroups{Group::registered, Group::ordinary};
/// Contests of the groups of all-reduce, and of the others.
constexpr std::size_t kContests = 3 + kOthers.size() * kOtherGroups.size();

/// One rank's part of contests. Rank 0 prints.
class Contests {
 public:
  Contests(Team& team, const Settings& settings, nlohmann::json& json)
      : team_(team), settings_(settings), json_(json) {}

  template <class Ranks>
  void run(Ranks& ranks, Collective op, Group group, const std::vector<FloorOf<Ranks>>& floors) {
    const std::size_t bytes = settings_.maxBytes(), count = bytes / sizeof(float);
    const bool isShared = group == Group::registered;
    const Mapping privateIn = Mapping::anonymous(isShared ? kPage : bytes);
    const Mapping privateOut = Mapping::anonymous(isShared ? kPage : bytes);
    float* in = isShared ? shared(sharedIn_) : reinterpret_cast<float*>(privateIn.data());
    float* out = isShared ? shared(sharedOut_) : reinterpret_cast<float*>(privateOut.data());
    fill(in, count);

    std::vector<std::unique_ptr<Loop>> loops;
    std::vector<Contender> contenders;
    for (const FloorOf<Ranks>& floor : floors) {
      loops.push_back(floor.make(ranks, std::min(bytes, floor.maxBytes) / sizeof(float)));
      contenders.push_back(
          {floor.name, floor.minBytes, floor.maxBytes, loops.back().get(), in, out});
    }
    if (settings_.alone) {
      standings(op, group, contenders, nullptr, nullptr);
      return;
    }
    const std::unique_ptr<LockstepLoop> lockstep = joinLockstep(team_, optionsFor(group), op);
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

 private:
  template <class... Args>
  void print(fmt::format_string<Args...> text, Args&&... args) const {
    if (team_.rank() != 0) return;
    fmt::print(text, std::forward<Args>(args)...);
    std::fflush(stdout);
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
    if (buffer == nullptr) buffer = team_.takeShared<float>(settings_.maxBytes() / sizeof(float));
    return buffer;
  }

  void standings(Collective op, Group group, const std::vector<Contender>& contenders,
                 const Contender* challenger, const Communicator* communicator) {
    print(
        "\n{}, {} buffers, f32{}, {} ranks on 2 cores\n{:>10} {:>11} {:>11} {:>6} {:>15} {:>8}  "
        "{}\n",
        lockstep::name(op), name(group), contractOf(op).reduces ? " sum" : "", team_.ranks(),
        "size", "floor us", "Lockstep us", "ratio", "95 %", "flag ns", "floor | plan");
    for (const std::size_t bytes : settings_.sizes) {
      const Standing s = compete(team_, op, contenders, challenger, bytes, settings_.samples);
      std::string plan;
      if (communicator != nullptr) {
        const Plan p = communicator->plan(
            op, bytes / sizeof(float) / bench::blocksOf(bench::operationOf(op), team_.ranks()),
            DataType::f32, group == Group::registered);
        plan = fmt::format(" | {} {}", p.algorithm, p.protocol);
      }
      print("{:>10} {:>11.2f} {:>11} {:>6} {:>15} {:>8.0f}  {}{}\n",
            bench::formatBytes(static_cast<double>(bytes)), s.floorSeconds * 1e6,
            s.compared ? fmt::format("{:.2f}", s.seconds * 1e6) : "-",
            s.compared ? fmt::format("{:.2f}", s.ratio.value) : "-",
            s.compared
                ? fmt::format("{:.2f} to {:.2f}", s.ratio.interval.low, s.ratio.interval.high)
                : "-",
            s.flagSeconds * 1e9, s.floor, plan);
      record(op, group, s, plan);
    }
  }

  void record(Collective op, Group group, const Standing& s, const std::string& plan) {
    nlohmann::json line{{"op", lockstep::name(op)},
                        {"group", name(group)},
                        {"ranks", team_.ranks()},
                        {"bytes", s.bytes},
                        {"floor", s.floor},
                        {"floorSeconds", s.floorSeconds},
                        {"flagSeconds", s.flagSeconds}};
    if (s.compared)
      line.update({{"seconds", s.seconds},
                   {"ratio", s.ratio.value},
                   {"low", s.ratio.interval.low},
                   {"high", s.ratio.interval.high},
                   {"plan", plan}});
    json_["standings"].push_back(std::move(line));
  }

  void fill(float* in, std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) in[i] = patternAt(i, team_.rank());
  }

  Team& team_;
  const Settings& settings_;
  nlohmann::json& json_;
  float *sharedIn_ = nullptr, *sharedOut_ = nullptr;
};

std::vector<Floor> floorsOf(Collective op, Group group) {
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

nlohmann::json primitives(Pair& pair) {
  const bool prints = pair.rank() == 0;
  if (prints) fmt::print("{:<46} {:>10} {:>14}\n", "primitives", "one core", "each of both");
  const auto cell = [](double v) { return std::isnan(v) ? "-" : fmt::format("{:.1f}", v); };
  nlohmann::json lines;
  for (const Primitive& p : measurePrimitives(pair)) {
    if (prints)
      fmt::print("{:<46} {:>10} {:>14} {}\n", p.name, cell(p.oneCore), cell(p.bothCores), p.unit);
    lines.push_back(
        {{"name", p.name}, {"oneCore", p.oneCore}, {"eachOfBoth", p.bothCores}, {"unit", p.unit}});
  }
  return lines;
}

}  // namespace

std::size_t sideOfPair(const Settings& settings) {
  return 2 * roundUp(settings.maxBytes(), kPage) + kContests * kSlotRoom;
}

nlohmann::json runPair(Pair& pair, const Settings& settings) {
  nlohmann::json json;
  if (settings.wants("primitives")) json["primitives"] = primitives(pair);
  Contests contests(pair, settings, json);
  for (const Group group : {Group::registered, Group::ordinary, Group::sealed})
    if (settings.wants(name(group)))
      contests.run(pair, Collective::allReduce, group, floorsOf(Collective::allReduce, group));
  for (const Collective op : kOthers)
    for (const Group group : kOtherGroups)
      if (settings.wants(lockstep::name(op))) contests.run(pair, op, group, floorsOf(op, group));
  if (settings.wants("small")) json["small"] = reportSmall(pair, settings.samples);
  return json;
}

nlohmann::json runTeam(Team& team, const Settings& settings) {
  nlohmann::json json;
  Contests(team, settings, json)
      .run(team, Collective::allReduce, Group::sealed, sealedTeamFloors());
  return json;
}

}  // namespace lockstep::floors
