#include "bench/progress.hpp"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace lockstep::bench {
namespace {

constexpr const char* kEraseLine = "\r\033[K";  // ECMA-48 EL

}  // namespace

ProgressLine::ProgressLine(bool wanted) : shown_(wanted && isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (shown_) fmt::print(stderr, "{}", kEraseLine);
}

void ProgressLine::show(const std::string& what, std::size_t done, std::size_t total,
                        const std::string& text) {
  if (!shown_) return;
  fmt::print(stderr, "{}{}[{}/{}] {}", kEraseLine, what, done, total, text);
  std::fflush(stderr);
}

}  // namespace lockstep::bench
