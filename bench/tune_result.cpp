#include "bench/tune_result.hpp"

#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/json_names.hpp"

namespace lockstep::bench {
namespace {

constexpr std::array<std::string_view, 3> kBufferKinds{"any", "registered", "ordinary"};

/// Visits every field with its name, so that writing and reading cannot differ.
template <class SomeBucket, class Visit>
void eachField(SomeBucket& b, Visit visit) {
  visit("op", b.op);
  visit("mode", b.mode);
  visit("type", b.type);
  visit("buffers", b.buffers);
  visit("bytes", b.bytes);
  visit("blockBytes", b.blockBytes);
  visit("builtIn", b.builtIn);
  visit("chosen", b.chosen);
  visit("builtInUs", b.builtInUs);
  visit("chosenUs", b.chosenUs);
  visit("speedup", b.speedup);
  visit("low", b.low);
  visit("high", b.high);
  visit("builtInPredictedUs", b.builtInPredictedUs);
  visit("chosenPredictedUs", b.chosenPredictedUs);
  visit("candidates", b.candidates);
  visit("measured", b.measured);
  visit("wrong", b.wrong);
}

/// "64K", for a column of a table.
std::string compactBytes(std::size_t bytes) {
  return bytes % 1024 == 0 ? fmt::format("{}K", bytes / 1024) : fmt::format("{}", bytes);
}

}  // namespace

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TunedPlan, algorithm, protocol, tileBytes, depth)

std::string_view name(BufferKind kind) {
  return kBufferKinds.at(static_cast<std::size_t>(kind));
}

std::string describe(const TunedPlan& plan) {
  std::string text = plan.algorithm + ' ' + plan.protocol;
  if (plan.tileBytes > 0) text += fmt::format(" {}x{}", plan.depth, compactBytes(plan.tileBytes));
  return text;
}

void to_json(nlohmann::json& json, const Bucket& bucket) {
  eachField(bucket, [&](const char* key, const auto& value) { json[key] = value; });
}

void from_json(const nlohmann::json& json, Bucket& bucket) {
  eachField(bucket, [&](const char* key, auto& value) { json.at(key).get_to(value); });
}

}  // namespace lockstep::bench
