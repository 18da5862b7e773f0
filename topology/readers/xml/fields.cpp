#include "topology/readers/xml/fields.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "topology/readers/xml/text.hpp"

namespace lockstep::topology::xml {
namespace {

template <class Number, class... How>
std::optional<Number> parseAll(std::string_view text, How... how) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, how...);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

bool hasHexPrefix(std::string_view text) {
  return text.starts_with("0x") || text.starts_with("0X");
}

}  // namespace

std::optional<std::int64_t> parseNumber(std::string_view text) {
  if (!hasHexPrefix(text)) return parseAll<std::int64_t>(text, 10);
  const auto value = parseHexadecimal(text, 15);
  if (!value) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

std::optional<std::uint64_t> parseHexadecimal(std::string_view text, std::size_t digits) {
  if (hasHexPrefix(text)) text.remove_prefix(2);
  if (text.size() > digits) return std::nullopt;
  return parseAll<std::uint64_t>(text, 16);
}

std::optional<double> parseFraction(std::string_view text) {
  const auto value = parseAll<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

Fields::Fields(const Element& element, Report& report)
    : element_(element), report_(report), left_(element.attributes()) {}

std::optional<std::string> Fields::take(std::string_view name) {
  const auto found = std::find_if(left_.begin(), left_.end(),
                                  [&](const auto& attribute) { return attribute.first == name; });
  if (found == left_.end()) return std::nullopt;
  std::string value = std::move(found->second);
  left_.erase(found);
  return value;
}

std::string Fields::text(std::string_view name) {
  return take(name).value_or("");
}

std::int64_t Fields::number(std::string_view name, Range range, std::int64_t unknown) {
  const std::string written = text(name);
  if (written.empty()) return unknown;
  const auto value = parseNumber(written);
  if (value && ((*value >= range.least && *value <= range.most) || *value == unknown))
    return *value;
  refuse(name, written, fmt::format("a number from {} to {}", range.least, range.most));
  return unknown;
}

std::optional<std::uint32_t> Fields::hexadecimal(std::string_view name, std::size_t digits) {
  const std::string written = text(name);
  if (written.empty()) return std::nullopt;
  const auto value = parseHexadecimal(written, digits);
  if (value) return static_cast<std::uint32_t>(*value);
  refuse(name, written, fmt::format("up to {} hexadecimal digits", digits));
  return std::nullopt;
}

double Fields::fraction(std::string_view name, double least, double most) {
  const std::string written = text(name);
  if (written.empty()) return 0;
  const auto value = parseFraction(written);
  if (value && *value >= least && *value <= most) return *value;
  refuse(name, written, fmt::format("a number from {} to {}", least, most));
  return 0;
}

bool Fields::flag(std::string_view name) {
  return number(name, {0, 1}, 0) == 1;
}

void Fields::refuse(std::string_view name, std::string_view value, std::string_view expected,
                    std::string_view consequence) {
  report_.remark(element_.offset(), "<{}> {}=\"{}\": expected {}; {}", element_.name(), name,
                 shown(value), expected, consequence);
}

std::string Fields::require(std::string_view name, std::string_view expected) {
  std::optional<std::string> value = take(name);
  if (!value)
    report_.fail(element_.offset(), "<{}> without {}; expected {}", element_.name(), name,
                 expected);
  return *std::move(value);
}

void Fields::fail(std::string_view name, std::string_view value, std::string_view expected) const {
  report_.fail(element_.offset(), "<{}> {}=\"{}\": expected {}", element_.name(), name,
               shown(value), expected);
}

}  // namespace lockstep::topology::xml
