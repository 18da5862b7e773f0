// The prelude with its text changed in places: what tests must be able to notice, and what the
// product must not be able to do.
#pragma once

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

#include "cuda/temporary_folder.hpp"
#include "executor/cuda/prelude.hpp"

namespace lockstep::testing {

class ChangedPrelude {
 public:
  struct Change {
    std::string_view from;  ///< in the file exactly once
    std::string_view to;
  };
  /// `file`: "sealed.cuh".
  ChangedPrelude(std::string_view file, std::initializer_list<Change> changes) {
    bool found = false;
    for (const cuda::PreludeFile& each : cuda::prelude()) {
      const std::filesystem::path path = folder_.path() / each.name;
      std::filesystem::create_directories(path.parent_path());
      std::string text(each.text);
      if (path.filename() == file) {
        found = true;
        for (const Change& change : changes) apply(change, text);
      }
      std::ofstream(path) << text;
    }
    if (!found) throw std::logic_error("no file " + std::string(file));
  }
  /// For HostBuild::root.
  std::string root() const { return folder_.path(); }

 private:
  static void apply(const Change& change, std::string& text) {
    const std::size_t at = text.find(change.from);
    if (at == std::string::npos || text.find(change.from, at + 1) != std::string::npos)
      throw std::logic_error("not once in the prelude: " + std::string(change.from));
    text.replace(at, change.from.size(), change.to);
  }

  cuda::TemporaryFolder folder_;
};

}  // namespace lockstep::testing
