// UTF-8, one character after the other, out of bytes that nobody vouches for.
#pragma once

#include <cstddef>
#include <string_view>

namespace lockstep {

struct Utf8Character {
  char32_t code = 0;
  std::size_t bytes = 1;
  /// False: no character, or one that UTF-8 may not hold (surrogates, the same character in more
  /// bytes than it needs). Then `bytes` is 1: what to leave out.
  bool sound = false;
};

/// The first of `text`, which is not empty.
Utf8Character firstCharacter(std::string_view text);

}  // namespace lockstep
