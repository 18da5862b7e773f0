// Text out of files that may hold anything.
#pragma once

#include <string>
#include <string_view>

namespace lockstep::topology::xml {

bool isUtf8(std::string_view bytes);

/// `bytes`, with U+FFFD for each byte that is not part of UTF-8.
std::string asUtf8(std::string_view bytes);

/// For messages: UTF-8 of one line, clipped to some 60 bytes.
std::string shown(std::string_view bytes);

}  // namespace lockstep::topology::xml
