#include "bench/wrap.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace lockstep::bench {
namespace {

/// These stay on the line of their number.
constexpr std::array<std::string_view, 7> kUnits{"B", "KiB", "MiB", "GiB", "us", "ms", "GB/s"};

bool isUnit(std::string_view word) {
  while (!word.empty() && std::string_view(",;:.)").find(word.back()) != std::string_view::npos)
    word.remove_suffix(1);
  return std::find(kUnits.begin(), kUnits.end(), word) != kUnits.end();
}

/// Where the word at `start` ends, with the unit behind it.
std::size_t endOfWord(std::string_view text, std::size_t start) {
  const std::size_t end = std::min(text.find(' ', start), text.size());
  const std::size_t next = std::min(text.find(' ', std::min(end + 1, text.size())), text.size());
  return end < text.size() && isUnit(text.substr(end + 1, next - end - 1)) ? next : end;
}

}  // namespace

std::string wrap(const std::string& first, const std::string& text, std::size_t indent) {
  std::string out = first;
  std::size_t column = first.size();
  bool fresh = true;  // nothing on this line yet but its indent
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = endOfWord(text, start);
    const std::size_t word = end - start;
    if (!fresh && column + 1 + word > kTextWidth) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
      fresh = true;
    }
    if (!fresh) out += ' ';
    column += word + (fresh ? 0 : 1);
    out.append(text, start, word);
    fresh = false;
    start = end + 1;
  }
  return out + '\n';
}

std::string labelled(const std::string& label, const std::string& text) {
  constexpr std::size_t kWidth = 11;
  const std::string padded = label + std::string(kWidth - std::min(label.size(), kWidth - 1), ' ');
  return wrap("  " + padded, text, 2 + padded.size());
}

}  // namespace lockstep::bench
