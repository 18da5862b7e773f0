// Plans: what all ranks must agree on is the same on all, and everything fits where it goes.
#include "executor/host/plan.hpp"

#include <algorithm>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "bootstrap/peers.hpp"
#include "cc_mode/aead/aead.hpp"
#include "cc_mode/keys/handshake.hpp"
#include "executor/host/plan_digest.hpp"
#include "executor/prepare.hpp"

namespace lockstep::host {
namespace {

Deadline soon() {
  return Deadline::in(std::chrono::seconds(20));
}

/// Each rank's fabric and, for sealed modes, keys; `play` runs on one thread per rank.
void asRanks(int worldSize, Mode mode,
             const std::function<void(int rank, shm::Fabric&, cc::KeyRing*)>& play) {
  auto ends = joinThreads(worldSize);
  std::vector<std::thread> threads;
  for (auto& end : ends)
    threads.emplace_back([&, peers = end.get()] {
      shm::Fabric fabric(*peers, soon());
      if (!isSealed(mode)) return play(peers->rank(), fabric, nullptr);
      const cc::HandshakeParameters parameters{.rank = peers->rank(),
                                               .worldSize = worldSize,
                                               .mode = mode,
                                               .communicatorId = {},
                                               .psk = {},
                                               .insecure = true};
      cc::KeyRing keys = cc::handshake(
          parameters, cc::createAead(""),
          [&](std::span<const std::byte> message) { return peers->allGather(message, soon()); });
      play(peers->rank(), fabric, &keys);
    });
  for (std::thread& thread : threads) thread.join();
}

/// Requests of every algorithm with channels, both protocols, small and absurd tiles; from the last
/// root, where there is one, in a world of `worldSize`.
std::vector<PlanRequest> requests(Mode mode, int worldSize) {
  std::vector<PlanRequest> all;
  for (const schedule::Algorithm* algorithm : schedule::algorithms())
    for (const shm::Protocol protocol :
         {shm::Protocol::simple, shm::Protocol::ll, shm::Protocol::brief})
      for (const std::size_t tileBytes :
           {std::size_t{64}, std::size_t{64} << 10, std::size_t{1} << 30}) {
        PlanRequest request;
        request.algorithm = algorithm;
        request.mode = mode;
        request.root = contractOf(algorithm->collective).rooted ? worldSize - 1 : 0;
        request.protocol = protocol;
        request.tileBytes = tileBytes;
        request.depth = 2;
        if (algorithm->edges == schedule::Edges::channels) all.push_back(request);
      }
  return all;
}

TEST(Plan, RanksAgreeOnTilesRecordsAndDigest) {
  for (const Mode mode : {Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast})
    for (const int worldSize : {1, 2, 3, 5, 6}) {
      const auto all = requests(mode, worldSize);
      // [request][rank]
      std::vector<std::vector<Plan>> plans(all.size(),
                                           std::vector<Plan>(static_cast<std::size_t>(worldSize)));
      asRanks(worldSize, mode, [&](int rank, shm::Fabric& fabric, cc::KeyRing* keys) {
        for (std::size_t i = 0; i < all.size(); ++i) {
          PlanRequest request = all[i];
          request.inPlace = rank % 2 == 0;  // shows in no message
          plans[i][static_cast<std::size_t>(rank)] = lower(request, fabric, keys);
        }
      });
      for (const auto& ranks : plans)
        for (const Plan& plan : ranks) {
          SCOPED_TRACE(fmt::format("{} ranks, {}, {} {}, tile of {} bytes", worldSize, name(mode),
                                   name(plan.request.algorithm->collective), plan.algorithm,
                                   plan.request.tileBytes));
          EXPECT_EQ(plan.tileElements, ranks[0].tileElements);
          EXPECT_EQ(plan.recordsPerMessage, ranks[0].recordsPerMessage);
          EXPECT_EQ(plan.digest, ranks[0].digest);
          EXPECT_GE(plan.tileElements, 1U);
        }
    }
}

bool hasMessage(const Plan& plan, const PlanOp& op) {
  const auto among = [&](std::uint32_t first, std::uint32_t terms) {
    return std::any_of(plan.terms.begin() + first, plan.terms.begin() + first + terms,
                       [](const Term& t) { return t.kind == Term::Kind::message; });
  };
  return among(op.dst, op.dsts) || among(op.src, op.srcs);
}

/// Of an operand, in a full tile.
std::size_t bytesOf(const Plan& plan, const PlanOp& op) {
  return schedule::elementsOf(op.range, plan.chunks, plan.tileElements, plan.elementBytes).size() *
         op.blocks * plan.elementBytes;
}

void expectFits(const Plan& plan, std::size_t bytes) {
  EXPECT_LE(recordsOf(bytes), plan.recordsPerMessage);  // or nonces would be used twice
  const std::size_t tags = plan.sealed ? recordsOf(bytes) * cc::kTagBytes : 0;
  if (isLines(plan.request.protocol)) {
    const bool brief = plan.request.protocol == shm::Protocol::brief;
    EXPECT_LE(bytes + tags, brief ? shm::kBriefBytes : shm::kLlBytes);
  } else {
    EXPECT_LE(bytes, shm::kSlotBytes);
    EXPECT_LE(tags, shm::kSlotTagBytes);
  }
}

TEST(Plan, MessagesFitTheirSlots) {
  for (const Mode mode : {Mode::p2p, Mode::cc})
    for (const int worldSize : {2, 3, 5})
      asRanks(worldSize, mode, [&](int, shm::Fabric& fabric, cc::KeyRing* keys) {
        for (const PlanRequest& request : requests(mode, worldSize)) {
          const Plan plan = lower(request, fabric, keys);
          SCOPED_TRACE(fmt::format("{} ranks, {} {}, tile of {} bytes", worldSize,
                                   name(request.algorithm->collective), plan.algorithm,
                                   request.tileBytes));
          for (const PlanOp& op : plan.ops)
            if (hasMessage(plan, op)) expectFits(plan, bytesOf(plan, op));
        }
      });
}

TEST(Plan, TheDigestTellsPlansApart) {
  asRanks(2, Mode::cc, [&](int, shm::Fabric& fabric, cc::KeyRing* keys) {
    std::set<std::array<std::byte, 16>> digests;
    std::size_t made = 0;
    for (const schedule::Algorithm* algorithm : schedule::algorithms()) {
      if (algorithm->edges != schedule::Edges::channels) continue;
      for (const DataType type : {DataType::f32, DataType::i32})
        for (const Reduction reduction : {Reduction::sum, Reduction::avg})
          for (const shm::Protocol protocol :
               {shm::Protocol::simple, shm::Protocol::ll, shm::Protocol::brief})
            for (const std::size_t tileBytes : {64, 4096})
              for (const int root : {0, 1}) {
                if (root != 0 && !contractOf(algorithm->collective).rooted) continue;
                PlanRequest request;
                request.algorithm = algorithm;
                request.type = type;
                request.reduction = reduction;
                request.mode = Mode::cc;
                request.root = root;
                request.protocol = protocol;
                request.tileBytes = tileBytes;
                digests.insert(lower(request, fabric, keys).digest);
                ++made;
              }
    }
    EXPECT_EQ(digests.size(), made);
  });
}

/// Changes of an operation that a record must notice, wherever it is; nothing where one does not
/// apply.
std::vector<std::function<bool(schedule::Op&)>> changesOfOps() {
  using schedule::Op, schedule::Operand;
  std::vector<std::function<bool(Op&)>> changes{
      [](Op& op) { return op.finish = !op.finish, true; },
      [](Op& op) {
        op.kind =
            op.kind == schedule::OpKind::move ? schedule::OpKind::forward : schedule::OpKind::move;
        return true;
      },
      [](Op& op) { return op.src.push_back(op.src.front()), true; },
      [](Op& op) { return op.dst.push_back(op.dst.front()), true; },
      [](Op& op) { return std::swap(op.dst, op.src), true; }};
  const auto inOperands = [&](bool messages, const std::function<void(Operand&)>& change) {
    for (const bool source : {false, true})
      changes.emplace_back([=](Op& op) {
        for (Operand& o : source ? op.src : op.dst)
          if ((o.kind == Operand::Kind::channel) == messages) return change(o), true;
        return false;
      });
  };
  for (const bool messages : {false, true}) {
    inOperands(messages, [](Operand& o) { ++o.range.chunk; });
    inOperands(messages, [](Operand& o) { ++o.range.chunks; });
  }
  inOperands(false, [](Operand& o) {
    o.buffer =
        o.buffer == schedule::BufferName::in ? schedule::BufferName::out : schedule::BufferName::in;
  });
  inOperands(false, [](Operand& o) { o.rank = 1; });
  inOperands(true, [](Operand& o) { o.channel.writer ^= 1; });
  inOperands(true, [](Operand& o) { o.channel.reader = o.channel.reader == 2 ? -1 : 2; });
  inOperands(true, [](Operand& o) { ++o.seal.sender; });
  inOperands(true, [](Operand& o) { o.seal.receiver = o.seal.receiver == 2 ? -1 : 2; });
  inOperands(true, [](Operand& o) { ++o.seal.index; });
  return changes;
}

bool touchesAMessage(const schedule::Op& op) {
  const auto isMessage = [](const schedule::Operand& o) {
    return o.kind == schedule::Operand::Kind::channel;
  };
  return std::ranges::any_of(op.dst, isMessage) || std::ranges::any_of(op.src, isMessage);
}

TEST(PlanDigest, IsOfEveryOperationOfEveryRankThatTouchesAMessage) {
  using schedule::Op, schedule::Schedule;
  Plan plan;
  std::size_t changed = 0;
  for (const schedule::Algorithm* algorithm : schedule::algorithms()) {
    if (algorithm->edges != schedule::Edges::channels) continue;
    const Schedule usual = prepareSchedule(*algorithm, Mode::ccMulticast, 4, false, 0);
    const auto digest = digestOf(plan, usual);
    const auto expectOther = [&](const Schedule& other) {
      EXPECT_NE(digestOf(plan, other), digest);
      ++changed;
    };
    for (std::size_t r = 0; r < usual.programs.size(); ++r)
      for (std::size_t l = 0; l < usual.programs[r].lanes.size(); ++l) {
        const schedule::Lane& lane = usual.programs[r].lanes[l];
        for (std::size_t i = 0; i < lane.size(); ++i) {
          SCOPED_TRACE(fmt::format("{}, rank {}, {}", algorithm->name, r, toString(lane[i])));
          Schedule without = usual;
          auto& ops = without.programs[r].lanes[l];
          ops.erase(ops.begin() + static_cast<std::ptrdiff_t>(i));
          if (!touchesAMessage(lane[i])) {
            EXPECT_EQ(digestOf(plan, without), digest) << "in place, a rank may do without it";
            continue;
          }
          expectOther(without);
          for (const auto& change : changesOfOps()) {
            Schedule other = usual;
            if (change(other.programs[r].lanes[l][i])) expectOther(other);
          }
          Schedule moved = without;  // the same operation, in a lane of its own
          moved.programs[r].lanes.push_back({lane[i]});
          expectOther(moved);
        }
      }
    for (const auto& change : std::vector<std::function<void(Schedule&)>>{
             [](Schedule& s) { s.name += "2"; }, [](Schedule& s) { ++s.chunks; },
             [](Schedule& s) { ++s.scratchChunks; }, [](Schedule& s) { ++s.shape.root; },
             [](Schedule& s) { ++s.shape.worldSize; },
             [](Schedule& s) { std::swap(s.programs.front(), s.programs.back()); }}) {
      Schedule other = usual;
      change(other);
      if (!(other == usual)) expectOther(other);
    }
  }
  EXPECT_GT(changed, 2000U);
}

TEST(Plan, OnlyAveragesDivide) {
  asRanks(3, Mode::p2p, [&](int, shm::Fabric& fabric, cc::KeyRing*) {
    for (std::size_t reduction = 0; reduction < kReductions; ++reduction) {
      PlanRequest request = requests(Mode::p2p, 3).front();
      request.reduction = static_cast<Reduction>(reduction);
      EXPECT_EQ(lower(request, fabric, nullptr).divisor,
                request.reduction == Reduction::avg ? 3 : 1);
    }
  });
}

}  // namespace
}  // namespace lockstep::host
