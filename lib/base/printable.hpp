// Text of unknown origin, made safe to show: names may come from files, drivers and devices.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lockstep {

/// Well-formed UTF-8 of at most `most` characters, and "…" where there were more. What a terminal
/// or browser would obey (control characters of either set, line breaks, marks that turn the
/// direction of what follows) and each byte that is no UTF-8 is U+FFFD instead.
std::string printable(std::string_view text, std::size_t most = 200);

/// The same for a text of many lines, of any length: its line breaks stay.
std::string printableLines(std::string_view text);

}  // namespace lockstep
