#include "bench/sizes.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace lockstep::bench {
namespace {

/// The power of two that a unit stands for, or -1.
int shiftOf(std::string unit) {
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (unit.empty() || unit == "b") return 0;
  const auto magnitude = std::string_view("kmgt").find(unit[0]);
  const std::string_view rest = std::string_view(unit).substr(1);
  if (magnitude == std::string_view::npos || !(rest.empty() || rest == "b" || rest == "ib"))
    return -1;
  return 10 * static_cast<int>(magnitude + 1);
}

}  // namespace

std::size_t parseSize(std::string_view text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const int shift = shiftOf(std::string(end, text.data() + text.size()));
  if (error != std::errc{} || shift < 0)
    throw UsageError(
        fmt::format("'{}' is not a size; give a whole number of bytes, or one with K, "
                    "M or G (powers of 1024): 8, 64K, 4MiB, 1G",
                    text));
  if (number > kMaxMessage >> shift)
    throw UsageError(fmt::format("{} is more than the largest message, 1 TiB", text));
  return number << shift;
}

std::vector<std::size_t> listSizes(const SizeRange& range) {
  if (range.minBytes == 0) throw UsageError("--minbytes must be at least 1");
  if (range.minBytes > range.maxBytes)
    throw UsageError(fmt::format("--minbytes ({}) is above --maxbytes ({})",
                                 formatBytes(static_cast<double>(range.minBytes)),
                                 formatBytes(static_cast<double>(range.maxBytes))));
  if (range.stepBytes == 0 && range.stepFactor < 2)
    throw UsageError("--stepfactor must be a whole number of at least 2");
  std::vector<std::size_t> sizes;
  for (std::size_t bytes = range.minBytes; bytes <= range.maxBytes;
       bytes = range.stepBytes > 0 ? bytes + range.stepBytes : bytes * range.stepFactor) {
    if (sizes.size() == kMaxSizes)
      throw UsageError(
          fmt::format("the range has more than {} sizes; take a larger --stepbytes or "
                      "--stepfactor",
                      kMaxSizes));
    sizes.push_back(bytes);
  }
  return sizes;
}

std::string formatBytes(double bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < units.size()) {
    bytes /= 1024;
    ++unit;
  }
  return bytes == std::floor(bytes) ? fmt::format("{:.0f} {}", bytes, units[unit])
                                    : fmt::format("{:.1f} {}", bytes, units[unit]);
}

}  // namespace lockstep::bench
