#include "bench/stopping.hpp"

#include <algorithm>

namespace lockstep::bench {

double timeShare(double secondsLeft, std::span<const std::size_t> sizesLeft) {
  const auto weight = [](std::size_t bytes) {
    return static_cast<double>(std::max(bytes, std::size_t{1} << 20));
  };
  double all = 0;
  for (const std::size_t bytes : sizesLeft) all += weight(bytes);
  return all > 0 ? std::max(0.0, secondsLeft) * weight(sizesLeft.front()) / all : 0;
}

}  // namespace lockstep::bench
