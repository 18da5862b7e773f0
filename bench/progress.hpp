// One line on the terminal that says how far a run is.
#pragma once

#include <cstddef>
#include <string>

namespace lockstep::bench {

/// Writes to stderr, and only when that is a terminal; the line is gone when this is.
class ProgressLine {
 public:
  explicit ProgressLine(bool wanted);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();
  void show(const std::string& what, std::size_t done, std::size_t total, const std::string& text);

 private:
  bool shown_;
};

}  // namespace lockstep::bench
