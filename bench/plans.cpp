#include "bench/plans.hpp"

#include <algorithm>
#include <array>
#include <functional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bench/wrap.hpp"

namespace lockstep::bench {
namespace {

struct Meaning {
  const char* name;
  const char* text;
};
constexpr std::array<Meaning, 17> kMeanings{
    {{"direct", "every rank sends what it has straight to whoever gets it"},
     {"one_shot", "every rank sends all it has to every other and reduces everything itself"},
     {"two_shot", "every rank reduces its share of the message, then hands the result round"},
     {"ring", "blocks travel round a ring, first to be reduced, then as results"},
     {"halving_doubling", "pairs exchange halves, quarters, ...; then results the other way"},
     {"halving", "pairs exchange halves, quarters, ... of what is not reduced yet"},
     {"recursive_doubling", "pairs exchange all they have, twice as much at each step"},
     {"tree", "reduced up a tree, handed down it"},
     {"binomial", "along a binomial tree, from the root or to it"},
     {"pairwise", "every rank exchanges blocks with one partner after the other"},
     {"bruck", "blocks travel by way of others: fewer steps, more bytes"},
     {"dissemination", "at each step every rank tells one twice as far away that it has come"},
     {"ll", "low latency: each cache line carries its own flag"},
     {"simple", "tile by tile through slots in shared memory, one flag per tile"},
     {"zero_copy", "peers read the buffer itself; nothing is staged"},
     {"transfers", "sends and receives, all at once; no algorithm chooses who sends to whom"},
     {"by size",
      "short payloads ride in lines, each with its own flag; longer ones lie still and are "
      "fetched, "
      "or go through slots where peers cannot read them, as what is sealed"}}};

bool samePlan(const PlanText& a, const PlanText& b) {
  return a.algorithm == b.algorithm && a.protocol == b.protocol;
}

/// `largest`: message that runs so.
std::string describePlan(const PlanText& plan, const Row& largest) {
  std::string text = plan.algorithm + ' ' + plan.protocol;
  if (plan.tileBytes > 0 && largest.count * sizeOf(largest.type) > plan.tileBytes)
    text += fmt::format(" (tiles of {}, {} in flight)",
                        formatBytes(static_cast<double>(plan.tileBytes)), plan.depth);
  return text;
}

/// Empty without data.
std::string rangeText(const Row& first, const Row& last) {
  if (last.bytes == 0) return {};
  const std::string from = formatBytes(static_cast<double>(first.bytes));
  return &first == &last ? from : from + " to " + formatBytes(static_cast<double>(last.bytes));
}

/// Calls `visit(first, last)` for each longest run of neighbours in the table that belong together.
void eachRange(const std::vector<Row>& rows,
               const std::function<bool(const Row&, const Row&)>& together,
               const std::function<void(const Row&, const Row&)>& visit) {
  for (std::size_t first = 0, last = 0; first < rows.size(); first = ++last) {
    while (last + 1 < rows.size() && rows[last + 1].type == rows[first].type &&
           rows[last + 1].reduction == rows[first].reduction &&
           together(rows[first], rows[last + 1]))
      ++last;
    visit(rows[first], rows[last]);
  }
}

void addOnce(std::vector<std::string>& phrases, std::string phrase) {
  if (std::find(phrases.begin(), phrases.end(), phrase) == phrases.end())
    phrases.push_back(std::move(phrase));
}

/// Whether a communicator decides by its own measurement from where peers read this contender's
/// buffers by process_vm_readv.
bool attaches(const Report& report, const Contender& contender) {
  constexpr int kMostRanks = 16;  // more do not measure (lib/communicator/measure.cpp)
  const RunConfig& config = report.config;
  return !config.gpu && !config.registered && contender.ordinaryPath == "process_vm_readv" &&
         config.protocol.empty() && config.tuningFile.empty() && config.ranks <= kMostRanks;
}

std::string predictedText(double from, double to) {
  return from == to ? timeText(to) : timeText(from) + " to " + timeText(to);
}

/// One line per range of sizes: what runs, and why.
std::string reasonsOf(const RunResult& result, std::size_t contender) {
  const auto seriesOf = [&](const Row& row) -> const Series& { return row.series[contender]; };
  std::string text;
  eachRange(
      result.rows,
      [&](const Row& a, const Row& b) {
        const PlanText &one = seriesOf(a).plan, &other = seriesOf(b).plan;
        return samePlan(one, other) && one.tileBytes == other.tileBytes &&
               one.depth == other.depth && one.reason == other.reason;
      },
      [&](const Row& first, const Row& last) {
        const Series &least = seriesOf(first), &most = seriesOf(last);
        const std::string range = rangeText(first, last);
        std::string line = range + (range.empty() ? "" : " ") + describePlan(most.plan, last);
        if (!most.plan.reason.empty()) line += ": " + most.plan.reason;
        if (most.predictedUs > 0)
          line += "; predicted " + predictedText(least.predictedUs, most.predictedUs);
        text += wrap("    ", line, 6);
      });
  return text;
}

std::string plansOf(const Report& report, const RunResult& result, std::size_t contender) {
  const auto plan = [&](const Row& row) -> const PlanText& { return row.series[contender].plan; };
  std::vector<std::string> phrases;
  eachRange(
      result.rows, [&](const Row& a, const Row& b) { return samePlan(plan(a), plan(b)); },
      [&](const Row& first, const Row& last) {
        const std::string range = rangeText(first, last);
        std::string phrase = range + (range.empty() ? "" : " ") + describePlan(plan(last), last);
        if (plan(last).protocol == "zero_copy" && attaches(report, result.contenders[contender]))
          phrase += " (from a size measured in each run)";
        addOnce(phrases, std::move(phrase));
      });
  return fmt::format("{}", fmt::join(phrases, "; "));
}

bool anySeries(const RunResult& result, const std::function<bool(const Series&)>& is) {
  return std::any_of(result.rows.begin(), result.rows.end(), [&](const Row& row) {
    return std::any_of(row.series.begin(), row.series.end(), is);
  });
}

std::string meaningsOf(const RunResult& result) {
  std::string text;
  for (const Meaning& meaning : kMeanings) {
    const auto uses = [&](const Series& s) {
      return s.plan.algorithm == meaning.name || s.plan.protocol == meaning.name;
    };
    if (anySeries(result, uses)) text += labelled(meaning.name, meaning.text);
  }
  return text;
}

}  // namespace

bool ranAlike(const Row& row, std::size_t a, std::size_t b) {
  const Series &one = row.series[a], &other = row.series[b];
  if (!samePlan(one.plan, other.plan) || one.plan.transport != other.plan.transport) return false;
  if (one.plan.protocol == "zero_copy") return true;
  return one.bytes.moved > 0 && one.bytes.moved == other.bytes.moved &&
         one.bytes.sealed == other.bytes.sealed && one.bytes.opened == other.bytes.opened;
}

std::string sizesAlike(const RunResult& result, std::size_t a, std::size_t b) {
  std::vector<std::string> phrases;
  eachRange(
      result.rows,
      [&](const Row& x, const Row& y) { return ranAlike(x, a, b) == ranAlike(y, a, b); },
      [&](const Row& first, const Row& last) {
        if (ranAlike(first, a, b)) addOnce(phrases, rangeText(first, last));
      });
  return fmt::format("{}", fmt::join(phrases, ", "));
}

std::string planText(const Report& report) {
  const RunResult& result = report.runs.front().result;
  if (report.config.ranks == 1)
    return labelled("plan", "none: with one rank nothing crosses; a call copies input to output");
  std::string text;
  for (std::size_t c = 0; c < result.contenders.size(); ++c) {
    if (result.contenders[c].rival) continue;
    std::string plans = plansOf(report, result, c);
    if (const std::string same = sizesAlike(result, c, 0); c > 0 && !same.empty())
      plans += fmt::format(". {}: the very plan of p2p", same);
    text += labelled("plan", result.contenders[c].name + ": " + plans);
  }
  return text;
}

/// The plans of one operation with their reasons, mode by mode.
std::string reasonText(const Report& report) {
  if (report.config.ranks == 1) return planText(report);
  const RunResult& result = report.runs.front().result;
  std::string text;
  for (std::size_t c = 0; c < result.contenders.size(); ++c)
    if (!result.contenders[c].rival)
      text += "  " + result.contenders[c].name + '\n' + reasonsOf(result, c);
  return text;
}

std::string explainText(const Report& report) {
  std::string text = fmt::format("What would run on {}, {} memory (nothing is run):\n",
                                 ranksText(report.config.ranks),
                                 report.config.registered ? "registered" : "ordinary");
  const RunResult& result = report.runs.front().result;
  for (const Report& op : byOperation(report)) text += titleText(op) + reasonText(op);
  if (anySeries(result, [](const Series& s) { return s.predictedUs > 0; }))
    text +=
        labelled("predicted", "by the cost model, from how fast the machine is: nothing was timed");
  text += '\n' + meaningsOf(result);
  if (anySeries(result, [](const Series& s) { return s.plan.protocol == "zero_copy"; }) &&
      std::any_of(result.contenders.begin(), result.contenders.end(),
                  [&](const Contender& c) { return attaches(report, c); }))
    text += labelled("measured",
                     "from which size zero_copy pays on ordinary memory: by every communicator "
                     "when it is created, so another run may draw that line elsewhere");
  return text;
}

}  // namespace lockstep::bench
