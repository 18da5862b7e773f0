#include "bench/config.hpp"

#include <nlohmann/json.hpp>

#include "bench/json_names.hpp"

namespace lockstep::bench {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SizeRange, minBytes, maxBytes, stepBytes, stepFactor)

namespace {

/// Visits every field with its name, so that writing and reading cannot differ.
template <class Config, class Visit>
void eachField(Config& c, Visit visit) {
  visit("modes", c.modes);
  visit("rivals", c.rivals);
  visit("ranks", c.ranks);
  visit("cores", c.cores);
  visit("ops", c.ops);
  visit("root", c.root);
  visit("sizes", c.sizes);
  visit("types", c.types);
  visit("reductions", c.reductions);
  visit("iterations", c.iterations);
  visit("warmups", c.warmups);
  visit("check", c.check);
  visit("checkOnly", c.checkOnly);
  visit("planOnly", c.planOnly);
  visit("budgetSeconds", c.budgetSeconds);
  visit("reproducible", c.reproducible);
  visit("registered", c.registered);
  visit("algorithm", c.algorithm);
  visit("protocol", c.protocol);
  visit("cipher", c.cipher);
  visit("tuningFile", c.tuningFile);
  visit("insecureKeys", c.insecureKeys);
  visit("timeoutSeconds", c.timeoutSeconds);
  visit("gpu", c.gpu);
  visit("gpus", c.gpus);
  visit("graph", c.graph);
  visit("together", c.together);
  visit("tune", c.tune);
}

}  // namespace

std::vector<Variant> variantsOf(const RunConfig& config) {
  std::vector<Variant> variants;
  for (const bool reproducible : config.reproducible)
    for (const Mode mode : config.modes) variants.push_back({mode, reproducible});
  return variants;
}

bool ranksShareGpus(const RunConfig& config) {
  return config.gpu && config.ranks > config.gpus;
}

Options communicatorOptions(const RunConfig& config, Variant variant,
                            const std::vector<std::byte>& psk) {
  Options options;
  options.mode = variant.mode;
  options.reproducible = variant.reproducible;
  options.timeout = std::chrono::milliseconds(static_cast<long>(config.timeoutSeconds * 1000));
  options.algorithm = config.algorithm;
  options.protocol = config.protocol;
  options.tuningFile = config.tuningFile;
  if (!isSealed(variant.mode)) return options;
  options.cipher = config.cipher;
  options.insecureKeys = config.insecureKeys;
  if (!config.insecureKeys) options.psk = psk;
  return options;
}

void to_json(nlohmann::json& json, const RunConfig& config) {
  eachField(config, [&](const char* key, const auto& value) { json[key] = value; });
}

void from_json(const nlohmann::json& json, RunConfig& config) {
  eachField(config, [&](const char* key, auto& value) { json.at(key).get_to(value); });
}

}  // namespace lockstep::bench
