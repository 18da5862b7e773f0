// What a reader says about a text: remarks and errors, each with its line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "topology/readers/reader.hpp"

namespace lockstep::topology::xml {

/// Places are offsets into the text. Lines are counted only for what is kept, so that a hostile
/// text with a remark for each of its bytes costs no more than an honest one.
class Report {
 public:
  /// No place: a remark on the whole text.
  static constexpr std::size_t kWhole = std::string_view::npos;

  Report(std::string_view text, const std::string& source) : text_(text), source_(source) {}

  /// From 1; 0 for kWhole.
  int line(std::size_t offset) const;

  template <class... Args>
  void remark(std::size_t offset, fmt::format_string<Args...> text, Args&&... args) {
    if (++made_ > kMostRemarks) return;
    remarks_.push_back({line(offset), fmt::format(text, std::forward<Args>(args)...)});
  }

  /// Throws Error(invalidArgument) "SOURCE:LINE: ...".
  template <class... Args>
  [[noreturn]] void fail(std::size_t offset, fmt::format_string<Args...> text,
                         Args&&... args) const {
    lockstep::fail(ErrorCode::invalidArgument, "{}:{}: {}", source_, line(offset),
                   fmt::format(text, std::forward<Args>(args)...));
  }

  /// At most kMostRemarks; the last then says how many more.
  std::vector<Remark> take();

 private:
  std::string_view text_;
  const std::string& source_;
  std::vector<Remark> remarks_;
  std::size_t made_ = 0;
};

}  // namespace lockstep::topology::xml
