// Breaking text into lines.
#pragma once

#include <string>

namespace lockstep::bench {

/// Columns of everything that is printed: what terminals and web pages show without folding.
inline constexpr std::size_t kTextWidth = 100;

/// Words on lines of at most kTextWidth columns, each ended; all but the first start with `indent`
/// blanks. `first`: what the first line starts with.
std::string wrap(const std::string& first, const std::string& text, std::size_t indent = 0);

/// The same behind a label, as in the lines above the tables.
std::string labelled(const std::string& label, const std::string& text);

}  // namespace lockstep::bench
