// ccbench as its user sees it: arguments in, tables and an exit status out.
#pragma once

#include <string>
#include <vector>

#include "bench/launcher.hpp"
#include "bench/options.hpp"

namespace lockstep::bench {

/// What ccbench's exit status means. A signal ends it with 128 + its number.
enum ExitStatus : int { kSuccess = 0, kRunFailed = 1, kBadUsage = 2, kWrongResults = 3 };

/// The pre-shared key of a run: of a file, fresh, or none. The caller wipes it.
std::vector<std::byte> keyFor(const CommandLine& line);
/// Buffers of all ranks must fit what memory there is: the kernel would end a rank, or the machine.
/// Throws UsageError.
void requireMemory(const RunConfig& config);
/// Why a run gave no result, said; the exit status.
int explainFailure(const Outcome& outcome);

/// `arguments` without the program's name.
int runApplication(const std::vector<std::string>& arguments);

}  // namespace lockstep::bench
