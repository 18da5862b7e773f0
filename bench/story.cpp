// One paragraph that says what the numbers mean.
#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "bench/plans.hpp"
#include "bench/report.hpp"
#include "bench/wrap.hpp"

namespace lockstep::bench {
namespace {

/// An interval around "the same" that reaches further says only that nobody knows.
constexpr double kSameWithin = 0.2;

/// "62% more than p2p's 0.245 us"
std::string beside(const Ratio& ratio, double baseTime) {
  const std::string base = "p2p's " + timeText(baseTime);
  const double percent = (ratio.value - 1) * 100;
  if (std::isinf(ratio.interval.high)) return "after too few samples to compare it with " + base;
  const auto [low, high] = ratio.interval;
  if (low <= 1 && high >= 1) {
    const bool noisy = low < 1 - kSameWithin || high > 1 + kSameWithin;
    return fmt::format("{} from {}{} (95%: {:+.0f} to {:+.0f}%)",
                       noisy ? "not surely different" : "no different", base,
                       noisy ? ": too noisy to tell" : "", (low - 1) * 100, (high - 1) * 100);
  }
  return fmt::format("{:.{}f}% {} than {}", std::fabs(percent), std::fabs(percent) < 1 ? 1 : 0,
                     percent > 0 ? "more" : "less", base);
}

std::string share(double part, double whole) {
  return fmt::format("{:.0f}%", 100 * part / whole);
}

/// Why a sealed call takes as long as it does: its parts by themselves, and what they leave over.
/// By the larger of the bounds that hold: what the parts take in the caches, or where the call is
/// not faster than that, when data streams.
std::string why(const Bound& streaming, const Bound& cached, double time) {
  const bool inCache = time < streaming.total() || streaming.total() < cached.total();
  const Bound& bound = inCache ? cached : streaming;
  const double rest = time - bound.total();
  const std::array<std::pair<double, const char*>, 4> parts{
      {{bound.crypto, "AES-GCM"},
       {bound.copies, "the copies across the trust boundary"},
       {bound.reduce, "the reduction"},
       {rest,
        "outside the bound: fixed work per record and call, waiting for peers and for cores"}}};
  const auto largest = std::max_element(parts.begin(), parts.end(),
                                        [](auto& a, auto& b) { return a.first < b.first; });
  std::string text = fmt::format("AES-GCM by itself is {} of that, the copies {}",
                                 share(bound.crypto, time), share(bound.copies, time));
  if (bound.reduce > 0) text += ", the reduction " + share(bound.reduce, time);
  if (inCache) text += " (all in the caches)";
  if (rest >= 0) return text + fmt::format("; the largest part is {}", largest->second);
  return text +
         "; together more than the time: the machine was slower when the parts were measured";
}

std::string atSize(const Report& report, const Row& row, const Contender& contender,
                   std::size_t mode) {
  const RunConfig& config = report.config;
  const Series &series = row.series[mode], &base = row.series.front();
  const double time = median(series.samples);
  const bool hasData = contractOf(row.op).hasData;
  std::string text =
      (hasData ? fmt::format(" At {} it", formatBytes(static_cast<double>(row.bytes))) : " It") +
      fmt::format(" takes {}, {}", timeText(time),
                  beside(comparedWith(series, base), median(base.samples)));
  if (contender.sealed && row.streaming.seal > 0 && !busyShare(report))
    text += ": " + why(boundOf(row, series, row.streaming, config.ranks, config.cores),
                       boundOf(row, series, row.cached, config.ranks, config.cores), time);
  return text + '.';
}

/// With which earlier mode it shared its plan, and at which sizes: there is nothing to compare.
std::string likeness(const RunResult& result, std::size_t mode) {
  std::string text;
  for (std::size_t other = 0; other < mode; ++other)
    if (const std::string sizes = sizesAlike(result, mode, other); !sizes.empty())
      text += fmt::format(
          " At {} it ran the very plan of {}, byte for byte: what differs "
          "between the two there is noise.",
          sizes, result.contenders[other].name);
  return text;
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

/// One paragraph per mode: `opening(contender)`, then what it takes at the sizes of `rows`.
template <class Opening>
std::string paragraphs(const Report& report, const std::vector<const Row*>& rows, Opening opening) {
  const RunResult& result = report.runs.front().result;
  std::string text;
  for (std::size_t c = 1; c < report.config.modes.size(); ++c) {
    std::string story = opening(result.contenders[c]);
    for (const Row* row : rows)
      if (!ranAlike(*row, c, 0)) story += atSize(report, *row, result.contenders[c], c);
    text += '\n' + wrap("", story + likeness(result, c));
  }
  return text;
}

}  // namespace

std::string storyText(const Report& report) {
  if (report.config.ranks == 1)
    return '\n' + wrap("",
                       "With one rank nothing crosses between ranks: there is nothing to send, to "
                       "seal or to reduce, and every mode copies the input to the output.");
  const NamedRun& run = report.runs.front();
  const std::string which = run.name.empty() ? "one run" : "the run beside " + run.name;
  return paragraphs(report, examples(run.result), [&](const Contender& contender) {
    return fmt::format("What {} costs here ({}, {}; medians of {}).", contender.name,
                       contender.provenance, ranksText(report.config.ranks), which);
  });
}

std::string shortStoryText(const Report& report) {
  if (report.config.ranks == 1) return {};
  return paragraphs(report, {examples(report.runs.front().result).back()},
                    [](const Contender& contender) { return contender.name + ':'; });
}

}  // namespace lockstep::bench
