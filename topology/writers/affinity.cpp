#include "topology/writers/affinity.hpp"

#include <charconv>
#include <cstdint>
#include <vector>

#include <fmt/format.h>

#include "base/printable.hpp"

namespace lockstep::topology {
namespace {

constexpr std::size_t kMostWords = 512;
/// A table has it once for each GPU.
constexpr std::size_t kMostOfNoMask = 60;

/// Of a mask of so many words of eight digits.
constexpr std::size_t kLongestMask = kMostWords * 9;

/// From the lowest word; nothing where the text is no mask.
std::vector<std::uint32_t> wordsOf(std::string_view mask) {
  std::vector<std::uint32_t> words;
  if (mask.size() > kLongestMask) return words;
  while (!mask.empty() && words.size() < kMostWords) {
    const std::size_t comma = mask.rfind(',');
    const std::string_view text = comma == std::string_view::npos ? mask : mask.substr(comma + 1);
    std::uint32_t word = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, word, 16);
    if (error != std::errc() || stop != end) return {};
    words.push_back(word);
    mask = comma == std::string_view::npos ? std::string_view() : mask.substr(0, comma);
  }
  return mask.empty() ? words : std::vector<std::uint32_t>();
}

}  // namespace

std::string threadList(std::string_view mask) {
  const std::vector<std::uint32_t> words = wordsOf(mask);
  if (words.empty()) return printable(mask, kMostOfNoMask);
  const std::size_t bits = words.size() * 32;
  const auto isSet = [&](std::size_t bit) { return (words[bit / 32] >> (bit % 32) & 1) != 0; };
  std::string list;
  for (std::size_t bit = 0; bit < bits; ++bit) {
    if (!isSet(bit)) continue;
    const std::size_t first = bit;
    while (bit + 1 < bits && isSet(bit + 1)) ++bit;
    list += fmt::format("{}{}", list.empty() ? "" : ",", first);
    if (bit > first) list += fmt::format("-{}", bit);
  }
  return list;
}

}  // namespace lockstep::topology
