#include "topology/readers/smi/threads.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

#include "topology/inventory/thread_mask.hpp"

namespace lockstep::topology::smi {
namespace {

constexpr std::size_t kMostThreads = 16384;

}  // namespace

std::optional<int> takeNumber(std::string_view& text) {
  int number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return number;
}

std::string threadMask(std::string_view list) {
  std::vector<std::uint32_t> words;
  while (!list.empty()) {
    const auto first = takeNumber(list);
    auto last = first;
    if (list.starts_with('-')) {
      list.remove_prefix(1);
      last = takeNumber(list);
    }
    if (!first || !last || (!list.empty() && list.front() != ',')) return {};
    const auto from = static_cast<std::size_t>(*first);
    const auto to = static_cast<std::size_t>(*last);
    if (from > to || to >= kMostThreads) return {};
    words.resize(std::max(words.size(), to / 32 + 1));
    for (std::size_t thread = from; thread <= to; ++thread)
      words[thread / 32] |= std::uint32_t{1} << (thread % 32);
    if (!list.empty()) list.remove_prefix(1);
  }
  return maskOfGroups(words);
}

}  // namespace lockstep::topology::smi
