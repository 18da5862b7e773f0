#include "topology/inventory/bus_id.hpp"

#include <charconv>

#include <fmt/format.h>

namespace lockstep::topology {
namespace {

/// The hexadecimal number of at most `mostDigits` that is all of `text`.
template <class Number>
bool parseHex(std::string_view text, std::size_t mostDigits, Number& value) {
  if (text.empty() || text.size() > mostDigits) return false;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  return error == std::errc() && stop == end;
}

}  // namespace

std::optional<BusId> parseBusId(std::string_view text) {
  BusId id;
  const std::size_t dot = text.rfind('.');
  const std::size_t deviceColon = text.rfind(':');
  if (dot == std::string_view::npos || deviceColon == std::string_view::npos || dot < deviceColon)
    return std::nullopt;
  std::string_view busText = text.substr(0, deviceColon);
  if (const std::size_t busColon = busText.rfind(':'); busColon != std::string_view::npos) {
    if (!parseHex(busText.substr(0, busColon), 8, id.domain)) return std::nullopt;
    busText.remove_prefix(busColon + 1);
  }
  const bool whole = parseHex(busText, 2, id.bus) &&
                     parseHex(text.substr(deviceColon + 1, dot - deviceColon - 1), 2, id.device) &&
                     parseHex(text.substr(dot + 1), 1, id.function);
  if (!whole) return std::nullopt;
  return id;
}

std::string print(const BusId& id) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", id.domain, id.bus, id.device, id.function);
}

}  // namespace lockstep::topology
