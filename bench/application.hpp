// ccbench as its user sees it: arguments in, tables and an exit status out.
#pragma once

#include <string>
#include <vector>

namespace lockstep::bench {

/// What ccbench's exit status means. A signal ends it with 128 + its number.
enum ExitStatus : int { kSuccess = 0, kRunFailed = 1, kBadUsage = 2, kWrongResults = 3 };

/// `arguments` without the program's name.
int runApplication(const std::vector<std::string>& arguments);

}  // namespace lockstep::bench
