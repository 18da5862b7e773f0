#include "base/printable.hpp"

namespace lockstep {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr std::string_view kEllipsis = "\xe2\x80\xa6";     // U+2026

struct Character {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool sound = false;
};

/// The first of `text`, which is not empty.
Character firstOf(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  char32_t code = lead & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {};
    code = code << 6U | (byte(i) & 0x3fU);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kSmallest[bytes] || code > 0x10ffff || surrogate) return {};
  return {code, bytes, true};
}

/// Of line breaks, and what makes text run from right to left.
bool isMark(char32_t code) {
  return (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/// What XML takes and what can be seen.
bool isVisible(char32_t code) {
  const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  return !control && !isMark(code) && code != 0xfffe && code != 0xffff;
}

std::string visible(std::string_view text, std::size_t most, bool keepsLines) {
  std::string result;
  for (std::size_t count = 0; !text.empty(); ++count) {
    if (count == most) return result.append(kEllipsis);
    const Character character = firstOf(text);
    const bool stays = isVisible(character.code) || (keepsLines && character.code == '\n');
    result += character.sound && stays ? text.substr(0, character.bytes) : kReplacement;
    text.remove_prefix(character.bytes);
  }
  return result;
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  return visible(text, most, false);
}

std::string printableLines(std::string_view text) {
  return visible(text, std::string_view::npos, true);
}

}  // namespace lockstep
