// One text for all ranks. The programs of a schedule differ from rank to rank (and from root to
// root) mostly in numbers, and these mostly are "the rank c further on". So programs of the same
// structure become one piece of text, in which each number is an expression of the rank and the
// root, or, if no formula fits, a table.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/schedule.hpp"

namespace lockstep::cuda {

/// The program of `rank` when `root` is the root; in a loop of text, its `step`-th operation there.
struct Instance {
  int rank = 0;
  int root = 0;
  const schedule::Program* program = nullptr;
  int step = 0;
};

/// Instances whose programs have the same operations with the same numbers of operands.
using Class = std::vector<Instance>;
std::vector<Class> classesOf(std::span<const Instance> instances);

/// Writes numbers as expressions of `r` (the rank), `root`, `place` (the rank counted from the
/// root) and `step` (of a loop), in a world of a size known to the text.
class Numbers {
 public:
  /// `rooted`: a root is given at run time; without one `root` is in no expression.
  Numbers(int worldSize, bool rooted) : world_(worldSize), rooted_(rooted) {}

  /// An expression that has values[i] for instances[i]. Values of other ranks do not matter.
  std::string expression(std::span<const Instance> instances,
                         std::span<const std::uint32_t> values);
  /// An expression that is true for those instances whose `chosen` is.
  std::string predicate(std::span<const Instance> instances, const std::vector<bool>& chosen);
  /// A table of all of a rank's numbers, by root, rank and index; `perRank` of them each. The
  /// expression takes `i`.
  std::string table(std::span<const std::uint32_t> values);
  /// The definitions of the tables so far.
  const std::string& definitions() const { return definitions_; }

 private:
  std::string formula(std::span<const Instance> instances,
                      std::span<const std::uint32_t> values) const;
  std::string lookUp(std::span<const Instance> instances, std::span<const std::uint32_t> values);
  std::string aroundFrom(std::string_view name, int Instance::*start,
                         std::span<const Instance> instances,
                         std::span<const std::uint32_t> values) const;

  int world_;
  bool rooted_;
  std::string definitions_;
  std::map<std::vector<std::uint32_t>, std::string> tables_;
};

}  // namespace lockstep::cuda
