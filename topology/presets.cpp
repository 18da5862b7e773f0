// Which preset.
#include <string>

#include "base/fail.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {
namespace {

std::string namesOfPresets() {
  std::string names;
  for (const Preset* preset : allPresets()) {
    if (!names.empty()) names += ", ";
    names += preset->name;
  }
  return names;
}

}  // namespace

const Preset& findPreset(std::string_view name) {
  for (const Preset* preset : allPresets())
    if (preset->name == name) return *preset;
  fail(ErrorCode::invalidArgument, "no preset \"{}\"; expected one of: {}", name, namesOfPresets());
}

}  // namespace lockstep::topology
