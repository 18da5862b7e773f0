// A folder that looks like /sys, for as long as it lives.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>

#include "topology/probes/probe.hpp"

namespace lockstep::topology {

class FakeSys {
 public:
  FakeSys() {
    std::string name = (std::filesystem::temp_directory_path() / "lockstep-sys-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    root_ = std::filesystem::canonical(name);
  }
  FakeSys(const FakeSys&) = delete;
  FakeSys& operator=(const FakeSys&) = delete;
  ~FakeSys() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  Surroundings surroundings() const {
    Surroundings here;
    here.sys = root_;
    here.proc = root_ / "proc";
    here.nvml = "no-such-library.so";
    return here;
  }

  /// Files of these contents in a folder.
  void put(const std::string& folder, const std::map<std::string, std::string>& attributes) const {
    std::filesystem::create_directories(root_ / folder);
    for (const auto& [name, contents] : attributes)
      std::ofstream(root_ / folder / name) << contents;
  }

  void link(const std::string& path, const std::string& target) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::filesystem::create_directory_symlink(root_ / target, root_ / path);
  }

  /// A PCI function at this path below devices/, "pci0000:00/0000:00:01.0", with its entry in
  /// bus/pci/devices.
  void pci(const std::string& path, const std::map<std::string, std::string>& attributes) const {
    put("devices/" + path, attributes);
    link("bus/pci/devices/" + std::filesystem::path(path).filename().string(), "devices/" + path);
  }

  const std::filesystem::path& root() const { return root_; }

 private:
  std::filesystem::path root_;
};

}  // namespace lockstep::topology
