// What stays unknown because a driver would not tell, kept for remarks.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "topology/probes/nvml/records.hpp"
#include "topology/probes/nvml/words.hpp"

namespace lockstep::topology::nvml {

/// What a driver would not tell of something: one remark for each reason, however many facts it
/// spoils. Questions that make no sense to a GPU, or to an old driver, are no news.
class Untold {
 public:
  /// The answer's value, or nothing: then `fact` is remembered.
  template <class Value>
  const Value* value(const Answer<Value>& answer, std::string_view fact) {
    if (answer.known()) return &answer.value;
    note(answer.result, fact);
    return nullptr;
  }
  template <class Value>
  Value valueOr(const Answer<Value>& answer, std::string_view fact) {
    const Value* known = value(answer, fact);
    return known == nullptr ? Value{} : *known;
  }
  void note(Return result, std::string_view fact) {
    if (result == Return::notSupported || result == Return::functionNotFound) return;
    std::vector<std::string_view>& facts = facts_[result];
    if (std::find(facts.begin(), facts.end(), fact) == facts.end()) facts.push_back(fact);
  }
  void tell(std::string_view whose, std::vector<std::string>& remarks) const {
    for (const auto& [result, facts] : facts_)
      remarks.push_back(
          fmt::format("{}: {}: {} not known", whose, describe(result), fmt::join(facts, ", ")));
  }

 private:
  std::map<Return, std::vector<std::string_view>> facts_;
};

}  // namespace lockstep::topology::nvml
