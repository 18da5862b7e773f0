// Sets of devices that grow together.
#pragma once

#include <cstddef>
#include <numeric>
#include <vector>

namespace lockstep::topology::smi {

/// At first each is alone. A group is called by its smallest member.
class Groups {
 public:
  explicit Groups(std::size_t size) : above_(size) {
    std::iota(above_.begin(), above_.end(), std::size_t{0});
  }

  std::size_t of(std::size_t member) const {
    while (above_[member] != member) member = above_[member] = above_[above_[member]];
    return member;
  }
  void join(std::size_t a, std::size_t b) {
    a = of(a);
    b = of(b);
    above_[a < b ? b : a] = a < b ? a : b;
  }
  bool together(std::size_t a, std::size_t b) const { return of(a) == of(b); }

 private:
  mutable std::vector<std::size_t> above_;
};

}  // namespace lockstep::topology::smi
