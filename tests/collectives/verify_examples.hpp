// Small right schedules written by hand, for the verifier's tests to check and to break. They do
// not come from the generators, so that neither leans on the other.
#pragma once

#include <utility>
#include <vector>

#include "collectives/schedule.hpp"

namespace lockstep::schedule::examples {

inline Schedule allReduce(const char* name, int worldSize, std::uint32_t chunks,
                          std::vector<Program> programs) {
  Schedule s;
  s.name = name;
  s.shape.worldSize = worldSize;
  s.chunks = chunks;
  s.programs = std::move(programs);
  return s;
}

/// Each sends `in` to each (op 0) and reduces all in rank order (op 1).
inline Schedule oneShot(int worldSize) {
  std::vector<Program> programs;
  for (int r = 0; r < worldSize; ++r) {
    std::vector<Operand> to, from;
    for (int q = 0; q < worldSize; ++q) {
      if (q != r) to.push_back(via({r, q}, {0, 1}));
      from.push_back(q == r ? in({0, 1}) : via({q, r}, {0, 1}));
    }
    programs.push_back({{{move(to, {in({0, 1})}), move({out({0, 1})}, from, true)}}});
  }
  return allReduce("one-shot", worldSize, 1, programs);
}

/// The same, sending in lane 0 and reducing in lane 1: right, unless in place.
inline Schedule oneShotTwoLanes(int worldSize) {
  Schedule s = oneShot(worldSize);
  for (Program& p : s.programs) p.lanes = {{p.lanes[0][0]}, {p.lanes[0][1]}};
  return s;
}

/// Two ranks, two chunks, by way of scratch. Per rank: send chunk 0, send chunk 1, receive both
/// into scratch (ops 2, 3), reduce both (ops 4, 5).
inline Schedule byScratch() {
  std::vector<Program> programs;
  for (int r = 0; r < 2; ++r) {
    Lane lane;
    for (std::uint32_t k = 0; k < 2; ++k)
      lane.push_back(move({via({r, 1 - r}, {k, 1})}, {in({k, 1})}));
    for (std::uint32_t k = 0; k < 2; ++k)
      lane.push_back(move({scratch({k, 1})}, {via({1 - r, r}, {k, 1})}));
    for (std::uint32_t k = 0; k < 2; ++k)
      lane.push_back(move({out({k, 1})}, {in({k, 1}), scratch({k, 1})}, true));
    programs.push_back({{lane}});
  }
  Schedule s = allReduce("by scratch", 2, 2, programs);
  s.scratchChunks = 2;
  return s;
}

/// Three ranks in a row: inputs go down 2, 1, 0 and the result up, through rank 1.
inline Schedule chain() {
  const Range r{0, 1};
  return allReduce("chain", 3, 1,
                   {{{{move({out(r), via({0, 1}, r)}, {in(r), via({1, 0}, r)}, true)}}},
                    {{{move({via({1, 0}, r)}, {in(r), via({2, 1}, r)}),
                       forward({via({1, 2}, r), out(r)}, via({0, 1}, r))}}},
                    {{{move({via({2, 1}, r)}, {in(r)}), move({out(r)}, {via({1, 2}, r)})}}}});
}

/// Each reads all inputs where they lie. Ops: expose, acquire, move, release, close.
inline Schedule exposedOneShot(int worldSize) {
  std::vector<Program> programs;
  for (int r = 0; r < worldSize; ++r) {
    std::vector<Operand> from;
    for (int q = 0; q < worldSize; ++q) from.push_back(q == r ? in({0, 1}) : remoteIn(q, {0, 1}));
    programs.push_back(
        {{{sync(OpKind::expose), sync(OpKind::acquire), move({out({0, 1})}, from, true),
           sync(OpKind::release), sync(OpKind::close)}}});
  }
  Schedule s = allReduce("exposed one-shot", worldSize, 1, programs);
  s.exposes = true;
  return s;
}

/// Rank r reduces chunk r of all and writes it to all. Ops as above; right in place as well.
inline Schedule exposedTwoShot(int worldSize) {
  Schedule s = exposedOneShot(worldSize);
  s.name = "exposed two-shot";
  s.chunks = static_cast<std::uint32_t>(worldSize);
  for (int r = 0; r < worldSize; ++r) {
    Op& op = s.programs[r].lanes[0][2];
    const Range mine{static_cast<std::uint32_t>(r), 1};
    for (Operand& o : op.src) o.range = mine;
    op.dst[0].range = mine;
    for (int q = 0; q < worldSize; ++q)
      if (q != r) op.dst.push_back(remoteOut(q, mine));
  }
  return s;
}

/// Empty messages from each to each.
inline Schedule barrier(int worldSize) {
  Schedule s = oneShot(worldSize);
  s.name = "barrier";
  s.collective = Collective::barrier;
  s.chunks = 0;
  for (Program& p : s.programs)
    for (Op& op : p.lanes[0]) {
      op.finish = false;
      for (Operand& o : op.src) o.range = {0, 0};
      for (Operand& o : op.dst) o.range = {0, 0};
    }
  return s;
}

/// Gives each message the key of its pair, in program order. For schedules whose channels carry at
/// most two messages in order, and that forward nothing.
inline Schedule sealedPairwise(Schedule s) {
  for (Program& p : s.programs)
    for (Lane& lane : p.lanes) {
      std::vector<std::uint32_t> sent(s.programs.size(), 0), received(s.programs.size(), 0);
      for (Op& op : lane) {
        for (Operand& o : op.dst)
          if (o.kind == Operand::Kind::channel)
            o.seal = {o.channel.writer, o.channel.reader,
                      sent[static_cast<std::size_t>(o.channel.reader)]++};
        for (Operand& o : op.src)
          if (o.kind == Operand::Kind::channel)
            o.seal = {o.channel.writer, o.channel.reader,
                      received[static_cast<std::size_t>(o.channel.writer)]++};
      }
    }
  return s;
}

/// The chain: pairwise on the way down; the result under rank 0's group key, forwarded shut.
inline Schedule sealedChain() {
  Schedule s = chain();
  const Seal group{0, kEveryone, 0};
  s.programs[2].lanes[0][0].dst[0].seal = {2, 1, 0};
  s.programs[1].lanes[0][0].src[1].seal = {2, 1, 0};
  s.programs[1].lanes[0][0].dst[0].seal = {1, 0, 0};
  s.programs[0].lanes[0][0].src[1].seal = {1, 0, 0};
  s.programs[0].lanes[0][0].dst[1].seal = group;
  s.programs[1].lanes[0][1].src[0].seal = group;
  s.programs[1].lanes[0][1].dst[0].seal = group;
  s.programs[2].lanes[0][1].src[0].seal = group;
  return s;
}

}  // namespace lockstep::schedule::examples
