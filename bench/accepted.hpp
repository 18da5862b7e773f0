// Which numbers an option takes, checked in words that say so before CLI11 cannot convert them.
#pragma once

#include <charconv>
#include <string>
#include <type_traits>

#include <fmt/format.h>

namespace lockstep::bench {

/// For CLI::Option::check: numbers from `least` to `most`.
template <class Number>
auto accepted(Number least, Number most) {
  return [least, most](const std::string& text) {
    const char* end = text.data() + text.size();
    Number value{};
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc{} && stop == end && value >= least && value <= most)
      return std::string();
    return fmt::format("takes a {} from {} to {}, not '{}'",
                       std::is_integral_v<Number> ? "whole number" : "number", least, most, text);
  };
}

}  // namespace lockstep::bench
