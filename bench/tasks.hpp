// What a run measures, row by row: which collective on which message.
#pragma once

#include <vector>

#include "bench/config.hpp"
#include "bench/operation.hpp"

namespace lockstep::bench {

/// One row. What its collective does not take (a type, a reduction, a root) is said nevertheless,
/// and ignored.
struct Task {
  Operation op = Operation::allReduce;
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  int root = 0;
  std::size_t count = 0;  ///< elements of one block
  std::size_t bytes = 0;  ///< of the larger buffer, as nccl-tests defines a message's size
};

/// Blocks of the larger buffer of a collective; none without data.
std::size_t blocksOf(Operation op, int ranks);

/// Elements of one block, size by size, each once: as many as fit, but at least one. Empty when the
/// largest size has no room for that.
std::vector<std::size_t> countsFor(const RunConfig& config, Operation op, DataType type);

/// Bytes of the largest buffer of a run; 0 when none of its operations has data.
std::size_t largestMessage(const RunConfig& config);

/// All rows, operation by operation. Types and reductions only of those that have them.
std::vector<Task> listTasks(const RunConfig& config);

/// "reduce f32 sum of 64 KiB", "barrier"
std::string describe(const Task& task);

}  // namespace lockstep::bench
