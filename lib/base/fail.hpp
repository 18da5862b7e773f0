// Throwing lockstep::Error with a formatted message.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <lockstep/error.hpp>

namespace lockstep {

template <class... Args>
[[noreturn, gnu::cold, gnu::noinline]] void fail(ErrorCode code, fmt::format_string<Args...> text,
                                                 Args&&... args) {
  throw Error(code, fmt::format(text, std::forward<Args>(args)...));
}

/// What errno says, and what to do where that is known.
inline std::string explain(int error) {
  if (error == EMFILE) return "this process has no file descriptor left; raise 'ulimit -n'";
  if (error == ENFILE) return "this machine has no file descriptor left; raise fs.file-max";
  return std::strerror(error);
}

/// For a system call that failed just now: appends why.
template <class... Args>
[[noreturn, gnu::cold, gnu::noinline]] void failErrno(fmt::format_string<Args...> text,
                                                      Args&&... args) {
  const int error = errno;
  throw Error(
      ErrorCode::system,
      fmt::format("{}: {}", fmt::format(text, std::forward<Args>(args)...), explain(error)));
}

}  // namespace lockstep
