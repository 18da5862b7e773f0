// Texts of machines, changed at random as an enemy or a broken disk would: the same for the same
// seed.
#pragma once

#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace lockstep::topology {

inline constexpr std::string_view kTokens[] = {"<",
                                               ">",
                                               "/>",
                                               "\"",
                                               "=",
                                               "&#0;",
                                               "&lt;",
                                               "<pci ",
                                               "</pci>",
                                               "<gpu/>",
                                               "<nic>",
                                               "<cpu ",
                                               "-1",
                                               "0x",
                                               "1e300",
                                               "<![CDATA[",
                                               "]]>",
                                               "<!--",
                                               "-->",
                                               "<?xml",
                                               "<!DOCTYPE x [",
                                               "busid=\"0000:06:00.0\"",
                                               "host=\"x\"",
                                               "count=\"4294967297\""};

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  std::string mutated(std::string text) {
    for (std::size_t i = 1 + below(4); i > 0; --i) mutate(text);
    return text;
  }

 private:
  std::size_t below(std::size_t end) { return end == 0 ? 0 : random_() % end; }

  void mutate(std::string& text) {
    const std::size_t at = below(text.size());
    switch (below(6)) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1U << below(8)));
        break;
      case 1:
        text.resize(at);
        break;
      case 2:
        text.insert(at, text.substr(below(text.size()), below(200)));
        break;
      case 3:
        text.erase(at, below(100));
        break;
      case 4:
        text.insert(at, kTokens[below(std::size(kTokens))]);
        break;
      default:
        swapTags(text);
    }
  }

  std::pair<std::size_t, std::size_t> tag(const std::string& text) {
    const std::size_t begin = text.find('<', below(text.size()));
    const std::size_t end = text.find('>', begin);
    if (begin == std::string::npos || end == std::string::npos) return {0, 0};
    return {begin, end + 1 - begin};
  }

  void swapTags(std::string& text) {
    auto one = tag(text);
    auto other = tag(text);
    if (one > other) std::swap(one, other);
    if (one.second == 0 || other.second == 0 || one == other) return;
    const std::string first = text.substr(one.first, one.second);
    const std::string second = text.substr(other.first, other.second);
    text.replace(other.first, other.second, first);
    text.replace(one.first, one.second, second);
  }

  std::mt19937 random_;
};

}  // namespace lockstep::topology
