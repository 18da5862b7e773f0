// Sets of CPUs and of NUMA nodes, as hwloc writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::topology::hwloc_xml {

class NumberSet {
 public:
  /// More than Linux can be built for (8192 CPUs).
  static constexpr std::size_t kMostNumbers = 16384;

  /// "0x000000ff,,0x1": groups of 32 bits, highest first. Nothing where it is anything else, has
  /// numbers above kMostNumbers, or is without end ("0xf...f").
  static std::optional<NumberSet> parse(std::string_view text);

  bool empty() const { return groups_.empty(); }
  /// Groups of 32 up to the highest number.
  std::size_t groups() const { return groups_.size(); }
  /// In ascending order.
  std::vector<int> numbers() const;
  /// As the kernel writes masks, of at least this many groups: "00000000,00ffffff".
  std::string mask(std::size_t groups) const;
  friend auto operator<=>(const NumberSet&, const NumberSet&) = default;

 private:
  std::vector<std::uint32_t> groups_;  // lowest first; the last is not 0
};

}  // namespace lockstep::topology::hwloc_xml
