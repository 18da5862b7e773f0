// Every shape of an operation, as people read it.
#include <gtest/gtest.h>

#include "collectives/schedule.hpp"

namespace lockstep::schedule {
namespace {

constexpr Range k2{2, 1};

Operand sealed(Operand operand, Seal seal) {
  operand.seal = seal;
  return operand;
}

TEST(Print, NamesTheShapesOfAMove) {
  const Operand to = via({0, 1}, k2);
  const Operand from = via({1, 0}, k2);
  const Operand all = via({0, kEveryone}, k2);
  const Operand theirs = remoteIn(3, k2);
  const Operand elsewhere = remoteOut(3, k2);

  EXPECT_EQ(toString(move({to}, {in(k2)})), "send 0>1[2] <- in[2]");
  EXPECT_EQ(toString(move({all}, {in(k2)})), "cast 0>*[2] <- in[2]");
  EXPECT_EQ(toString(move({out(k2)}, {from})), "recv out[2] <- 1>0[2]");
  EXPECT_EQ(toString(move({out(k2)}, {in(k2), from}, true)),
            "recvReduce out[2] <- in[2] + 1>0[2]   finish");
  EXPECT_EQ(toString(move({to}, {from, in(k2)})), "recvReduceSend 0>1[2] <- 1>0[2] + in[2]");
  EXPECT_EQ(toString(move({out(k2), all}, {from, in(k2)})),
            "recvReduceCast out[2], 0>*[2] <- 1>0[2] + in[2]");
  EXPECT_EQ(toString(move({to}, {from})), "recvSend 0>1[2] <- 1>0[2]");
  EXPECT_EQ(toString(move({out(k2)}, {in(k2)})), "copy out[2] <- in[2]");
  EXPECT_EQ(toString(move({out(k2)}, {scratch(k2), in(k2)})),
            "reduce out[2] <- scratch[2] + in[2]");
  EXPECT_EQ(toString(move({out(k2)}, {theirs})), "readRemote out[2] <- in@3[2]");
  EXPECT_EQ(toString(move({elsewhere}, {in(k2)})), "writeRemote out@3[2] <- in[2]");
  EXPECT_EQ(toString(move({out(k2)}, {in(k2), theirs})), "readReduce out[2] <- in[2] + in@3[2]");
  EXPECT_EQ(toString(move({out(k2), elsewhere}, {in(k2), theirs})),
            "readReduceWrite out[2], out@3[2] <- in[2] + in@3[2]");
}

TEST(Print, NamesForwardsAndSynchronisation) {
  EXPECT_EQ(toString(forward({via({0, 1}, k2)}, via({3, 0}, k2))), "forward 0>1[2] <- 3>0[2]");
  EXPECT_EQ(toString(forward({via({0, 1}, k2), out(k2)}, via({3, 0}, k2))),
            "recvForward 0>1[2], out[2] <- 3>0[2]");
  EXPECT_EQ(toString(sync(OpKind::expose)), "expose");
  EXPECT_EQ(toString(sync(OpKind::acquire)), "acquire");
  EXPECT_EQ(toString(sync(OpKind::release)), "release");
  EXPECT_EQ(toString(sync(OpKind::close)), "close");
}

TEST(Print, ShowsRangesAndSeals) {
  EXPECT_EQ(toString(in({2, 3})), "in[2..4]");
  EXPECT_EQ(toString(in({2, 0})), "in[]");
  EXPECT_EQ(toString(sealed(via({1, 0}, k2), {.sender = 1, .receiver = 0, .index = 3})),
            "1>0[2]{key 1>0 #3}");
  EXPECT_EQ(toString(sealed(via({1, kEveryone}, k2), {.sender = 1, .index = 3})),
            "1>*[2]{key 1>* #3}");
}

TEST(Print, ShowsAScheduleRankByRank) {
  Schedule schedule;
  schedule.name = "pass";
  schedule.shape = {.worldSize = 2, .inPlace = true, .multicast = false};
  schedule.chunks = 2;
  schedule.scratchChunks = 1;
  schedule.programs = {{.lanes = {{move({via({0, 1}, k2)}, {in(k2)})}, {}}},
                       {.lanes = {{move({out(k2)}, {via({0, 1}, k2)})}}}};
  EXPECT_EQ(toString(schedule),
            "allreduce pass: world 2, chunks 2, in place, unicast, scratch 1\n"
            "rank 0, lane 0\n"
            "  0  send 0>1[2] <- in[2]\n"
            "rank 0, lane 1\n"
            "rank 1\n"
            "  0  recv out[2] <- 0>1[2]\n");
  schedule.shape = {.worldSize = 2, .inPlace = false, .multicast = true};
  schedule.scratchChunks = 0;
  schedule.exposes = true;
  EXPECT_EQ(toString(schedule, 1),
            "allreduce pass: world 2, chunks 2, out of place, multicast, exposed\n"
            "rank 1\n"
            "  0  recv out[2] <- 0>1[2]\n");
}

}  // namespace
}  // namespace lockstep::schedule
