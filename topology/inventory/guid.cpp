#include "topology/inventory/guid.hpp"

#include <charconv>
#include <cstdint>

#include <fmt/format.h>

namespace lockstep::topology {

std::string guidAsNcclWrites(std::string_view text) {
  std::uint64_t swapped = 0;
  int bytes = 0;
  while (!text.empty()) {
    if (text.front() == ':') {
      text.remove_prefix(1);
      continue;
    }
    std::uint8_t byte = 0;
    const char* end = text.data() + 2;
    if (text.size() < 2 || bytes == 8) return {};
    const auto [stop, error] = std::from_chars(text.data(), end, byte, 16);
    if (error != std::errc() || stop != end) return {};
    swapped |= std::uint64_t{byte} << (8 * bytes++);
    text.remove_prefix(2);
  }
  return bytes == 8 && swapped != 0 ? fmt::format("{:#x}", swapped) : std::string();
}

}  // namespace lockstep::topology
