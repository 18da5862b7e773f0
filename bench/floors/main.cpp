// floors: what this machine can do at all, and Lockstep beside it.
#include <fstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "bench/floors/aead.hpp"
#include "bench/floors/floors.hpp"
#include "bench/floors/handshake.hpp"
#include "bench/floors/masked.hpp"
#include "bench/floors/processes.hpp"
#include "bench/floors/run.hpp"
#include "bench/floors/settings.hpp"
#include "bench/sizes.hpp"

namespace lockstep::floors {
namespace {

constexpr int kTeam = 4;
constexpr int kBadInput = 2;  ///< exit status, as ccbench's

/// Adds the parts of a run to those of others; standings are one list.
void merge(nlohmann::json& all, const nlohmann::json& parts) {
  for (const auto& [name, part] : parts.items())
    if (part.is_array())
      for (const auto& line : part) all[name].push_back(line);
    else
      all[name] = part;
}

nlohmann::json measure(const Settings& s) {
  nlohmann::json all = nlohmann::json::object();
  if (s.wants("aead"))
    merge(all, runRanks(1, [&](int, int cpu) {
            pinTo(cpu);
            return nlohmann::json{{"aead", reportAead(s.samples)}};
          }));
  if (s.wants("masked"))
    merge(all, runRanks(1, [&](int, int cpu) {
            pinTo(cpu);
            return nlohmann::json{{"masked", reportMasked(s.samples)}};
          }));
  if (s.wants("handshake")) all["handshake"] = reportHandshake(s.samples);
  if (s.wantsAny(kPartsOfTwo)) {
    Pair pair(sideOfPair(s));
    merge(all, runRanks(2, [&](int rank, int cpu) {
            pair.enter(rank, cpu);
            return runPair(pair, s);
          }));
  }
  if (s.wantsAny(kPartsOfTeam)) {
    Team team(kTeam, kSlotRoom, Waiting::yield);
    merge(all, runRanks(kTeam, [&](int rank, int cpu) {
            team.enter(rank, cpu);
            return runTeam(team, s);
          }));
  }
  return all;
}

void write(const nlohmann::json& json, const std::string& path) {
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  file.close();
  if (!file) fail(ErrorCode::system, "cannot write {}", path);
}

std::vector<std::string> partNames() {
  std::vector<std::string> names{"all", "cc"};
  for (const auto* parts : {&kPartsOfOne, &kPartsOfTwo, &kPartsOfTeam})
    names.insert(names.end(), parts->begin(), parts->end());
  return names;
}

int main(int argc, char** argv) {
  Settings s;
  CLI::App app("What this machine can do at all, by hand-made loops, and Lockstep beside it");
  app.add_option("-b,--begin", s.begin, "smallest message (8, 4K, 1M)")->capture_default_str();
  app.add_option("-e,--end", s.end, "largest message")->capture_default_str();
  app.add_option("-f,--factor", s.factor, "from one size to the next")->capture_default_str();
  app.add_option("--which", s.which,
                 "what to measure: buffers of all-reduce, other collectives, parts; cc: all that "
                 "says what encryption costs (a list)")
      ->delimiter(',')
      ->check(CLI::IsMember(partNames()))
      ->capture_default_str();
  app.add_option("--samples", s.samples, "batches per size")
      ->check(CLI::Range(6, 10000))
      ->capture_default_str();
  app.add_option("--algo", s.algorithm, "force Lockstep's algorithm");
  app.add_option("--protocol", s.protocol, "force Lockstep's protocol");
  app.add_flag("--alone", s.alone, "the floors only, without Lockstep");
  app.add_option("--json", s.json, "write the results to this file as well");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // or a call for help, which is none
    return app.exit(error) == 0 ? 0 : kBadInput;
  }
  try {
    s.sizes = bench::listSizes({bench::parseSize(s.begin), bench::parseSize(s.end), 0, s.factor});
    // Two blocks of whole elements; of whole cache lines, where loops may stream.
    for (std::size_t& bytes : s.sizes)
      bytes = roundUp(bytes, 2 * (bytes < 1024 ? sizeof(float) : kCacheLine));
    if (!s.json.empty() && !std::ofstream(s.json, std::ios::app))
      fail(ErrorCode::system, "cannot write {}", s.json);
    const nlohmann::json all = measure(s);
    if (!s.json.empty()) write(all, s.json);
    return 0;
  } catch (const bench::UsageError& e) {
    fmt::print(stderr, "floors: {}\n", e.what());
    return kBadInput;
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
