// Enumerations of the public headers as their names in JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "bench/operation.hpp"
#include <lockstep/types.hpp>

namespace lockstep {

template <class Enum>
Enum fromName(const nlohmann::json& json, std::optional<Enum> (*parse)(std::string_view)) {
  const auto text = json.get<std::string>();
  if (const auto value = parse(text)) return *value;
  fail(ErrorCode::invalidArgument, "'{}' is not a name this version knows", text);
}

inline void to_json(nlohmann::json& j, DataType v) {
  j = name(v);
}
inline void to_json(nlohmann::json& j, Reduction v) {
  j = name(v);
}
inline void to_json(nlohmann::json& j, Mode v) {
  j = name(v);
}
inline void from_json(const nlohmann::json& j, DataType& v) {
  v = fromName(j, parseDataType);
}
inline void from_json(const nlohmann::json& j, Reduction& v) {
  v = fromName(j, parseReduction);
}
inline void from_json(const nlohmann::json& j, Mode& v) {
  v = fromName(j, parseMode);
}

}  // namespace lockstep

namespace lockstep::bench {

inline void to_json(nlohmann::json& j, Operation v) {
  j = name(v);
}
inline void from_json(const nlohmann::json& j, Operation& v) {
  v = fromName(j, parseOperation);
}

}  // namespace lockstep::bench
