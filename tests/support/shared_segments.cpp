#include "support/shared_segments.hpp"

#include <algorithm>
#include <fstream>
#include <string>

namespace lockstep::testing {

Segments Segments::mapped(const Segments& before) {
  const auto isOld = [&](std::byte* at) {
    return std::ranges::count(before.writable, at) + std::ranges::count(before.readable, at) != 0;
  };
  Segments found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:lockstep (deleted)") == std::string::npos) continue;
    auto* at = reinterpret_cast<std::byte*>(std::stoull(line, nullptr, 16));  // NOLINT
    if (isOld(at)) continue;
    (line.find(" rw-s ") != std::string::npos ? found.writable : found.readable).push_back(at);
  }
  return found;
}

}  // namespace lockstep::testing
