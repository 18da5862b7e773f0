// Thread masks, as the kernel writes them, as people read them.
#pragma once

#include <string>
#include <string_view>

namespace lockstep::topology {

/// "0-23,48" for "00010000,00ffffff": the threads whose bits are set, lowest word last. Empty for
/// an empty mask; the beginning of the text, printable, where it is no mask of at most 16,384 bits.
std::string threadList(std::string_view mask);

}  // namespace lockstep::topology
