#include "bench/result.hpp"

#include <nlohmann/json.hpp>

#include "bench/json_names.hpp"

namespace lockstep::bench {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Contender, name, describe, provenance, cipher, keySource,
                                   ordinaryPath, sealed, rival)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PlanText, algorithm, protocol, transport, tileBytes, depth)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CallBytes, moved, sealed, opened, records)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Series, supported, plan, bytes, wrong, batch, samples)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Rates, seal, open, copy, reduce)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Row, op, type, reduction, bytes, count, streaming, cached,
                                   series)

void to_json(nlohmann::json& json, const RunResult& result) {
  json = {{"contenders", result.contenders}, {"rows", result.rows}};
}

void from_json(const nlohmann::json& json, RunResult& result) {
  json.at("contenders").get_to(result.contenders);
  json.at("rows").get_to(result.rows);
}

}  // namespace lockstep::bench
