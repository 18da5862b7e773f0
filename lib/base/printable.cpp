#include "base/printable.hpp"

#include "base/utf8.hpp"

namespace lockstep {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr std::string_view kEllipsis = "\xe2\x80\xa6";     // U+2026

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
    const Utf8Character character = firstCharacter(text);
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
