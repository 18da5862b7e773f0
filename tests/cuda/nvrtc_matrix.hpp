// Many kernels for many chips: which do not compile, and which take too much of a multiprocessor.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "executor/cuda/compiler.hpp"
#include "executor/cuda/in_parallel.hpp"
#include <lockstep/error.hpp>

namespace lockstep::cuda {

/// One chip of each generation that the kernels are made for.
inline const std::vector<Chip> kChips{{8, 0}, {9, 0}, {10, 0}, {12, 0}};

struct MatrixReport {
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

/// Compiles every kernel for every chip, without the cache, `threads` at once (0: one per core).
inline MatrixReport nvrtcMatrix(const std::vector<KernelSource>& sources,
                                const std::vector<Chip>& chips, const Limits& limits,
                                int threads = 0) {
  const std::size_t each = chips.size();
  std::vector<MatrixCell> cells(sources.size() * each);
  inParallel(cells.size(), threads, [&](std::size_t i) {
    cells[i] = tryToCompile(sources[i / each], chips[i % each], limits);
  });
  MatrixReport report;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto& [fault, resources] = cells[i];
    report.compiled += resources.registers.has_value() ? 1 : 0;
    report.mostRegisters = std::max(report.mostRegisters, resources.registers.value_or(0));
    if (!fault.empty())
      report.faults += fmt::format("{:56} sm_{:<4} {}\n", sources[i / each].name,
                                   chips[i % each].number(), fault);
  }
  return report;
}

}  // namespace lockstep::cuda
