// Quotes of this virtual machine, as Linux gives them: configfs-tsm
// (Documentation/ABI/testing/configfs-tsm-report in the kernel's sources).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace lockstep::tsm {

/// A report of its own below `root`, so that nobody else's request gets between; gone when it
/// returns. As lockstep::tsmQuote, whose `root` is /sys/kernel/config/tsm/report.
std::vector<std::byte> quote(const std::string& root, std::span<const std::byte> binding);

/// The same with a report that is there: writes inblob, reads outblob.
std::vector<std::byte> quoteOfReport(const std::string& report, std::span<const std::byte> binding);

}  // namespace lockstep::tsm
