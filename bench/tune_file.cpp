#include "bench/tune_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "bench/json_names.hpp"

namespace lockstep::bench {
namespace {

using nlohmann::json;

/// Sizes up to here belong to the smaller of two neighbours.
std::size_t halfway(std::size_t a, std::size_t b) {
  return static_cast<std::size_t>(std::sqrt(static_cast<double>(a) * static_cast<double>(b)));
}

/// Smaller messages than the smallest that ccbench measures by default are like it.
constexpr std::size_t kSmallest = 8;

Measured coverOf(Measured where, const std::vector<Bucket>& buckets, std::size_t first,
                 std::size_t last) {
  const std::size_t from = buckets[first].blockBytes;
  where.minBytes = first > 0           ? halfway(buckets[first - 1].blockBytes, from) + 1
                   : from <= kSmallest ? 0
                                       : from;
  const std::size_t to = buckets[last].blockBytes;
  where.maxBytes = last + 1 < buckets.size() ? halfway(to, buckets[last + 1].blockBytes) : to;
  return where;
}

/// Whether an older rule speaks of the same calls.
bool sameCalls(const json& rule, const json& mine) {
  return std::ranges::all_of(
      std::array{"op", "modes", "buffers", "ranks", "types"},
      [&](const char* key) { return rule.value(key, json()) == mine.value(key, json()); });
}

/// What is left of a rule without the sizes [low, high]: nothing, one part or two.
void cut(const json& rule, std::size_t low, std::size_t high, std::vector<json>& rest) {
  const auto from = rule.value("min_bytes", std::size_t{0});
  const auto to = rule.value("max_bytes", ~std::size_t{0});
  if (to < low || from > high) {
    rest.push_back(rule);
    return;
  }
  if (from < low) {
    rest.push_back(rule);
    rest.back()["max_bytes"] = low - 1;
  }
  if (to > high) {
    rest.push_back(rule);
    rest.back()["min_bytes"] = high + 1;
  }
}

std::vector<json> without(const std::vector<json>& rules, const Measured& measured) {
  const json mine = ruleOf(measured, {});
  std::vector<json> rest;
  for (const json& rule : rules)
    if (sameCalls(rule, mine))
      cut(rule, measured.minBytes, measured.maxBytes, rest);
    else
      rest.push_back(rule);
  return rest;
}

json readOld(const std::string& old) {
  if (old.empty()) return {{"version", 2}, {"tables", json::array()}};
  json file = json::parse(old, nullptr, false);
  const bool good = file.is_object() && file.value("version", json()) == 2 &&
                    file.contains("tables") && file.at("tables").is_array();
  if (!good)
    fail(ErrorCode::invalidArgument,
         "it is no tuning file of version 2; name another with --output, or remove it");
  return file;
}

}  // namespace

json ruleOf(const Measured& where, const TunedPlan& plan) {
  json rule = {{"op", where.op},
               {"modes", json::array({where.mode})},
               {"buffers", name(where.buffers)},
               {"ranks", {where.ranks, where.ranks}},
               {"min_bytes", where.minBytes},
               {"max_bytes", where.maxBytes},
               {"algorithm", plan.algorithm},
               {"protocol", plan.protocol},
               {"depth", plan.depth}};
  if (plan.tileBytes > 0) rule["tile_bytes"] = plan.tileBytes;
  if (!where.types.empty()) rule["types"] = where.types;
  return rule;
}

std::string tableOf(const std::vector<json>& rules) {
  const json table = {{"rules", rules}};
  return json{{"version", 2}, {"tables", json::array({table})}}.dump();
}

std::vector<json> rulesOf(Measured where, const std::vector<Bucket>& buckets) {
  std::vector<json> rules;
  for (std::size_t first = 0, last = 0; first < buckets.size(); first = ++last) {
    const TunedPlan& plan = buckets[first].chosen;
    if (plan == buckets[first].builtIn) continue;
    while (last + 1 < buckets.size() && buckets[last + 1].chosen == plan &&
           buckets[last + 1].builtIn != plan)
      ++last;
    rules.push_back(ruleOf(coverOf(where, buckets, first, last), plan));
  }
  return rules;
}

Measured coveredBy(Measured where, const std::vector<Bucket>& buckets) {
  return coverOf(std::move(where), buckets, 0, buckets.size() - 1);
}

std::string mergeInto(const std::string& old, const std::string& machine, const std::string& when,
                      const std::vector<Measured>& measured, const std::vector<json>& rules) {
  json file = readOld(old);
  json& tables = file.at("tables");
  const auto found = std::ranges::find_if(tables, [&](const json& table) {
    return table.is_object() && table.value("machine", json()) == machine &&
           table.value("rules", json()).is_array();
  });
  std::vector<json> kept;
  if (found != tables.end()) {
    kept = found->at("rules").get<std::vector<json>>();
    tables.erase(found);
  }
  if (!std::ranges::all_of(kept, [](const json& rule) { return rule.is_object(); }))
    fail(ErrorCode::invalidArgument, "its rules are no objects; remove it");
  for (const Measured& m : measured) kept = without(kept, m);
  std::vector<json> all = rules;
  all.insert(all.end(), kept.begin(), kept.end());
  // The first table that fits a machine is the one that is read.
  const json table = {{"machine", machine}, {"measured", when}, {"rules", all}};
  tables.insert(tables.begin(), table);
  return file.dump(1) + '\n';
}

std::string defaultTuningFile() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  // The XDG Base Directory Specification: a path that is not absolute is to be ignored.
  if (const std::string cache = variable("XDG_CACHE_HOME"); cache.starts_with('/'))
    return cache + "/lockstep/tuning.json";
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + "/.cache/lockstep/tuning.json";
}

}  // namespace lockstep::bench
