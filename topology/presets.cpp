// Which preset.
#include "base/fail.hpp"
#include "topology/names.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {

const Preset& findPreset(std::string_view name) {
  for (const Preset* preset : allPresets())
    if (preset->name == name) return *preset;
  fail(ErrorCode::invalidArgument, "no preset \"{}\"; expected one of: {}", name,
       namesOf(allPresets()));
}

}  // namespace lockstep::topology
