// Whether a launcher has started ccbench, which starts its own ranks.
#pragma once

#include <functional>

namespace lockstep::bench {

/// Started several times, as by mpirun, ccbench would run as many benchmarks against each other.
/// `environment`: a variable's value, or nullptr. Throws UsageError.
void requireStartedOnce(const std::function<const char*(const char*)>& environment);
/// In the environment of this process.
void requireStartedOnce();

}  // namespace lockstep::bench
