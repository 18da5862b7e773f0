// What the secure pass made, with one thing of it broken: each mutant must be rejected, and by the
// proof that it is meant to break. Schedules come from the generators and the pass itself.
//
//   proof                        mutants of
//   no plaintext outside         seals and opens left out, exposure, a barrier without a record
//   a sealer uses its own keys   keys swapped, turned round, borrowed from another member
//   a reader holds the key       pairwise where many read, a rank that does not exist
//   both ends name one seal      splices: another pair, epoch of the tile, hop, index or channel
//   no nonce twice, none lost    indices reused, skipped, out of range, under every kind of key
//   forwards stay shut           resealed, renamed, unsealed or forwarded under a pairwise key
//   results, races, progress     reduced, sent or overwritten before it was opened
#include <array>

#include <fmt/format.h>

#include "cc_mode/secure_pass.hpp"
#include "collectives/mutants.hpp"
#include "collectives/registry.hpp"

namespace lockstep::cc {
namespace {

using namespace schedule;
using namespace schedule::mutants;

constexpr bool kPairwise = false, kGroup = true;

/// An algorithm as the pass seals it: with group keys delivered by multicast, else by unicast.
Schedule sealed(Collective collective, std::string_view name, int world, bool keys) {
  const Algorithm* algorithm = findAlgorithm(collective, name, Edges::channels);
  if (algorithm == nullptr) throw std::runtime_error(fmt::format("no algorithm {}", name));
  Schedule s = generate(*algorithm, {.worldSize = world, .multicast = keys});
  return secure(keys ? std::move(s) : deliverUnicast(std::move(s)), keys);
}
Schedule allReduceOf(std::string_view name, int world, bool keys) {
  return sealed(Collective::allReduce, name, world, keys);
}

/// A broadcast of two chunks in a row, 0 to 1 to 2: rank 0 seals two messages, rank 1 passes on.
Schedule chain(bool keys) {
  Schedule s;
  s.name = "chain";
  s.collective = Collective::broadcast;
  s.shape.worldSize = 3;
  s.chunks = 2;
  Lane first, second, third;
  for (std::uint32_t k = 0; k < 2; ++k) {
    const Range r{k, 1};
    first.push_back(move({out(r), via({0, 1}, r)}, {in(r)}));
    second.push_back(forward({via({1, 2}, r), out(r)}, via({0, 1}, r)));
    third.push_back(move({out(r)}, {via({1, 2}, r)}));
  }
  s.programs = {{{first}}, {{second}}, {{third}}};
  return secure(s, keys);
}

/// Both ends of message `number` of a channel.
struct Ends {
  Operand* sent = nullptr;
  std::vector<Operand*> received;
  void reseal(const Seal& seal) const {
    sent->seal = seal;
    for (Operand* operand : received) operand->seal = seal;
  }
};
Ends ends(Schedule& s, Channel channel, int number = 0) {
  Ends found;
  for (Program& program : s.programs)
    for (Lane& lane : program.lanes) {
      int sent = 0, received = 0;
      for (Op& op : lane) {
        for (Operand& o : op.dst)
          if (o.kind == Operand::Kind::channel && o.channel == channel && sent++ == number)
            found.sent = &o;
        for (Operand& o : op.src)
          if (o.kind == Operand::Kind::channel && o.channel == channel && received++ == number)
            found.received.push_back(&o);
      }
    }
  if (found.sent == nullptr || found.received.empty())
    throw std::runtime_error(
        fmt::format("no message {} from {} to {}", number, channel.writer, channel.reader));
  return found;
}

constexpr Channel k01{0, 1}, k12{1, 2}, k02{0, 2}, k10{1, 0}, k0All{0, kEveryone};

void expectRejected(const std::vector<Mutant>& mutants) {
  expectCaught(mutants, {.sealed = true});
}

TEST(SecureMutants, NoPlaintextOutside) {
  const Schedule pairwise = allReduceOf("two_shot", 3, kPairwise);
  const Schedule group = allReduceOf("one_shot", 3, kGroup);
  const Schedule barrier = sealed(Collective::barrier, "dissemination", 4, kPairwise);
  expectRejected({
      {"a seal left out", pairwise, [](Schedule& s) { ends(s, k01).sent->seal = {}; },
       "sends without a seal"},
      {"seal and open left out", pairwise, [](Schedule& s) { ends(s, k01).reseal({}); },
       "plaintext: rank 0"},
      {"a seal left out of a multicast", group, [](Schedule& s) { ends(s, k0All).reseal({}); },
       "plaintext: rank 0"},
      {"one tile's message of many", allReduceOf("ring", 4, kPairwise),
       [](Schedule& s) { ends(s, k12, 3).reseal({}); }, "plaintext: rank 1"},
      {"a barrier without a record", barrier, [](Schedule& s) { ends(s, k01).reseal({}); },
       "plaintext: rank 0"},
      {"a barrier that one rank opens as a flag", barrier,
       [](Schedule& s) { ends(s, k01).received[0]->seal = {}; },
       "expects no seal but the message carries key 0>1"},
      {"an open left out: ciphertext is reduced", pairwise,
       [](Schedule& s) { ends(s, k01).received[0]->seal = {}; },
       "expects no seal but the message carries key 0>1"},
      {"memory that peers read", pairwise,
       [](Schedule& s) {
         s = generate(*findAlgorithm(Collective::allReduce, "two_shot", Edges::exposure),
                      {.worldSize = 3});
       },
       "exposed memory under sealing"},
      {"a barrier edge that is gone", barrier,
       [](Schedule& s) {
         const auto on = [](const Operand& o) { return o.channel == k01; };
         for (int rank : {0, 1})
           for (Op& op : lane(s, rank)) {
             std::erase_if(op.dst, on);
             std::erase_if(op.src, on);
           }
         for (int rank : {0, 1})
           std::erase_if(lane(s, rank),
                         [](const Op& op) { return op.dst.empty() || op.src.empty(); });
       },
       "no barrier: rank"},
  });
}

TEST(SecureMutants, ASealerUsesItsOwnKeys) {
  const Schedule pairwise = allReduceOf("two_shot", 3, kPairwise);
  expectRejected({
      {"the key of the other direction", pairwise,
       [](Schedule& s) {
         ends(s, k01).reseal({1, 0, 0});
       },
       "seals under key 1>0, which is not its own"},
      {"another pair's key", pairwise,
       [](Schedule& s) {
         ends(s, k01).reseal({2, 1, 0});
       },
       "seals under key 2>1, which is not its own"},
      {"another member's group key", allReduceOf("one_shot", 3, kGroup),
       [](Schedule& s) {
         ends(s, k0All).reseal({1, kEveryone, 0});
       },
       "seals under the group key of rank 1, which is not its own"},
  });
}

TEST(SecureMutants, AReaderHoldsTheKey) {
  const Schedule pairwise = allReduceOf("two_shot", 3, kPairwise);
  const Schedule group = allReduceOf("one_shot", 3, kGroup);
  expectRejected({
      {"sealed for somebody else", pairwise,
       [](Schedule& s) {
         ends(s, k01).reseal({0, 2, 2});
       },
       "opens what is under key 0>2, which it does not hold"},
      {"a multicast under a pairwise key", group,
       [](Schedule& s) {
         ends(s, k0All).reseal({0, 1, 0});
       },
       "opens what is under key 0>1, which it does not hold"},
      {"a rank that does not exist", pairwise,
       [](Schedule& s) {
         ends(s, k01).reseal({0, 9, 0});
       },
       "opens what is under key 0>9, which it does not hold"},
  });
}

TEST(SecureMutants, BothEndsNameOneSeal) {
  const Schedule pairwise = allReduceOf("two_shot", 3, kPairwise);
  const Schedule ring = allReduceOf("ring", 4, kPairwise);
  expectRejected({
      {"two readers' records exchanged", pairwise,
       [](Schedule& s) { std::swap(ends(s, k01).sent->seal, ends(s, k02).sent->seal); },
       "expects key 0>1 index 0 but the message carries key 0>2"},
      {"opened under the key of the other direction", pairwise,
       [](Schedule& s) {
         ends(s, k01).received[0]->seal = {1, 0, 0};
       },
       "expects key 1>0 index 0 but the message carries key 0>1"},
      {"opened under another sender's key", pairwise,
       [](Schedule& s) {
         ends(s, k01).received[0]->seal = {2, 1, 0};
       },
       "expects key 2>1 index 0 but the message carries key 0>1"},
      {"opened under the group key", pairwise,
       [](Schedule& s) {
         ends(s, k01).received[0]->seal = {0, kEveryone, 0};
       },
       "expects the group key of rank 0 index 0 but the message carries key 0>1"},
      {"a group key where a pair's is expected", pairwise,
       [](Schedule& s) {
         ends(s, k01).sent->seal = {0, kEveryone, 0};
       },
       "expects key 0>1 index 0 but the message carries the group key of rank 0"},
      {"records of one channel exchanged at the reader", ring,
       [](Schedule& s) {
         std::swap(ends(s, k01, 0).received[0]->seal, ends(s, k01, 1).received[0]->seal);
       },
       "expects key 0>1 index 1 but the message carries key 0>1 index 0"},
      {"a record of the phase before, replayed", ring,
       [](Schedule& s) { ends(s, k01, 3).received[0]->seal.index = 0; },
       "expects key 0>1 index 0 but the message carries key 0>1 index 3"},
      {"one reader of a multicast expects another index", allReduceOf("one_shot", 3, kGroup),
       [](Schedule& s) { ends(s, k0All).received[1]->seal.index = 1; },
       "expects the group key of rank 0 index 1 but the message carries the group key of rank 0 "
       "index 0"},
  });
}

TEST(SecureMutants, NoNonceTwiceAndNoneLost) {
  const Schedule ring = allReduceOf("ring", 4, kPairwise);
  const auto toIndex = [](Channel channel, int message, std::uint32_t index) {
    return [=](Schedule& s) {
      const Ends both = ends(s, channel, message);
      Seal seal = both.sent->seal;
      seal.index = index;
      both.reseal(seal);
    };
  };
  expectRejected({
      {"an index reused under a pairwise key", ring, toIndex(k01, 1, 0),
       "nonce used twice: key 0>1 index 0"},
      {"the last one reused", ring, toIndex(k01, 5, 4), "nonce used twice: key 0>1 index 4"},
      {"an index left out", ring, toIndex(k01, 5, 6), "the indices of key 0>1 have a gap"},
      {"an index far beyond the tile's", ring, toIndex(k01, 5, ~0U),
       "the indices of key 0>1 have a gap"},
      {"an index reused under a group key", chain(kGroup),
       [](Schedule& s) {
         for (const Channel channel : {k01, k12}) ends(s, channel, 1).reseal({0, kEveryone, 0});
       },
       "nonce used twice: the group key of rank 0 index 0"},
      {"two channels under one key and index", allReduceOf("two_shot", 3, kPairwise),
       [](Schedule& s) {
         ends(s, k02).reseal({0, 1, 0});
       },
       "nonce used twice: key 0>1 index 0"},
      {"both phases of a two-shot under one nonce", allReduceOf("two_shot", 3, kPairwise),
       [](Schedule& s) { ends(s, k01, 1).reseal(ends(s, k01, 0).sent->seal); },
       "nonce used twice: key 0>1 index 0"},
      {"a nonce for what is never sealed", ring,
       [](Schedule& s) {
         for (Op& op : lane(s, 0))
           for (Operand& o : op.dst)
             if (o.kind == Operand::Kind::memory) o.seal = {0, 1, 6};
       },
       "on memory, which is never sealed"},
  });
}

TEST(SecureMutants, ForwardsStayShut) {
  const Schedule shut = chain(kGroup);
  expectRejected({
      {"forwarded under a pairwise key", shut,
       [](Schedule& s) {
         for (const Channel channel : {k01, k12}) ends(s, channel).reseal({0, 1, 0});
       },
       "forwards what is under key 0>1, which no one further on can open"},
      {"forwarded under the hop's key", shut,
       [](Schedule& s) {
         ends(s, k12).reseal({1, 2, 0});
       },
       "forwards the group key of rank 0 index 0 as if it were key 1>2 index 0"},
      {"forwarded as if it were another message", shut,
       [](Schedule& s) {
         ends(s, k12).reseal({0, kEveryone, 1});
       },
       "forwards the group key of rank 0 index 0 as if it were the group key of rank 0 index 1"},
      {"forwarded in the clear", shut, [](Schedule& s) { ends(s, k12).reseal({}); },
       "plaintext: rank 1"},
      {"sealed again under the first sealer's key", shut,
       [](Schedule& s) {
         Op& hop = op(s, 1, 0);
         hop.kind = OpKind::move;
       },
       "seals under the group key of rank 0, which is not its own"},
      {"memory gets what was not opened", shut, [](Schedule& s) { op(s, 1, 0).src[0].seal = {}; },
       "expects no seal but the message carries the group key of rank 0"},
      {"the last reader expects the hop's key", shut,
       [](Schedule& s) {
         ends(s, k12).received[0]->seal = {1, 2, 0};
       },
       "expects key 1>2 index 0 but the message carries the group key of rank 0"},
      {"a hop of a ring forwards another rank's record",
       sealed(Collective::allGather, "ring", 4, kGroup),
       [](Schedule& s) {
         for (Op& op : lane(s, 1))
           if (op.kind == OpKind::forward) op.dst[0].seal.sender = 3;
       },
       "as if it were the group key of rank 3"},
  });
}

/// Without group keys the pass makes a recv and a send of a forward: what it adds must be in order.
TEST(SecureMutants, ResultsRacesAndProgress) {
  const Schedule split = chain(kPairwise);
  expectRejected({
      {"passed on before it was opened", split, [](Schedule& s) { swapOps(s, 1, 0, 1); },
       "reads out[0] of rank 1 before it is written"},
      {"a hop that opens and does not pass on", split, [](Schedule& s) { drop(s, 1, 1); },
       "has no send"},
      {"a hop that passes on another chunk", split,
       [](Schedule& s) {
         op(s, 1, 1).src[0].range = {1, 1};
       },
       "different chunks"},
      {"passed on before what it is reduced with was opened",
       allReduceOf("halving_doubling", 4, kPairwise), [](Schedule& s) { swapOps(s, 0, 1, 2); },
       "of rank 0 before it is written"},
      {"all open before any seals", allReduceOf("halving_doubling", 2, kPairwise),
       [](Schedule& s) {
         for (int rank : {0, 1}) swapOps(s, rank, 0, 1);
       },
       "circular wait"},
      {"a message sealed twice", split,
       [](Schedule& s) {
         lane(s, 0).push_back(op(s, 0, 0));
         lane(s, 0).back().dst = {*ends(s, k01).sent};
       },
       "sends 3 messages per tile but rank 1 receives 2"},
  });
}

}  // namespace
}  // namespace lockstep::cc
