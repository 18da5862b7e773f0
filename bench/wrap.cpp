#include "bench/wrap.hpp"

#include <algorithm>

namespace lockstep::bench {

std::string wrap(const std::string& first, const std::string& text, std::size_t indent) {
  std::string out = first;
  std::size_t column = first.size();
  bool fresh = true;  // nothing on this line yet but its indent
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
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

}  // namespace lockstep::bench
