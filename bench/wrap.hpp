// Breaking text into lines.
#pragma once

#include <string>

namespace lockstep::bench {

/// Columns that text is broken at.
inline constexpr std::size_t kTextWidth = 120;

/// Words on lines of at most kTextWidth columns, each ended; all but the first start with `indent`
/// blanks. `first`: what the first line starts with.
std::string wrap(const std::string& first, const std::string& text, std::size_t indent = 0);

}  // namespace lockstep::bench
