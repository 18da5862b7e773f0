#include "bench/floors/transfer.hpp"

namespace lockstep::floors {

Transfer transferOf(Collective op, int rank, const float* in, float* out, std::size_t count) {
  const std::size_t mine = static_cast<std::size_t>(rank) * count, theirs = count - mine;
  Transfer t;
  if (op == Collective::broadcast) {
    if (rank == 0)
      t = {.sent = in, .sends = count, .kept = in, .keptAt = out, .keeps = count};
    else
      t = {.received = out, .receives = count};
    return t;
  }
  t.sends = t.receives = count;
  t.sent = op == Collective::allGather ? in : in + theirs;
  if (op == Collective::reduceScatter) {
    t.own = in + mine;
    t.received = out;
    return t;
  }
  t.received = out + theirs;
  t.kept = op == Collective::allGather ? in : in + mine;
  t.keptAt = out + mine;
  t.keeps = count;
  return t;
}

float expectedAt(Collective op, int rank, int ranks, std::size_t count, std::size_t i) {
  const std::size_t mine = static_cast<std::size_t>(rank) * count;
  const int block = i < count ? 0 : 1;
  const std::size_t within = i - static_cast<std::size_t>(block) * count;
  switch (op) {
    case Collective::broadcast:
      return patternAt(i, 0);
    case Collective::allGather:
      return patternAt(within, block);
    case Collective::allToAll:
      return patternAt(mine + within, block);
    case Collective::reduceScatter:
      return patternAt(mine + i, 0) + patternAt(mine + i, 1);
    default: {
      float sum = 0;
      for (int r = 0; r < ranks; ++r) sum += patternAt(i, r);
      return sum;
    }
  }
}

}  // namespace lockstep::floors
