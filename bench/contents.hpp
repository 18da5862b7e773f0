// What a rank gives to the calls of a collective and what it must get, by the collective's
// contract.
#pragma once

#include "bench/patterns.hpp"
#include "bench/tasks.hpp"

namespace lockstep::bench {

/// Of one rank, for all sizes of one operation, type and reduction. Where nothing is reduced, the
/// inputs of all ranks are one pattern, each begun elsewhere, so that every block is told from
/// every other.
class Contents {
 public:
  Contents(const Task& task, int ranks, int rank);
  /// Writes `count` elements of this rank's input, from its first on.
  void fill(void* in, std::size_t count) const;
  /// Compares this rank's output, all its blocks of `count` elements.
  CheckResult check(const void* out, std::size_t count) const;
  /// The element of the pattern with which what rank `source` sends to rank `target` begins.
  std::size_t startOf(int source, int target, std::size_t count) const;

 private:
  int sourceOf(int b) const;
  Task task_;
  int ranks_, rank_;
  Pattern given_, wanted_;
};

}  // namespace lockstep::bench
