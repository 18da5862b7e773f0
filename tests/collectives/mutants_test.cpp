// Each mutant is a right schedule with one thing broken: the verifier must say which.
#include "mutants.hpp"

#include "verify_examples.hpp"

namespace lockstep::schedule {
namespace {

using namespace examples;
using namespace mutants;

constexpr Range kWhole{0, 1};

TEST(Mutants, IllFormedOperations) {
  expectCaught(
      {
          {"program missing", oneShot(3), [](Schedule& s) { s.programs.pop_back(); },
           "2 programs for 3 ranks"},
          {"world too large", oneShot(3), [](Schedule& s) { s.shape.worldSize = 65; },
           "world size 65"},
          {"no chunks", oneShot(2), [](Schedule& s) { s.chunks = 0; }, "no chunks"},
          {"no source", oneShot(2), [](Schedule& s) { op(s, 0, 0).src.clear(); }, "has no source"},
          {"no destination", oneShot(2), [](Schedule& s) { op(s, 0, 0).dst.clear(); },
           "has no destination"},
          {"sync with operand", exposedOneShot(2),
           [](Schedule& s) { op(s, 1, 0).src.push_back(in(kWhole)); }, "takes no operands"},
          {"forward of two", chain(), [](Schedule& s) { op(s, 1, 1).src.push_back(in(kWhole)); },
           "a forward has one source"},
          {"forward of memory", chain(), [](Schedule& s) { op(s, 1, 1).src[0] = in(kWhole); },
           "a forward has one source, a channel"},
          {"forward that finishes", chain(), [](Schedule& s) { op(s, 1, 1).finish = true; },
           "only a move can finish"},
          {"writes in", oneShot(2), [](Schedule& s) { op(s, 0, 1).dst[0] = in(kWhole); },
           "writes in"},
          {"chunk out of bounds", oneShot(2),
           [](Schedule& s) {
             op(s, 0, 1).dst[0].range = {1, 1};
           },
           "the tile has 1"},
          {"chunk wraps around", oneShot(2),
           [](Schedule& s) {
             op(s, 0, 1).dst[0].range = {1, ~0U};
           },
           "out of bounds"},
          {"scratch out of bounds", byScratch(), [](Schedule& s) { s.scratchChunks = 1; },
           "scratch has 1"},
          {"wrong writer", oneShot(3),
           [](Schedule& s) {
             op(s, 0, 0).dst[0].channel = {1, 2};
           },
           "writes a channel whose writer is rank 1"},
          {"reads another's channel", oneShot(3),
           [](Schedule& s) {
             op(s, 0, 1).src[1].channel = {1, 2};
           },
           "not a reader of"},
          {"self channel", oneShot(2),
           [](Schedule& s) {
             op(s, 0, 0).dst[0].channel = {0, 0};
           },
           "no channel to itself"},
          {"no such rank", oneShot(2),
           [](Schedule& s) {
             op(s, 0, 0).dst[0].channel = {0, 2};
           },
           "outside 0..1"},
          {"different chunks", byScratch(),
           [](Schedule& s) {
             op(s, 0, 0).src[0].range = {1, 1};
           },
           "name different chunks"},
          {"different sizes", byScratch(),
           [](Schedule& s) {
             op(s, 0, 4).dst[0].range = {0, 2};
           },
           "different numbers of chunks"},
          {"writes twice", oneShot(2), [](Schedule& s) { op(s, 0, 1).dst.push_back(out(kWhole)); },
           "writes the same memory twice"},
          {"only scratch", byScratch(),
           [](Schedule& s) {
             lane(s, 0).push_back(move({scratch({0, 1})}, {scratch({1, 1})}));
           },
           "nothing but scratch"},
          {"shifted copy onto itself", byScratch(),
           [](Schedule& s) {
             s.scratchChunks = 3;
             lane(s, 0).push_back(move({scratch({1, 2})}, {scratch({0, 2})}));
           },
           "overlaps a source at another place"},
      },
      {});
}

TEST(Mutants, Messages) {
  expectCaught(
      {
          {"dropped send", oneShot(3), [](Schedule& s) { drop(s, 1, 0); }, "has no send"},
          {"dropped receive", oneShot(3), [](Schedule& s) { drop(s, 1, 1); }, "has no receive"},
          {"send without receive", chain(),
           [](Schedule& s) {
             lane(s, 2).push_back(move({via({2, 0}, kWhole)}, {in(kWhole)}));
           },
           "channel 2>0: rank 2 sends 1 messages per tile but rank 0 receives 0"},
          {"receive without send", chain(),
           [](Schedule& s) {
             lane(s, 2).push_back(move({out(kWhole)}, {via({0, 2}, kWhole)}));
           },
           "sends 0 messages per tile but rank 2 receives 1"},
          {"one reader of a multicast too few", oneShot(3),
           [](Schedule& s) {
             op(s, 0, 0).dst = {via({0, kEveryone}, kWhole)};
           },
           "channel 0>*: rank 0 sends 1 messages per tile but rank 1 receives 0"},
          {"receives in another order", byScratch(), [](Schedule& s) { swapOps(s, 0, 2, 3); },
           "message 0 carries chunks 0+1 but"},
          {"a channel written by two lanes", byScratch(),
           [](Schedule& s) {
             s.programs[0].lanes.push_back({op(s, 0, 1)});
             drop(s, 0, 1);
           },
           "channel 0>1 is written by two lanes, 0 and 1, of rank 0"},
          {"a channel read by two lanes", byScratch(),
           [](Schedule& s) {
             s.programs[0].lanes.push_back({op(s, 0, 3)});
             drop(s, 0, 3);
           },
           "channel 1>0 is read by two lanes"},
          {"forwarded in a circle", oneShot(2),
           [](Schedule& s) {
             for (int r = 0; r < 2; ++r)
               s.programs[r].lanes = {
                   {forward({via({r, 1 - r}, kWhole), out(kWhole)}, via({1 - r, r}, kWhole))}};
           },
           "forwarded in a circle"},
      },
      {});
}

TEST(Mutants, Progress) {
  expectCaught(
      {
          {"all receive first", oneShot(2),
           [](Schedule& s) {
             swapOps(s, 0, 0, 1);
             swapOps(s, 1, 0, 1);
           },
           "deadlock, a circular wait: rank"},
          {"passes on before it sends", chain(), [](Schedule& s) { swapOps(s, 1, 0, 1); },
           "circular wait"},
          {"all acquire first", exposedOneShot(2),
           [](Schedule& s) {
             swapOps(s, 0, 0, 1);
             swapOps(s, 1, 0, 1);
           },
           "circular wait"},
          {"three sends before any is taken", oneShot(2),
           [](Schedule& s) {
             for (int r = 0; r < 2; ++r) {
               const Op send = op(s, r, 0);
               lane(s, r).insert(lane(s, r).begin(), {send, send});
               for (int i = 0; i < 2; ++i)
                 lane(s, r).push_back(move({out(kWhole)}, {via({1 - r, r}, kWhole)}));
             }
           },
           "circular wait"},
      },
      {});
}

TEST(Mutants, Results) {
  expectCaught(
      {
          {"never written", byScratch(), [](Schedule& s) { drop(s, 1, 5); },
           "out[1] of rank 1 is never written"},
          {"reduces before it has received", byScratch(),
           [](Schedule& s) {
             const Op reduce = op(s, 0, 4);
             drop(s, 0, 4);
             lane(s, 0).insert(lane(s, 0).begin() + 2, reduce);
           },
           "reads scratch[0] of rank 0 before it is written"},
          {"reads out too early", oneShot(2), [](Schedule& s) { op(s, 0, 0).src[0] = out(kWhole); },
           "reads out[0] of rank 0 before it is written"},
          {"wrong chunk", byScratch(),
           [](Schedule& s) { std::swap(op(s, 0, 2).dst[0].range, op(s, 0, 3).dst[0].range); },
           "out[0] of rank 0 has inputs of other chunks: it is round(in0 + in1[1])"},
          {"doubled input", oneShot(3), [](Schedule& s) { op(s, 1, 1).src.push_back(in(kWhole)); },
           "has the input of rank 1 more than once: it is round(in0 + in1 + in2 + in1)"},
          {"missing input", oneShot(3),
           [](Schedule& s) { op(s, 2, 1).src.erase(op(s, 2, 1).src.begin() + 2); },
           "out[0] of rank 2 lacks the input of rank 2: it is round(in0 + in1)"},
          {"sends a partial result", chain(),
           [](Schedule& s) { op(s, 1, 0).src.erase(op(s, 1, 0).src.begin()); },
           "lacks the input of rank 1"},
          {"missing finish", oneShot(2), [](Schedule& s) { op(s, 1, 1).finish = false; },
           "out[0] of rank 1 is never finished"},
          {"finished twice", oneShot(2),
           [](Schedule& s) { lane(s, 0).push_back(move({out(kWhole)}, {out(kWhole)}, true)); },
           "finishes what is finished"},
          {"finished too early", chain(), [](Schedule& s) { op(s, 1, 0).finish = true; },
           "finishes an incomplete reduction"},
          {"finished too late", oneShot(2),
           [](Schedule& s) {
             op(s, 0, 1).finish = false;
             lane(s, 0).push_back(move({out(kWhole)}, {out(kWhole)}, true));
           },
           "finishes what is already rounded"},
          {"a barrier for some", barrier(3),
           [](Schedule& s) {
             op(s, 0, 0).dst.pop_back();
             op(s, 2, 1).src.erase(op(s, 2, 1).src.begin());
           },
           "no barrier: rank 2 may leave before rank 0 has come"},
      },
      {});
}

TEST(Mutants, Races) {
  expectCaught(
      {
          {"two lanes write out", oneShotTwoLanes(2),
           [](Schedule& s) { lane(s, 0).push_back(move({out(kWhole)}, {in(kWhole)})); },
           "race on out[0] of rank 0"},
          {"in place in two lanes", oneShotTwoLanes(2), [](Schedule& s) { s.shape.inPlace = true; },
           "race on out[0] of rank"},
          {"scratch shared by lanes", byScratch(),
           [](Schedule& s) {
             s.programs[1].lanes.push_back({move({scratch({0, 1})}, {in({0, 1})})});
           },
           "race on scratch[0] of rank 1"},
          {"in-place one-shot by exposure", exposedOneShot(2),
           [](Schedule& s) { s.shape.inPlace = true; }, "race on out[0] of rank"},
          {"reads what peers write", exposedTwoShot(2),
           [](Schedule& s) {
             s.scratchChunks = 1;
             lane(s, 0).insert(lane(s, 0).begin() + 3, move({scratch({0, 1})}, {out({1, 1})}));
           },
           "race on out[1] of rank 0"},
          {"writes what its owner writes", exposedOneShot(2),
           [](Schedule& s) { op(s, 0, 2).dst.push_back(remoteOut(1, kWhole)); },
           "race on out[0] of rank 1"},
          {"writes after the owner has returned", exposedTwoShot(2),
           [](Schedule& s) { s.programs[0].lanes.push_back({op(s, 0, 2)}); },
           "touches a peer's memory before acquire"},
      },
      {});
}

TEST(Mutants, Exposure) {
  expectCaught(
      {
          {"not declared", exposedOneShot(2), [](Schedule& s) { s.exposes = false; },
           "remote memory without exposure"},
          {"no expose", exposedOneShot(2), [](Schedule& s) { drop(s, 0, 0); },
           "rank 0 has 0 expose operations, 1 expected"},
          {"no acquire", exposedOneShot(2), [](Schedule& s) { drop(s, 0, 1); },
           "rank 0 has 0 acquire operations"},
          {"no release", exposedOneShot(2), [](Schedule& s) { drop(s, 0, 3); },
           "rank 0 has 0 release operations"},
          {"no close", exposedOneShot(2), [](Schedule& s) { drop(s, 1, 4); },
           "rank 1 has 0 close operations"},
          {"closes twice", exposedOneShot(2),
           [](Schedule& s) { lane(s, 1).push_back(sync(OpKind::close)); },
           "rank 1 has 2 close operations"},
          {"reads before acquire", exposedOneShot(2), [](Schedule& s) { swapOps(s, 0, 1, 2); },
           "touches a peer's memory before acquire"},
          {"releases too early", exposedOneShot(2), [](Schedule& s) { swapOps(s, 0, 2, 3); },
           "touches a peer's memory after release"},
          {"reads after close", exposedOneShot(2),
           [](Schedule& s) {
             lane(s, 1).push_back(op(s, 1, 2));
             drop(s, 1, 2);
           },
           "touches a peer's memory after release"},
          {"closes before it releases", exposedOneShot(2), [](Schedule& s) { swapOps(s, 0, 3, 4); },
           "close) is not after this rank's release"},
          {"acquires before it exposes", exposedOneShot(2),
           [](Schedule& s) { swapOps(s, 0, 0, 1); }, "acquire) is not after this rank's expose"},
          {"acquires in another lane", exposedOneShot(2),
           [](Schedule& s) {
             s.programs[0].lanes.push_back({op(s, 0, 2)});
             drop(s, 0, 2);
           },
           "touches a peer's memory before acquire"},
          {"peer is itself", exposedOneShot(2), [](Schedule& s) { op(s, 0, 2).src[1].rank = 0; },
           "rank 0 is no peer of rank 0"},
          {"peers' scratch", exposedOneShot(2),
           [](Schedule& s) {
             s.scratchChunks = 1;
             op(s, 0, 2).src[1].buffer = BufferName::scratch;
           },
           "scratch is not exposed"},
      },
      {});
}

TEST(Mutants, Seals) {
  expectCaught(
      {
          {"plaintext on a channel", sealedPairwise(oneShot(3)),
           [](Schedule& s) { op(s, 0, 0).dst[1].seal = {}; }, "plaintext: rank 0"},
          {"another's key", sealedPairwise(oneShot(3)),
           [](Schedule& s) {
             op(s, 0, 0).dst[0].seal = {1, 0, 0};
             op(s, 1, 1).src[0].seal = {1, 0, 0};
           },
           "seals under key 1>0, which is not its own"},
          {"opened under another key", sealedPairwise(oneShot(3)),
           [](Schedule& s) {
             op(s, 1, 1).src[0].seal = {2, 1, 0};
           },
           "expects key 2>1 index 0 but the message carries key 0>1 index 0"},
          {"reduced before it is opened", sealedPairwise(oneShot(3)),
           [](Schedule& s) { op(s, 1, 1).src[0].seal = {}; },
           "expects no seal but the message carries key 0>1"},
          {"opened by who lacks the key", sealedPairwise(oneShot(3)),
           [](Schedule& s) {
             op(s, 0, 0).dst[0].seal = {0, 2, 1};
             op(s, 1, 1).src[0].seal = {0, 2, 1};
           },
           "opens what is under key 0>2, which it does not hold"},
          {"index used twice", sealedPairwise(byScratch()),
           [](Schedule& s) {
             op(s, 0, 1).dst[0].seal.index = 0;
             op(s, 1, 3).src[0].seal.index = 0;
           },
           "nonce used twice: key 0>1 index 0"},
          {"index left out", sealedPairwise(byScratch()),
           [](Schedule& s) {
             op(s, 0, 1).dst[0].seal.index = 2;
             op(s, 1, 3).src[0].seal.index = 2;
           },
           "the indices of key 0>1 have a gap: 2 messages, up to index 2"},
          {"indices crossed at the reader", sealedPairwise(byScratch()),
           [](Schedule& s) { std::swap(op(s, 1, 2).src[0].seal, op(s, 1, 3).src[0].seal); },
           "expects key 0>1 index 1 but the message carries key 0>1 index 0"},
          {"forward of what is for one", sealedChain(),
           [](Schedule& s) {
             const Seal pair{0, 1, 0};
             op(s, 0, 0).dst[1].seal = pair;
             op(s, 1, 1).src[0].seal = pair;
             op(s, 1, 1).dst[0].seal = pair;
             op(s, 2, 1).src[0].seal = pair;
           },
           "forwards what is under key 0>1, which no one further on can open"},
          {"forward under another seal", sealedChain(),
           [](Schedule& s) {
             op(s, 1, 1).dst[0].seal = {1, 2, 0};
             op(s, 2, 1).src[0].seal = {1, 2, 0};
           },
           "forwards the group key of rank 0 index 0 as if it were key 1>2 index 0"},
          {"forward unsealed", sealedChain(), [](Schedule& s) { op(s, 1, 1).dst[0].seal = {}; },
           "plaintext: rank 1"},
          {"memory written before it is opened", sealedChain(),
           [](Schedule& s) { op(s, 1, 1).src[0].seal = {}; },
           "expects no seal but the message carries the group key of rank 0"},
          {"last reader expects a hop's key", sealedChain(),
           [](Schedule& s) {
             op(s, 2, 1).src[0].seal = {1, 2, 0};
           },
           "expects key 1>2 index 0 but the message carries the group key of rank 0"},
          {"exposure", sealedPairwise(oneShot(2)), [](Schedule& s) { s = exposedOneShot(2); },
           "exposed memory under sealing"},
      },
      {.sealed = true});
}

}  // namespace
}  // namespace lockstep::schedule
