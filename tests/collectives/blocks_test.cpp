// Every algorithm but those of all-reduce: by values and by the textbook's counts, for many world
// sizes and every kind of root.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "collectives/registry.hpp"
#include "collectives/verify/verify.hpp"
#include "support/interpreter.hpp"

namespace lockstep::schedule {
namespace {

using test::interpret;
using test::InterpretOptions;

template <class T>
using Buffers = std::vector<std::vector<T>>;  ///< by rank

/// The first, one between and the last, where there is a root.
std::set<int> rootsOf(const Algorithm& algorithm, int world) {
  if (!contractOf(algorithm.collective).rooted) return {0};
  return {0, world / 2, world - 1};
}

/// Every algorithm in every shape of one world size, as an executor gets it.
template <class Body>
void forEachSchedule(int world, Body body) {
  for (const Algorithm* algorithm : algorithms()) {
    if (algorithm->collective == Collective::allReduce) continue;
    for (const bool inPlace : {false, true})
      for (const bool multicast : {false, true})
        for (const int root : rootsOf(*algorithm, world)) {
          Schedule schedule = generate(*algorithm, {world, inPlace, multicast, root});
          if (!multicast) schedule = deliverUnicast(std::move(schedule));
          SCOPED_TRACE(toString(schedule, world));  // the line that names it; no rank's program
          body(*algorithm, schedule);
        }
  }
}

/// Element i of the block that rank `from` has for rank `to` (or for all: 0). No two are equal, so
/// none can stand in for another.
std::int64_t whole(int from, int to, std::size_t i) {
  return (std::int64_t{from} * kMaxWorld + to) * 100'000 + static_cast<std::int64_t>(i);
}

/// Of very different sizes and signs, so that another order of additions gives other bits.
double rough(int from, int to, std::size_t i) {
  std::mt19937_64 random(static_cast<std::uint64_t>(whole(from, to, i)));
  const auto drawn = static_cast<double>(static_cast<std::int32_t>(random()));
  return std::ldexp(drawn, static_cast<int>(random() % 64));
}

template <class T>
using Element = T (*)(int from, int to, std::size_t i);

template <class T>
Buffers<T> inputsOf(const Schedule& schedule, std::size_t count, Element<T> element) {
  Buffers<T> inputs(schedule.programs.size());
  for (int rank = 0; rank < schedule.shape.worldSize; ++rank)
    for (int to = 0; to < static_cast<int>(blocksOf(schedule, BufferName::in, rank)); ++to)
      for (std::size_t i = 0; i < count; ++i)
        inputs[static_cast<std::size_t>(rank)].push_back(element(rank, to, i));
  return inputs;
}

/// What the contract promises; reductions are averages in rank order.
template <class T>
Buffers<T> expectedOf(const Schedule& schedule, std::size_t count, Element<T> element) {
  const Contract& contract = contractOf(schedule.collective);
  const int world = schedule.shape.worldSize;
  const auto average = [&](int to, std::size_t i) {
    T sum = element(0, to, i);
    for (int from = 1; from < world; ++from) sum += element(from, to, i);
    return sum / static_cast<T>(world);
  };
  Buffers<T> expected(schedule.programs.size());
  for (int rank = 0; rank < world; ++rank) {
    const int to = contract.inPerRank ? rank : 0;
    for (int b = 0; b < static_cast<int>(blocksOf(schedule, BufferName::out, rank)); ++b)
      for (std::size_t i = 0; i < count; ++i)
        expected[static_cast<std::size_t>(rank)].push_back(
            contract.reduces ? average(to, i)
                             : element(contract.outPerRank ? b : schedule.shape.root, to, i));
  }
  return expected;
}

void expectValues(const Schedule& schedule, std::size_t count, InterpretOptions options = {}) {
  options.divisor = schedule.shape.worldSize;
  const auto result = interpret(schedule, inputsOf<std::int64_t>(schedule, count, whole), options);
  EXPECT_EQ(result.deadlock, "");
  EXPECT_EQ(result.undelivered, 0U);
  const auto expected = expectedOf<std::int64_t>(schedule, count, whole);
  for (std::size_t rank = 0; rank < expected.size(); ++rank)
    EXPECT_EQ(result.out[rank], expected[rank]) << "rank " << rank << ", count " << count;
}

TEST(Blocks, GoWhereTheyBelongOnEveryWorld) {
  for (const int world : {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 33}) {
    forEachSchedule(world, [&](const Algorithm&, const Schedule& schedule) {
      for (const std::size_t count : {0, 1, 100}) expectValues(schedule, count);
    });
    if (HasFailure()) return;
  }
}

TEST(Blocks, AreCutIntoTilesInAnyOrderOfRanks) {
  for (const int world : {2, 3, 5, 8, 13})
    for (std::uint32_t seed = 1; seed <= 3; ++seed) {
      forEachSchedule(world, [&](const Algorithm&, const Schedule& schedule) {
        for (const std::size_t tiles : {2, 7})  // of 7, the last ones are short or empty
          expectValues(schedule, 101, {.tiles = tiles, .slots = kMinSlots, .seed = seed});
      });
      if (HasFailure()) return;
    }
}

TEST(Blocks, AreReducedInRankOrderWhereItIsSaid) {
  for (const int world : {1, 2, 3, 4, 7, 8, 16})
    forEachSchedule(world, [&](const Algorithm& algorithm, const Schedule& schedule) {
      if (!contractOf(algorithm.collective).reduces) return;
      const auto result = interpret(schedule, inputsOf<double>(schedule, 90, rough),
                                    {.tiles = 2, .divisor = world});
      const auto expected = expectedOf<double>(schedule, 90, rough);
      if (algorithm.rankOrder) {
        EXPECT_EQ(result.out, expected);
      } else if (world > 3) {  // below, another order may well give the same bits
        EXPECT_NE(result.out, expected);
      }
    });
}

// ---- the textbook ----

/// What a rank sends.
struct Sent {
  std::size_t messages = 0, elements = 0;
};

/// A rank in a world of more than one, for formulas.
struct Place {
  std::size_t p, rank;  ///< world size
  std::size_t place;    ///< of the rank, counted from the root
  std::size_t n;        ///< elements of a block
  bool multicast;

  bool isRoot() const { return place == 0; }
  std::size_t steps() const { return std::bit_width(p - 1); }  ///< ceil(log2 p)
};

/// Ranks that take part in halving or doubling; the others are guests of the first ones.
struct Core {
  explicit Core(const Place& at) : p(at.p), size(std::bit_floor(at.p)) {}
  std::size_t p, size;
  /// Of the aligned group of `members` core ranks that `rank` is in.
  std::size_t guestsOf(std::size_t rank, std::size_t members) const {
    const std::size_t first = rank / members * members;
    return std::min(p - size, first + members) - std::min(p - size, first);
  }
};

Sent toAll(const Place& at) {
  return {at.p - 1, (at.p - 1) * at.n};
}
Sent once(const Place& at) {
  return {1, at.n};
}
Sent castToAll(const Place& at) {
  return at.multicast ? once(at) : toAll(at);
}
Sent onceUnlessRoot(const Place& at) {
  return at.isRoot() ? Sent{} : once(at);
}

Sent doubling(const Place& at) {
  const Core core(at);
  if (at.rank >= core.size) return once(at);
  Sent sent;
  for (std::size_t d = 1; d < core.size; d *= 2) {  // all that my group of d has
    const std::size_t guests = core.guestsOf(at.rank, d);
    sent.messages += guests > 0 ? 2 : 1;
    sent.elements += (d + guests) * at.n;
  }
  const std::size_t guests = core.guestsOf(at.rank, 1);
  return {sent.messages + guests, sent.elements + guests * at.p * at.n};
}

Sent halving(const Place& at) {
  const Core core(at);
  if (at.rank >= core.size) return {at.p, at.p * at.n};
  Sent sent;
  for (std::size_t d = core.size / 2; d >= 1; d /= 2) {  // all that my partner's group of d wants
    const std::size_t guests = core.guestsOf(at.rank ^ d, d);
    sent.messages += guests > 0 ? 2 : 1;
    sent.elements += (d + guests) * at.n;
  }
  const std::size_t guests = core.guestsOf(at.rank, 1);
  return {sent.messages + guests, sent.elements + guests * at.n};
}

/// A block that must go d ranks on is sent once for each bit of d.
Sent bruckAllToAll(const Place& at) {
  std::size_t hops = 0;
  for (std::size_t d = 1; d < at.p; ++d) hops += static_cast<std::size_t>(std::popcount(d));
  return {at.steps(), hops * at.n};
}

/// To the ranks that have one more bit, below my lowest.
Sent binomialBroadcast(const Place& at) {
  std::size_t children = 0;
  for (std::size_t bit = 1; at.place + bit < at.p && (at.place & bit) == 0; bit *= 2) ++children;
  return {children, children * at.n};
}

/// Formulas of the READMEs of collectives/*/.
const std::map<std::string, Sent (*)(const Place&)>& textbook() {
  static const std::map<std::string, Sent (*)(const Place&)> formulas{
      {"barrier direct",
       [](const Place& at) {
         return Sent{at.multicast ? 1 : at.p - 1, 0};
       }},
      {"barrier dissemination",
       [](const Place& at) {
         return Sent{at.steps(), 0};
       }},
      {"allgather direct", castToAll},
      {"allgather ring", toAll},
      {"allgather bruck",
       [](const Place& at) {
         return Sent{at.steps(), (at.p - 1) * at.n};
       }},
      {"allgather recursive_doubling", doubling},
      {"reducescatter direct", toAll},
      {"reducescatter ring", toAll},
      {"reducescatter halving", halving},
      {"alltoall direct", toAll},
      {"alltoall pairwise", toAll},
      {"alltoall bruck", bruckAllToAll},
      {"broadcast direct", [](const Place& at) { return at.isRoot() ? castToAll(at) : Sent{}; }},
      {"broadcast ring", [](const Place& at) { return at.place + 1 == at.p ? Sent{} : once(at); }},
      {"broadcast binomial", binomialBroadcast},
      {"reduce direct", onceUnlessRoot},
      {"reduce binomial", onceUnlessRoot},
      {"gather direct", onceUnlessRoot},
      {"scatter direct", [](const Place& at) { return at.isRoot() ? toAll(at) : Sent{}; }},
  };
  return formulas;
}

Sent expectedTraffic(const Algorithm& algorithm, const Shape& shape, std::size_t rank,
                     std::size_t n) {
  if (algorithm.edges == Edges::exposure || shape.worldSize == 1) return {};
  const std::string title = fmt::format("{} {}", name(algorithm.collective), algorithm.name);
  const auto formula = textbook().find(title);
  if (formula == textbook().end()) {
    ADD_FAILURE() << title << ": give its formula in textbook() here and in the folder's README";
    return {};
  }
  const auto p = static_cast<std::size_t>(shape.worldSize);
  const std::size_t place = (rank + p - static_cast<std::size_t>(shape.root)) % p;
  return formula->second({p, rank, place, n, shape.multicast});
}

TEST(Blocks, AreSentAsOftenAsTheTextbookSays) {
  for (const int world : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 23, 33, 64})
    forEachSchedule(world, [&](const Algorithm& algorithm, const Schedule& schedule) {
      const std::size_t n = contractOf(algorithm.collective).hasData ? 8 : 0;
      const auto result = interpret(schedule, inputsOf<std::int64_t>(schedule, n, whole));
      for (std::size_t rank = 0; rank < result.sent.size(); ++rank) {
        const Sent expected = expectedTraffic(algorithm, schedule.shape, rank, n);
        EXPECT_EQ(result.sent[rank].messages, expected.messages) << "rank " << rank;
        EXPECT_EQ(result.sent[rank].elements, expected.elements) << "rank " << rank;
      }
    });
}

TEST(Blocks, TheTextbookHasNoAlgorithmThatIsNot) {
  for (const auto& [title, formula] : textbook()) {
    const auto blank = title.find(' ');
    EXPECT_NE(findAlgorithm(*parseCollective(title.substr(0, blank)), title.substr(blank + 1),
                            Edges::channels),
              nullptr)
        << title;
  }
}

}  // namespace
}  // namespace lockstep::schedule
