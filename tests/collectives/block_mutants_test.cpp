// Mutants of collectives with blocks or a root: see mutants_test.cpp.
#include "block_examples.hpp"
#include "mutants.hpp"
#include "verify_examples.hpp"

namespace lockstep::schedule {
namespace {

using namespace examples;
using namespace mutants;

TEST(BlockMutants, Buffers) {
  expectCaught(
      {
          {"no such root", broadcast(), [](Schedule& s) { s.shape.root = 3; },
           "root 3 is outside 0..2"},
          {"another root", broadcast(), [](Schedule& s) { s.shape.root = 1; },
           "rank 0 lane 0 op 0 (send 0>1[0] <- in[0]): chunks 0..0 are out of bounds"},
          {"reads an input that only the root has", scatter(),
           [](Schedule& s) { op(s, 1, 0).src[0] = in(nth(0)); },
           "rank 1 lane 0 op 0 (copy out[0] <- in[0]): chunks 0..0 are out of bounds"},
          {"writes an output that only the root has", reduce(),
           [](Schedule& s) { op(s, 2, 0).dst.push_back(out(nth(0))); },
           "(send 2>0[0], out[0] <- in[0]): chunks 0..0 are out of bounds"},
          {"writes an output that a peer does not have", exposedGather(),
           [](Schedule& s) { op(s, 1, 2).dst[0].rank = 2; },
           "(writeRemote out@2[1] <- in[0]): chunks 1..1 are out of bounds"},
          {"a block too many", allGather(), [](Schedule& s) { op(s, 2, 3).dst[0].range = nth(3); },
           "chunks 3..3 are out of bounds"},
          {"two blocks at once", packedAllGather(),
           [](Schedule& s) {
             lane(s, 1).push_back(move({out({0, 2})}, {scratch({1, 2})}));
           },
           "several blocks of in or out are not one piece of memory"},
          {"from one block into the next", allToAll(),
           [](Schedule& s) {
             op(s, 0, 0).src[0].range = {1, 2};
           },
           "several blocks of in or out are not one piece of memory"},
          {"a message across blocks of several chunks", allToAll(),
           [](Schedule& s) {
             op(s, 0, 0).dst[0].range = op(s, 1, 3).src[0].range = {1, 2};
           },
           "chunks of several blocks, which differ in size"},
          {"a chunk to the place of another", allToAll(),
           [](Schedule& s) {
             op(s, 0, 0) = move({via({0, 1}, nth(0))}, {in(nth(3))});
           },
           "operands name different chunks"},
          {"the root writes what it scatters", scatter(),
           [](Schedule& s) { lane(s, 0).push_back(move({in(nth(1))}, {in(nth(2))})); },
           "writes in, which is the caller's"},
      },
      {});
}

TEST(BlockMutants, Messages) {
  expectCaught(
      {
          {"a gather that never arrives", gather(), [](Schedule& s) { drop(s, 0, 2); },
           "channel 2>0: rank 2 sends 1 messages per tile but rank 0 receives 0"},
          {"a broadcast that ends half way", broadcast(),
           [](Schedule& s) { op(s, 1, 0).dst.erase(op(s, 1, 0).dst.begin()); },
           "channel 1>2: rank 1 sends 0 messages per tile but rank 2 receives 1"},
          {"a block to the wrong rank", scatter(),
           [](Schedule& s) {
             op(s, 0, 1).dst[0].channel = {0, 1};
           },
           "channel 0>1: rank 0 sends 2 messages per tile but rank 1 receives 1"},
          {"one block of two", packedAllGather(),
           [](Schedule& s) {
             op(s, 0, 3) = move({via({0, 2}, nth(0))}, {scratch(nth(0))});
           },
           "channel 0>2: message 1 carries chunks 0+1 but"},
          {"everyone receives before it sends", allToAll(),
           [](Schedule& s) {
             for (int r = 0; r < kThree; ++r) swapOps(s, r, 0, 2);
           },
           "circular wait"},
      },
      {});
}

TEST(BlockMutants, Results) {
  expectCaught(
      {
          {"two blocks change places", allGather(),
           [](Schedule& s) { std::swap(op(s, 0, 2).dst, op(s, 0, 3).dst); },
           "out[1] of rank 0 has the input of rank 2, which does not belong there: it is in2"},
          {"two ranks get each other's block", scatter(),
           [](Schedule& s) { std::swap(op(s, 0, 0).src, op(s, 0, 1).src); },
           "out[0] of rank 1 has inputs of other chunks: it is in0[2]"},
          {"one block for two ranks", scatter(),
           [](Schedule& s) { op(s, 0, 1).src = op(s, 0, 0).src; },
           "out[0] of rank 2 has inputs of other chunks: it is in0[1]"},
          {"packed in another order", packedAllGather(),
           [](Schedule& s) { std::swap(op(s, 1, 6).src, op(s, 1, 7).src); },
           "out[2] of rank 1 has the input of rank 0, which does not belong there"},
          {"the root keeps nothing", broadcast(), [](Schedule& s) { drop(s, 0, 1); },
           "out[0] of rank 0 is never written"},
          {"passed on and not kept", broadcast(), [](Schedule& s) { op(s, 1, 0).dst.pop_back(); },
           "out[0] of rank 1 is never written"},
          {"neither sent nor received", gather(),
           [](Schedule& s) {
             drop(s, 0, 2);
             drop(s, 2, 0);
           },
           "out[2] of rank 0 is never written"},
          {"without the root's part", reduce(),
           [](Schedule& s) { op(s, 0, 0).src.erase(op(s, 0, 0).src.begin()); },
           "lacks the input of rank 0"},
          {"the root's part twice", reduce(),
           [](Schedule& s) { op(s, 0, 0).src.push_back(in(nth(0))); },
           "has the input of rank 0 more than once"},
          {"reduced and not finished", reduce(), [](Schedule& s) { op(s, 0, 0).finish = false; },
           "out[0] of rank 0 is never finished"},
          {"finished though nothing is reduced", gather(),
           [](Schedule& s) { op(s, 0, 1).finish = true; }, "finishes an incomplete reduction"},
          {"reduces what is only to be gathered", gather(),
           [](Schedule& s) { op(s, 0, 1).src.push_back(in(nth(0))); },
           "out[1] of rank 0 has the input of rank 0, which does not belong there"},
          {"adds another block of its own", reduceScatter(),
           [](Schedule& s) { op(s, 1, 2).src[0] = in(nth(0)); },
           "out[0] of rank 1 has inputs of other chunks"},
          {"reduces the block of another rank", reduceScatter(),
           [](Schedule& s) {
             for (int q = 0; q < kThree; ++q)  // everyone sends rank 2 what is rank 0's
               if (q != 2)
                 for (Op& send : s.programs[q].lanes[0])
                   if (!send.finish && send.dst[0].channel.reader == 2) send.src[0] = in(nth(0));
             op(s, 2, 2).src[0] = in(nth(0));
           },
           "out[0] of rank 2 has inputs of other chunks: it is round(in2[0] + in0[0] + in1[0])"},
      },
      {});
}

TEST(BlockMutants, InPlace) {
  expectCaught(
      {
          // Sends and receives by turns are right only if partners are mutual.
          {"receives where it has not sent from yet", allToAll(),
           [](Schedule& s) {
             for (int r = 0; r < kThree; ++r)  // send next, receive previous, then the reverse
               lane(s, r) = {op(s, r, 0), op(s, r, 3), op(s, r, 1), op(s, r, 2)};
           },
           "out[2] of rank 0 has inputs of other chunks"},
          {"reads what peers overwrite", exposedAllToAll(),
           [](Schedule& s) { s.shape.inPlace = true; }, "race on out["},
          {"sends its result for an input", reduceScatter(),
           [](Schedule& s) {
             s.shape.inPlace = true;
             op(s, 0, 0).src[0] = in(nth(0));
             swapOps(s, 0, 0, 2);
           },
           "finishes what is finished"},
          {"the copy of its own block overwrites another", allGather(),
           [](Schedule& s) {
             s.shape.inPlace = true;
             op(s, 1, 1).dst[0].range = nth(0);
             op(s, 1, 3).dst[0].range = nth(1);
           },
           "out[0] of rank 1 has the input of rank 1, which does not belong there"},
      },
      {});
}

TEST(BlockMutants, Seals) {
  expectCaught(
      {
          {"a block in the clear", sealedPairwise(gather()),
           [](Schedule& s) { op(s, 2, 0).dst[0].seal = {}; }, "plaintext: rank 2"},
          {"a block under another reader's key", sealedPairwise(scatter()),
           [](Schedule& s) {
             op(s, 0, 0).dst[0].seal = {0, 2, 1};
             op(s, 1, 0).src[0].seal = {0, 2, 1};
           },
           "opens what is under key 0>2, which it does not hold"},
          {"two blocks under one nonce", sealedPairwise(packedAllGather()),
           [](Schedule& s) {
             op(s, 0, 3).dst[0].seal.index = 0;
             op(s, 2, 4).src[0].seal.index = 0;
           },
           "nonce used twice: key 0>2 index 0"},
          {"exposed blocks", sealedPairwise(gather()), [](Schedule& s) { s = exposedGather(); },
           "exposed memory under sealing"},
      },
      {.sealed = true});
}

}  // namespace
}  // namespace lockstep::schedule
