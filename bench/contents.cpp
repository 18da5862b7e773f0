#include "bench/contents.hpp"

#include "bench/layout.hpp"

namespace lockstep::bench {
namespace {

/// Elements between the beginnings of two neighbours' inputs in the pattern: prime, and 64 ranks
/// fit a period.
constexpr std::size_t kRankStride = 1021;

/// Of all reductions, the inputs of max are the most various.
constexpr Reduction kMostVarious = Reduction::max;

Pattern givenBy(const Task& task, int ranks, int rank) {
  return contractOf(task.op).reduces ? Pattern::input(task.type, task.reduction, ranks, rank)
                                     : Pattern::input(task.type, kMostVarious, 1, 0);
}

Pattern wantedFrom(const Task& task, int ranks, const Pattern& given) {
  return contractOf(task.op).reduces ? Pattern::reduced(task.type, task.reduction, ranks) : given;
}

}  // namespace

Contents::Contents(const Task& task, int ranks, int rank)
    : task_(task),
      ranks_(ranks),
      rank_(rank),
      given_(givenBy(task, ranks, rank)),
      wanted_(wantedFrom(task, ranks, given_)) {}

std::size_t Contents::startOf(int source, int target, std::size_t count) const {
  const Contract& contract = contractOf(task_.op);
  const std::size_t block = contract.inPerRank ? static_cast<std::size_t>(target) * count : 0;
  return contract.reduces ? block : block + static_cast<std::size_t>(source) * kRankStride;
}

void Contents::fill(void* in, std::size_t count) const {
  given_.fill(in, count, startOf(rank_, 0, count));
}

/// Whose input block `b` of my output comes from, where nothing is reduced.
int Contents::sourceOf(int b) const {
  if (task_.op == Operation::sendRecv) return (rank_ + ranks_ - 1) % ranks_;
  return contractOf(task_.op).inAtRoot ? task_.root : b;
}

CheckResult Contents::check(const void* out, std::size_t count) const {
  const auto* block = static_cast<const std::byte*>(out);
  const std::size_t blocks = layoutOf(task_.op, ranks_, rank_, task_.root).outBlocks;
  CheckResult all;
  for (std::size_t b = 0; b < blocks; ++b, block += count * sizeOf(task_.type)) {
    const int source = sourceOf(static_cast<int>(b));
    CheckResult found = wanted_.check(block, count, startOf(source, rank_, count));
    if (found.first) found.first->index += b * count;
    if (!all.first) all.first = found.first;
    all.wrong += found.wrong;
  }
  return all;
}

}  // namespace lockstep::bench
