#include "bench/launched.hpp"

#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "bench/sizes.hpp"
#include "bootstrap/launch.hpp"

namespace lockstep::bench {
namespace {

/// Variables that make no sense started nothing.
std::optional<launch::Place> placeIn(const launch::Environment& environment) try {
  return launch::detect(environment);
} catch (const Error&) {
  return std::nullopt;
}

}  // namespace

void requireStartedOnce(const std::function<const char*(const char*)>& environment) {
  const auto place = placeIn(environment);
  if (!place || place->worldSize == 1) return;
  throw UsageError(
      fmt::format("started {} times by {}, but ccbench starts its own ranks: ccbench --ranks {}",
                  place->worldSize, place->launcher, place->worldSize));
}

void requireStartedOnce() {
  requireStartedOnce([](const char* name) { return std::getenv(name); });
}

}  // namespace lockstep::bench
