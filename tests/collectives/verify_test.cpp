// What the verifier says of small right schedules.
#include "collectives/verify/verify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "verify_examples.hpp"

namespace lockstep::schedule {
namespace {

using namespace examples;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(Verify, OneShotIsOneRoundingInRankOrder) {
  for (const bool inPlace : {false, true}) {
    Schedule s = oneShot(3);
    s.shape.inPlace = inPlace;
    const Verdict verdict = verify(s, {});
    EXPECT_THAT(verdict.faults, IsEmpty());
    EXPECT_THAT(verdict.expressions, ElementsAre("round(in0 + in1 + in2)"));
    EXPECT_TRUE(verdict.rankOrder);
    EXPECT_EQ(verdict.slots, 1U);
  }
}

TEST(Verify, OneRankThatDoesNotFollowTheOrderSpoilsIt) {
  Schedule s = oneShot(3);
  auto& src = s.programs[2].lanes[0][1].src;
  std::swap(src[0], src[1]);
  const Verdict verdict = verify(s, {});
  EXPECT_THAT(verdict.faults, IsEmpty());
  EXPECT_THAT(verdict.expressions, ElementsAre("round(in0 + in1 + in2)")) << "rank 0 has it";
  EXPECT_FALSE(verdict.rankOrder);
}

TEST(Verify, EachReductionIsARounding) {
  const Verdict verdict = verify(chain(), {});
  EXPECT_THAT(verdict.faults, IsEmpty());
  EXPECT_THAT(verdict.expressions, ElementsAre("round(in0 + round(in1 + in2))"));
  EXPECT_FALSE(verdict.rankOrder);
}

TEST(Verify, CopiesThroughScratchDoNotRound) {
  const Verdict verdict = verify(byScratch(), {});
  EXPECT_THAT(verdict.faults, IsEmpty());
  EXPECT_THAT(verdict.expressions, ElementsAre("round(in0 + in1)", "round(in0 + in1)"));
  EXPECT_FALSE(verdict.rankOrder) << "rank 1 adds in1 + in0";
}

TEST(Verify, LanesMayRunSideBySide) {
  EXPECT_THAT(verify(oneShotTwoLanes(4), {}).faults, IsEmpty());
}

TEST(Verify, ExposureReadsInPlaceAndWritesAtPeers) {
  EXPECT_THAT(verify(exposedOneShot(3), {}).faults, IsEmpty());
  for (const bool inPlace : {false, true}) {
    Schedule s = exposedTwoShot(3);
    s.shape.inPlace = inPlace;
    const Verdict verdict = verify(s, {});
    EXPECT_THAT(verdict.faults, IsEmpty());
    EXPECT_THAT(verdict.expressions, ElementsAre("round(in0 + in1 + in2)", "round(in0 + in1 + in2)",
                                                 "round(in0 + in1 + in2)"));
    EXPECT_TRUE(verdict.rankOrder);
  }
}

TEST(Verify, AloneThereIsNothingToReduceOrFinish) {
  for (const bool finish : {false, true}) {
    const Schedule s = allReduce("alone", 1, 1, {{{{move({out({0, 1})}, {in({0, 1})}, finish)}}}});
    const Verdict verdict = verify(s, {});
    EXPECT_THAT(verdict.faults, IsEmpty());
    EXPECT_THAT(verdict.expressions, ElementsAre("in0"));
    EXPECT_TRUE(verdict.rankOrder);
  }
}

TEST(Verify, BarrierHoldsEveryoneWithEmptyMessages) {
  EXPECT_THAT(verify(barrier(4), {}).faults, IsEmpty());
}

TEST(Verify, BarrierOfTwoRoundsIsTransitive) {
  // Dissemination: rank r tells r+1, then r+2. No rank hears from all, yet each waits for all.
  Schedule s = barrier(4);
  const Range none{0, 0};
  for (int r = 0; r < 4; ++r) {
    Lane lane;
    for (const int step : {1, 2}) {
      const int to = (r + step) % 4, from = (r + 4 - step) % 4;
      lane.push_back(move({via({r, to}, none)}, {in(none)}));
      lane.push_back(move({out(none)}, {via({from, r}, none)}));
    }
    s.programs[r].lanes = {lane};
  }
  EXPECT_THAT(verify(s, {}).faults, IsEmpty());
}

TEST(Verify, SealsMatterOnlyUnderThePolicy) {
  EXPECT_THAT(verify(sealedChain(), {}).faults, IsEmpty());
  EXPECT_THAT(verify(sealedChain(), {.sealed = true}).faults, IsEmpty());
  EXPECT_THAT(verify(sealedPairwise(byScratch()), {.sealed = true}).faults, IsEmpty());
  EXPECT_FALSE(verify(chain(), {.sealed = true}).ok());
}

TEST(Verify, StopsAtTwentyFaults) {
  Schedule s = oneShot(32);
  for (Program& p : s.programs) p.lanes[0][1].finish = false;
  EXPECT_EQ(verify(s, {}).faults.size(), 20U);
}

TEST(Verify, ExplosiveFormulasStayReadable) {
  Schedule s = oneShot(2);
  for (int i = 0; i < 40; ++i)
    s.programs[0].lanes[0].push_back(move({out({0, 1})}, {out({0, 1}), out({0, 1})}));
  const Verdict verdict = verify(s, {});
  ASSERT_FALSE(verdict.ok());
  for (const std::string& fault : verdict.faults) EXPECT_LT(fault.size(), 5000U);
}

}  // namespace
}  // namespace lockstep::schedule
