// Every algorithm, at many world sizes, in the clear. (Sealed: tests/cc_mode.)
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectives/registry.hpp"
#include "collectives/verify/verify.hpp"

namespace lockstep::schedule {
namespace {

std::string title(const Algorithm& a, const Shape& shape) {
  return fmt::format("{} {}{} of {} ranks, root {}{}{}", name(a.collective), a.name,
                     a.edges == Edges::exposure ? " exposed" : "", shape.worldSize, shape.root,
                     shape.inPlace ? " in place" : "", shape.multicast ? " multicast" : "");
}

/// The first, the last and one between, where there is a root.
std::set<int> rootsOf(const Algorithm& a, int world) {
  if (!contractOf(a.collective).rooted) return {0};
  return {0, world / 2, world - 1};
}

/// As a communicator would run it.
Schedule delivered(const Algorithm& a, const Shape& shape) {
  Schedule s = generate(a, shape);
  return shape.multicast ? s : deliverUnicast(std::move(s));
}

void expectProven(const Algorithm& a, const Shape& shape) {
  SCOPED_TRACE(title(a, shape));
  const Verdict verdict = verify(delivered(a, shape), {});
  EXPECT_THAT(verdict.faults, testing::IsEmpty());
  // What an algorithm says of its order is what its expressions say. (Of three ranks or fewer,
  // others may come down to rank order as well; what reduces nothing says nothing.)
  if (contractOf(a.collective).reduces && (a.rankOrder || shape.worldSize > 3)) {
    EXPECT_EQ(verdict.rankOrder, a.rankOrder);
  }
}

TEST(VerifySweep, EveryAlgorithmIsProvenAtEveryWorldSize) {
  ASSERT_FALSE(algorithms().empty());
  for (const Algorithm* a : algorithms())
    for (int world = 1; world <= 17; ++world)
      for (const bool inPlace : {false, true})
        for (const bool multicast : {false, true})
          for (const int root : rootsOf(*a, world))
            expectProven(*a, {world, inPlace, multicast, root});
}

TEST(VerifySweep, TheLargestWorldToo) {
  for (const Algorithm* a : algorithms())
    for (const bool multicast : {false, true}) expectProven(*a, {kMaxWorld, true, multicast});
}

TEST(VerifySweep, AlgorithmsInRankOrderAgreeToTheBit) {
  for (const int world : {2, 3, 8, 17}) {
    std::set<std::string> expressions;
    for (const Algorithm* a : algorithms())
      if (a->rankOrder)
        for (const bool multicast : {false, true})
          for (const std::string& e :
               verify(delivered(*a, {world, false, multicast}), {}).expressions)
            expressions.insert(e);
    EXPECT_EQ(expressions.size(), 1U) << "world size " << world;
  }
}

}  // namespace
}  // namespace lockstep::schedule
