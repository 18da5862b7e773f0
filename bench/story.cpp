// One paragraph that says what the numbers mean.
#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "bench/report.hpp"
#include "bench/wrap.hpp"

namespace lockstep::bench {
namespace {

std::string amount(double microseconds) {
  if (microseconds < 1000) return fmt::format("{:.3g} us", microseconds);
  return fmt::format("{:.3g} ms", microseconds / 1000);
}

std::string change(double ratio) {
  const double percent = (ratio - 1) * 100;
  if (std::fabs(percent) < 0.5) return "the same as";
  return fmt::format("{:.0f}% {} than", std::fabs(percent), percent > 0 ? "more" : "less");
}

std::string share(double part, double whole) {
  return fmt::format("{:.0f}%", 100 * part / whole);
}

/// Why a sealed call takes as long as it does: its parts by themselves, and what they leave over.
std::string why(const Bound& bound, double time) {
  const double rest = time - bound.total();
  const std::array<std::pair<double, const char*>, 4> parts{
      {{bound.crypto, "AES-GCM"},
       {bound.copies, "the copies across the trust boundary"},
       {bound.reduce, "the reduction"},
       {rest,
        "outside the bound: fixed work per record and call, waiting for peers and for cores"}}};
  const auto largest = std::max_element(parts.begin(), parts.end(),
                                        [](auto& a, auto& b) { return a.first < b.first; });
  std::string text =
      fmt::format("AES-GCM by itself is {} of that, the copies {}, the reduction {}",
                  share(bound.crypto, time), share(bound.copies, time), share(bound.reduce, time));
  if (rest >= 0) return text + fmt::format("; the largest part is {}", largest->second);
  return text +
         "; together more than the time: the rates are of long streams, measured once, and this "
         "call ran faster (caches, or a machine that was busier then)";
}

std::string atSize(const Report& report, const RunResult& result, const Row& row,
                   std::size_t mode) {
  const Series &series = row.series[mode], &base = row.series.front();
  const double time = median(series.samples);
  const Contender& contender = result.contenders[mode];
  std::string text = fmt::format(
      " At {} it takes {}, {} p2p's {}", formatBytes(static_cast<double>(row.bytes)), amount(time),
      change(comparedWith(series, base).value), amount(median(base.samples)));
  if (contender.sealed)
    text += ": " +
            why(boundOf(row, series, result.rates, report.config.ranks, report.config.cores), time);
  return text + '.';
}

/// Small, medium and large: the ends of the first type's table, and the row nearest 64 KiB.
std::vector<const Row*> examples(const RunResult& result) {
  std::vector<const Row*> rows;
  for (const Row& row : result.rows)
    if (row.type == result.rows.front().type && row.reduction == result.rows.front().reduction)
      rows.push_back(&row);
  const auto distance = [](const Row* row) {
    return std::fabs(std::log2(static_cast<double>(row->bytes)) - 16);
  };
  const Row* medium = *std::min_element(
      rows.begin(), rows.end(), [&](auto* a, auto* b) { return distance(a) < distance(b); });
  std::vector<const Row*> chosen{rows.front()};
  if (medium != rows.front() && medium != rows.back()) chosen.push_back(medium);
  if (rows.size() > 1) chosen.push_back(rows.back());
  return chosen;
}

}  // namespace

std::string storyText(const Report& report) {
  const RunResult& result = report.runs.front().result;
  std::string text;
  for (std::size_t c = 1; c < result.contenders.size(); ++c) {
    if (result.contenders[c].rival) continue;
    std::string story = fmt::format("What {} costs here ({}, {} ranks).", result.contenders[c].name,
                                    result.contenders[c].provenance, report.config.ranks);
    for (const Row* row : examples(result)) story += atSize(report, result, *row, c);
    text += '\n' + wrap("", story);
  }
  return text;
}

}  // namespace lockstep::bench
