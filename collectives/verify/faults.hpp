// What the proofs found: a short list of distinct sentences.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace lockstep::schedule {

class Faults {
 public:
  /// More help nobody; a broken schedule repeats its faults for every tile.
  static constexpr std::size_t kLimit = 20;

  /// Notes a fault, once.
  template <class... Args>
  void add(fmt::format_string<Args...> text, Args&&... args) {
    if (full()) return;
    std::string fault = fmt::format(text, std::forward<Args>(args)...);
    if (std::find(list_.begin(), list_.end(), fault) == list_.end())
      list_.push_back(std::move(fault));
  }

  bool none() const { return list_.empty(); }
  bool full() const { return list_.size() >= kLimit; }
  const std::vector<std::string>& list() const { return list_; }

 private:
  std::vector<std::string> list_;
};

}  // namespace lockstep::schedule
