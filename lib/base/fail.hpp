// Throwing lockstep::Error with a formatted message.
#pragma once

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include <lockstep/error.hpp>

namespace lockstep {

template <class... Args>
[[noreturn, gnu::cold, gnu::noinline]] void fail(ErrorCode code, fmt::format_string<Args...> text,
                                                 Args&&... args) {
  throw Error(code, fmt::format(text, std::forward<Args>(args)...));
}

/// For a system call that failed just now: appends errno's text.
template <class... Args>
[[noreturn, gnu::cold, gnu::noinline]] void failErrno(fmt::format_string<Args...> text,
                                                      Args&&... args) {
  const int error = errno;
  throw Error(
      ErrorCode::system,
      fmt::format("{}: {}", fmt::format(text, std::forward<Args>(args)...), std::strerror(error)));
}

}  // namespace lockstep
