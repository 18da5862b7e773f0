// The tuning file: rules out of buckets, and their place among those that were there before. What a
// file may hold is said in lib/communicator/TUNING.md.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/tune_result.hpp"

namespace lockstep::bench {

/// Block sizes that a run has measured for one operation, mode, type and kind of buffers: what it
/// says replaces what older rules say of them.
struct Measured {
  Operation op = Operation::allReduce;
  Mode mode = Mode::p2p;
  BufferKind buffers = BufferKind::any;
  std::vector<DataType> types;  ///< that the rules are for; empty: all
  int ranks = 2;
  std::size_t minBytes = 0, maxBytes = 0;
};

/// One rule as in a tuning file.
nlohmann::json ruleOf(const Measured& where, const TunedPlan& plan);
/// A whole file of such rules, for any machine.
std::string tableOf(const std::vector<nlohmann::json>& rules);

/// One rule per longest run of neighbouring buckets with the same plan, if it is not the built-in
/// one. A rule goes from halfway between its first size and the one before to halfway between its
/// last and the next one (in factors), and not beyond what was measured. `buckets`: of one series,
/// by size; `where` without sizes.
std::vector<nlohmann::json> rulesOf(Measured where, const std::vector<Bucket>& buckets);

/// What the series covers: `where` with the sizes of its rules, were there one for each bucket.
Measured coveredBy(Measured where, const std::vector<Bucket>& buckets);

/// The text of a tuning file: `old` (may be empty) with the table of `machine` changed: older rules
/// lose the sizes that were measured now, and the new ones come before them. Tables of other
/// machines stay. Throws invalidArgument if `old` is no tuning file of version 2.
std::string mergeInto(const std::string& old, const std::string& machine, const std::string& when,
                      const std::vector<Measured>& measured,
                      const std::vector<nlohmann::json>& rules);

/// $XDG_CACHE_HOME/lockstep/tuning.json, or ~/.cache/..; empty when there is no home.
std::string defaultTuningFile();

}  // namespace lockstep::bench
