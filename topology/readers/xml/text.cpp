#include "topology/readers/xml/text.hpp"

#include <cstddef>
#include <cstdint>

namespace lockstep::topology::xml {
namespace {

constexpr std::size_t kLongestShown = 60;

bool continues(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

/// Bytes of the character that `bytes` begins with; 0 where that is none, or is one that UTF-8 may
/// not hold (surrogates, the same character in more bytes than it needs).
std::size_t characterAt(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || bytes.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if (!continues(bytes[i])) return 0;
  const auto second = static_cast<unsigned char>(bytes[1]);
  const bool tooLong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second >= 0xa0;
  const bool beyond = first == 0xf4 && second >= 0x90;
  return tooLong || surrogate || beyond ? 0 : size;
}

}  // namespace

bool isUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t size = characterAt(bytes);
    if (size == 0) return false;
    bytes.remove_prefix(size);
  }
  return true;
}

std::string asUtf8(std::string_view bytes) {
  if (isUtf8(bytes)) return std::string(bytes);
  std::string text;
  while (!bytes.empty()) {
    const std::size_t size = characterAt(bytes);
    text += size == 0 ? "\xef\xbf\xbd" : bytes.substr(0, size);
    bytes.remove_prefix(size == 0 ? 1 : size);
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
