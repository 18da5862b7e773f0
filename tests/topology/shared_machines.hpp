// Recorded machines, which are not part of the repository: those of LOCKSTEP_SHARED_DIR.
#pragma once

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace lockstep::topology {

inline constexpr std::array<std::string_view, 6> kSharedNcclXml{
    "a100x4-pcie-nvlink-pairs.xml",  "a100x8-vm-hint.xml",
    "amd-8p-mi300-xgmi.xml",         "amd-8p-pcie.xml",
    "h100x8-nvswitch-baremetal.xml", "p4d-a100x8-vm-hint.xml"};

inline std::string sharedMachine(std::string_view name) {
  return LOCKSTEP_SHARED_DIR "/topologies/" + std::string(name);
}

inline bool hasSharedMachines() {
  return std::filesystem::exists(sharedMachine(kSharedNcclXml[0]));
}

inline std::string contentsOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace lockstep::topology

/// In a test that needs them.
#define LOCKSTEP_NEED_SHARED_MACHINES()           \
  if (!::lockstep::topology::hasSharedMachines()) \
  GTEST_SKIP() << "no recorded machines in " LOCKSTEP_SHARED_DIR
