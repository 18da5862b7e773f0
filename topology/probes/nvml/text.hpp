// Text out of a driver: bounded, and nothing in it that a terminal would obey.
#pragma once

#include <cstddef>
#include <string>

namespace lockstep::topology::nvml {

/// Up to the NUL, or `most` bytes where there is none; "?" for each byte that is not printable
/// ASCII. Of null: "".
inline std::string printable(const char* text, std::size_t most = 256) {
  std::string result;
  for (std::size_t i = 0; text != nullptr && i < most && text[i] != '\0'; ++i)
    result += text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
  return result;
}

}  // namespace lockstep::topology::nvml
