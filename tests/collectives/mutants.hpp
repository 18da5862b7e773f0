// A right schedule with one thing broken, and what the verifier must say about it.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectives/verify/verify.hpp"

namespace lockstep::schedule::mutants {

struct Mutant {
  std::string name;
  Schedule good;
  std::function<void(Schedule&)> breakIt;
  std::string fault;  ///< part of what the verifier must say
};

inline Lane& lane(Schedule& s, int rank) {
  return s.programs[rank].lanes[0];
}
inline Op& op(Schedule& s, int rank, int index) {
  return lane(s, rank)[index];
}
inline void drop(Schedule& s, int rank, int index) {
  lane(s, rank).erase(lane(s, rank).begin() + index);
}
inline void swapOps(Schedule& s, int rank, int a, int b) {
  std::swap(op(s, rank, a), op(s, rank, b));
}

inline std::string all(const std::vector<std::string>& faults) {
  std::string text;
  for (const std::string& fault : faults) text += fault + "\n";
  return text;
}

inline void expectCaught(const std::vector<Mutant>& mutants, const Policy& policy) {
  for (const Mutant& mutant : mutants) {
    SCOPED_TRACE(mutant.name);
    EXPECT_THAT(verify(mutant.good, policy).faults, testing::IsEmpty()) << "before it was broken";
    Schedule broken = mutant.good;
    mutant.breakIt(broken);
    EXPECT_FALSE(broken == mutant.good) << "it is no mutant";
    const Verdict verdict = verify(broken, policy);
    EXPECT_FALSE(verdict.ok());
    EXPECT_FALSE(verdict.rankOrder);
    EXPECT_THAT(all(verdict.faults), testing::HasSubstr(mutant.fault));
  }
}

}  // namespace lockstep::schedule::mutants
