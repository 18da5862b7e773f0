#include "bootstrap/rank_set.hpp"

#include <bit>

namespace lockstep {

std::string describe(RankSet ranks) {
  if (ranks == 0) return "no rank";
  std::string text = std::has_single_bit(ranks) ? "rank " : "ranks ";
  text += std::to_string(std::countr_zero(ranks));
  for (ranks &= ranks - 1; ranks != 0; ranks &= ranks - 1) {
    text += std::has_single_bit(ranks) ? " and " : ", ";
    text += std::to_string(std::countr_zero(ranks));
  }
  return text;
}

const char* have(RankSet ranks) {
  return std::popcount(ranks) > 1 ? "have" : "has";
}

}  // namespace lockstep
