// What there is to choose from, in words.
#pragma once

#include <span>
#include <string>

namespace lockstep::topology {

/// "dgx-a100, dgx-h100": the names of all readers, presets, ... in the order of their table.
template <class Named>
std::string namesOf(std::span<const Named* const> all) {
  std::string names;
  for (const Named* one : all) {
    if (!names.empty()) names += ", ";
    names += one->name;
  }
  return names;
}

}  // namespace lockstep::topology
