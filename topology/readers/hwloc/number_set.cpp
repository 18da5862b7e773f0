#include "topology/readers/hwloc/number_set.hpp"

#include <algorithm>
#include <charconv>

#include "topology/inventory/thread_mask.hpp"

namespace lockstep::topology::hwloc_xml {
namespace {

/// "0x000000ff", or nothing at all: 0.
bool parseGroup(std::string_view text, std::uint32_t& group) {
  group = 0;
  if (text.empty()) return true;
  if (!text.starts_with("0x")) return false;
  text.remove_prefix(2);
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, group, 16);
  return error == std::errc() && stop == end;
}

}  // namespace

std::optional<NumberSet> NumberSet::parse(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto groups = static_cast<std::size_t>(std::count(text.begin(), text.end(), ',')) + 1;
  if (groups > kMostNumbers / 32) return std::nullopt;
  NumberSet set;
  set.groups_.resize(groups);
  for (auto group = set.groups_.rbegin(); group != set.groups_.rend(); ++group) {
    const std::size_t comma = std::min(text.find(','), text.size());
    if (!parseGroup(text.substr(0, comma), *group)) return std::nullopt;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  while (!set.groups_.empty() && set.groups_.back() == 0) set.groups_.pop_back();
  return set;
}

std::vector<int> NumberSet::numbers() const {
  std::vector<int> numbers;
  for (std::size_t i = 0; i < groups_.size() * 32; ++i)
    if ((groups_[i / 32] >> (i % 32) & 1U) != 0) numbers.push_back(static_cast<int>(i));
  return numbers;
}

std::string NumberSet::mask(std::size_t groups) const {
  std::vector<std::uint32_t> padded = groups_;
  padded.resize(std::max(groups, groups_.size()));
  return maskOfGroups(padded);
}

}  // namespace lockstep::topology::hwloc_xml
