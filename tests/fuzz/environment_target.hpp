// Any values of the variables that launchers and users set: a place in a world and sound options,
// or an error that names a variable.
#pragma once

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "bootstrap/launch.hpp"
#include "communicator/settings.hpp"
#include "fuzz/input.hpp"
#include <lockstep/error.hpp>

namespace lockstep::fuzz {

/// No zero in it, as in any variable.
inline std::string valueOf(Input& input) {
  const unsigned how = input.byte();
  if (how < 128) return std::to_string(static_cast<int>(how % 16) - 1);
  std::string text;
  for (const std::byte b : input.bytes(how % 24))
    if (b != std::byte{0}) text += static_cast<char>(b);
  return text;
}

inline void launcherVariables(Input& input) {
  static constexpr const char* kNames[] = {"LOCKSTEP_RANK",
                                           "LOCKSTEP_WORLD_SIZE",
                                           "LOCKSTEP_JOB",
                                           "RANK",
                                           "WORLD_SIZE",
                                           "LOCAL_WORLD_SIZE",
                                           "MASTER_PORT",
                                           "OMPI_COMM_WORLD_RANK",
                                           "OMPI_COMM_WORLD_SIZE",
                                           "OMPI_COMM_WORLD_LOCAL_SIZE",
                                           "PMI_RANK",
                                           "PMI_SIZE",
                                           "SLURM_PROCID",
                                           "SLURM_NTASKS",
                                           "SLURM_STEP_NUM_NODES"};
  std::map<std::string, std::string> set;
  for (std::size_t n = input.below(12); n > 0; --n) {
    const char* name = kNames[input.below(std::size(kNames))];
    set[name] = valueOf(input);
  }
  try {
    const auto place = launch::detect([&](const char* name) -> const char* {
      const auto found = set.find(name);
      return found == set.end() ? nullptr : found->second.c_str();
    });
    if (!place) return;
    demand(place->rank >= 0 && place->rank < place->worldSize);
    demand(place->localSize.value_or(1) >= 1 && place->hosts.value_or(1) >= 1);
    demand(!launch::toString(*place).empty());
  } catch (const Error& error) {
    demand(error.code() == ErrorCode::invalidArgument);
    const std::string_view text(error.what());
    demand(
        std::ranges::any_of(set, [&](const auto& v) { return text.find(v.first) != text.npos; }));
  }
}

inline void userVariables(Input& input) {
  std::vector<std::string> set;
  for (const Setting& setting : settings()) {
    if (input.byte() % 2 == 0) continue;
    ::setenv(set.emplace_back(setting.name).c_str(), valueOf(input).c_str(), 1);
  }
  try {
    const Options options = withEnvironment({});
    demand(options.timeout.count() >= 1);
  } catch (const Error& error) {
    demand(error.code() == ErrorCode::invalidArgument);
    const std::string_view text(error.what());
    demand(
        std::ranges::any_of(set, [&](const std::string& v) { return text.find(v) != text.npos; }));
  }
  for (const std::string& name : set) ::unsetenv(name.c_str());
}

inline void environment(std::span<const std::byte> bytes) {
  Input input(bytes);
  input.byte() % 2 == 0 ? launcherVariables(input) : userVariables(input);
}

}  // namespace lockstep::fuzz
