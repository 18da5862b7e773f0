#include "bench/result.hpp"

#include <nlohmann/json.hpp>

#include "bench/json_names.hpp"

namespace lockstep::bench {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Contender, name, describe, provenance, cipher, keySource,
                                   ordinaryPath, sealed, rival, kernels, multicast)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PlanText, algorithm, protocol, transport, tileBytes, depth,
                                   reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CallBytes, moved, sealed, opened, records)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Series, supported, plan, bytes, wrong, batch, predictedUs,
                                   samples)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Rates, seal, open, copy, reduce)

namespace {

template <class Value>
void getUnlessNull(const nlohmann::json& json, Value& value) {
  if (!json.is_null()) json.get_to(value);
}

}  // namespace

/// What the operation does not take is null.
void to_json(nlohmann::json& json, const Row& row) {
  const Contract& contract = contractOf(row.op);
  json = {{"op", row.op},
          {"type", contract.hasData ? nlohmann::json(row.type) : nlohmann::json()},
          {"reduction", contract.reduces ? nlohmann::json(row.reduction) : nlohmann::json()},
          {"bytes", row.bytes},
          {"count", row.count},
          {"streaming", row.streaming},
          {"cached", row.cached},
          {"series", row.series}};
}

void from_json(const nlohmann::json& json, Row& row) {
  json.at("op").get_to(row.op);
  getUnlessNull(json.at("type"), row.type);
  getUnlessNull(json.at("reduction"), row.reduction);
  json.at("bytes").get_to(row.bytes);
  json.at("count").get_to(row.count);
  json.at("streaming").get_to(row.streaming);
  json.at("cached").get_to(row.cached);
  json.at("series").get_to(row.series);
}

void to_json(nlohmann::json& json, const RunResult& result) {
  json = {{"contenders", result.contenders}, {"rows", result.rows}};
  if (result.seconds > 0) json["seconds"] = result.seconds;
  if (result.coreShare > 0) json["coreShare"] = result.coreShare;
  if (!result.tuned.empty()) json["tuned"] = result.tuned;
}

void from_json(const nlohmann::json& json, RunResult& result) {
  json.at("contenders").get_to(result.contenders);
  json.at("rows").get_to(result.rows);
  result.seconds = json.value("seconds", 0.0);
  result.coreShare = json.value("coreShare", 0.0);
  if (json.contains("tuned")) json.at("tuned").get_to(result.tuned);
}

}  // namespace lockstep::bench
