#include "topology/readers/xml/text.hpp"

#include <cstddef>

#include "base/utf8.hpp"

namespace lockstep::topology::xml {
namespace {

constexpr std::size_t kLongestShown = 60;

bool continues(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

}  // namespace

bool isUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const Utf8Character character = firstCharacter(bytes);
    if (!character.sound) return false;
    bytes.remove_prefix(character.bytes);
  }
  return true;
}

std::string asUtf8(std::string_view bytes) {
  if (isUtf8(bytes)) return std::string(bytes);
  std::string text;
  while (!bytes.empty()) {
    const Utf8Character character = firstCharacter(bytes);
    text += character.sound ? bytes.substr(0, character.bytes) : "\xef\xbf\xbd";
    bytes.remove_prefix(character.bytes);
  }
  return text;
}

std::string shown(std::string_view bytes) {
  std::string text = asUtf8(bytes.substr(0, kLongestShown + 4));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (text.size() <= kLongestShown) return text;
  std::size_t end = kLongestShown;
  while (end > 0 && continues(text[end])) --end;
  return text.substr(0, end) + "...";
}

}  // namespace lockstep::topology::xml
