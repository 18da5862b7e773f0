// What tuning found: plain values, from the ranks to the report and the tuning file.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/operation.hpp"

namespace lockstep::bench {

/// A plan that could run, or did. Tile 0 where there is none (zero_copy).
struct TunedPlan {
  std::string algorithm, protocol;
  std::size_t tileBytes = 0;
  int depth = 1;
  friend bool operator==(const TunedPlan&, const TunedPlan&) = default;
};
/// "two_shot simple 4x64K": tiles in flight, and bytes of one
std::string describe(const TunedPlan& plan);

/// Which buffers a rule is for.
enum class BufferKind { any, registered, ordinary };
std::string_view name(BufferKind kind);  ///< as tuning files have it

/// One operation on one size: the plan that the built-in rules choose, and the one chosen instead.
struct Bucket {
  Operation op = Operation::allReduce;
  Mode mode = Mode::p2p;
  DataType type = DataType::f32;
  BufferKind buffers = BufferKind::any;
  std::size_t bytes = 0;       ///< of the larger buffer
  std::size_t blockBytes = 0;  ///< of a block: what rules count

  TunedPlan builtIn{}, chosen{};  ///< equal: the built-in one stays
  /// Measured, microseconds per call of the slowest rank, in the same rounds.
  double builtInUs = 0, chosenUs = 0;
  /// builtInUs / chosenUs, and its 95 % interval.
  double speedup = 1, low = 1, high = 1;
  /// By the cost model, microseconds. Never in a column with what was measured.
  double builtInPredictedUs = 0, chosenPredictedUs = 0;

  int candidates = 0;  ///< that exist
  int measured = 0;    ///< the others were predicted to be too slow
  int wrong = 0;       ///< excluded: their results were wrong
  friend bool operator==(const Bucket&, const Bucket&) = default;
};

void to_json(nlohmann::json& json, const Bucket& bucket);
void from_json(const nlohmann::json& json, Bucket& bucket);

}  // namespace lockstep::bench
