// The attributes of one element, each taken as what it should be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "topology/readers/xml/document.hpp"

namespace lockstep::topology::xml {

/// Both ends are in it.
struct Range {
  std::int64_t least = 0;
  std::int64_t most = 0;
};

/// Numbers are all of their attribute, or nothing: "12abc" is not 12. What is not as it should be
/// is remarked and taken as not known; so is, without a remark, what is missing or empty.
class Fields {
 public:
  Fields(const Element& element, Report& report);

  /// The attribute as it stands.
  std::optional<std::string> take(std::string_view name);
  /// Empty where it is missing.
  std::string text(std::string_view name);
  /// Decimal, or hexadecimal after "0x". `unknown` itself is allowed too.
  std::int64_t number(std::string_view name, Range range, std::int64_t unknown);
  /// Up to `digits` hexadecimal ones, "0x" before them or not.
  std::optional<std::uint32_t> hexadecimal(std::string_view name, std::size_t digits);
  /// A decimal fraction from `least` to `most`; 0 where not known.
  double fraction(std::string_view name, double least, double most);
  /// 0 or 1; false where not known.
  bool flag(std::string_view name);
  /// Remarks that this attribute is not `expected`, and what follows from that.
  void refuse(std::string_view name, std::string_view value, std::string_view expected,
              std::string_view consequence = "taken as not known");
  /// Throws where it is missing: it should have been `expected`.
  std::string require(std::string_view name, std::string_view expected);
  /// Throws: it is there, and is not `expected`.
  [[noreturn]] void fail(std::string_view name, std::string_view value,
                         std::string_view expected) const;

  /// Those that were not taken, in their order.
  Attributes rest() { return std::move(left_); }

 private:
  const Element& element_;
  Report& report_;
  Attributes left_;
};

/// All of `text` as a number, as Fields::number takes it.
std::optional<std::int64_t> parseNumber(std::string_view text);
/// Up to `digits` hexadecimal ones, "0x" before them or not.
std::optional<std::uint64_t> parseHexadecimal(std::string_view text, std::size_t digits);
/// "0.5"; never infinite.
std::optional<double> parseFraction(std::string_view text);

}  // namespace lockstep::topology::xml
