// Many kernels for many chips: which do not compile, and which take too much of a multiprocessor.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/clock.hpp"
#include "executor/cuda/compiler.hpp"
#include "executor/cuda/in_parallel.hpp"
#include <lockstep/error.hpp>

namespace lockstep::cuda {

/// One chip of each generation that the kernels are made for.
inline const std::vector<Chip> kChips{{8, 0}, {9, 0}, {10, 0}, {12, 0}};

/// Which part of a matrix is compiled: of all cells, in an order that `seed` decides, those from
/// the `first`-th on that are begun in time.
struct Slice {
  std::uint64_t seed = 0;  ///< 0: kernel by kernel, each for all chips
  std::size_t first = 0;
  Deadline until;   ///< default: all
  int threads = 0;  ///< that compile at once; 0: one per core
};

struct MatrixReport {
  std::size_t cells = 0;  ///< of the matrix: kernels times chips
  std::size_t next = 0;   ///< where to go on: the lowest number from `first` that was not begun
  int compiled = 0;
  int mostRegisters = 0;
  std::string faults;  ///< a line for each kernel and chip that is wrong; empty if none is

  /// For people: what was compiled, then what is wrong.
  std::string text() const {
    return fmt::format("{} kernels compiled, {} registers at most\n{}", compiled, mostRegisters,
                       faults);
  }
};

/// A kernel on a chip: what is wrong with it (empty: nothing), and what it takes.
struct MatrixCell {
  std::string fault;
  Resources resources;
};

inline MatrixCell tryToCompile(const KernelSource& source, Chip chip, const Limits& limits) {
  try {
    const Cubin cubin = compile(source, chip);
    if (cubin.isPtx()) return {"is PTX: NVRTC does not know the chip", {}};
    return {cubin.resources.exceeds(limits), cubin.resources};
  } catch (const Error& error) {
    return {error.what(), {}};
  }
}

/// The numbers below `cells`, each once.
inline std::vector<std::size_t> matrixOrder(std::size_t cells, std::uint64_t seed) {
  std::vector<std::size_t> order(cells);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (seed != 0) std::ranges::shuffle(order, std::mt19937_64(seed));
  return order;
}

/// Compiles every kernel for every chip, or a slice of that, without the cache.
inline MatrixReport nvrtcMatrix(const std::vector<KernelSource>& sources,
                                const std::vector<Chip>& chips, const Limits& limits,
                                const Slice& slice = {}) {
  const std::size_t each = chips.size(), all = sources.size() * each;
  const std::vector<std::size_t> order = matrixOrder(all, slice.seed);
  const std::size_t first = std::min(slice.first, all);
  std::vector<MatrixCell> cells(all - first);
  std::atomic<std::size_t> over = all;  // no number from here on is begun
  inParallel(cells.size(), slice.threads, [&](std::size_t i) {
    for (std::size_t end = over; slice.until.passed() && first + i < end;)
      if (over.compare_exchange_weak(end, first + i)) break;
    if (first + i >= over) return;
    const std::size_t cell = order[first + i];
    cells[i] = tryToCompile(sources[cell / each], chips[cell % each], limits);
  });
  MatrixReport report;
  report.cells = all;
  report.next = over;
  for (std::size_t i = 0; i < report.next - first; ++i) {
    const auto& [fault, resources] = cells[i];
    const std::size_t cell = order[first + i];
    report.compiled += resources.registers.has_value() ? 1 : 0;
    report.mostRegisters = std::max(report.mostRegisters, resources.registers.value_or(0));
    if (!fault.empty())
      report.faults += fmt::format("{:56} sm_{:<4} {}\n", sources[cell / each].name,
                                   chips[cell % each].number(), fault);
  }
  return report;
}

}  // namespace lockstep::cuda
