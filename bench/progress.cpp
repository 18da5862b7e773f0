#include "bench/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "bench/output.hpp"

namespace lockstep::bench {
namespace {

constexpr const char* kEraseLine = "\r\033[K";  // ECMA-48 EL

}  // namespace

ProgressLine::ProgressLine(bool wanted) : shown_(wanted && isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (shown_) hint(kEraseLine);
}

void ProgressLine::show(const std::string& what, std::size_t done, std::size_t total,
                        const std::string& text) {
  if (!shown_) return;
  hint(fmt::format("{}{}[{}/{}] {}", kEraseLine, what, done, total, text));
}

}  // namespace lockstep::bench
