// What is sealed and opened, under which key, nonce and additional data, and how long it is: the
// same as the schedule says, whichever way the executor took (interpreted, or fused for small
// messages).
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "collectives/building.hpp"
#include "executor/sealed_world.hpp"

namespace lockstep::host {
namespace {

using schedule::Edges;
using schedule::Operand;
using schedule::OpKind;
using schedule::Schedule;
using testing::Use;

// ---- what a schedule says ----

/// Walks a sealed schedule, and not the executor's plan of it; of the plan it takes what is
/// agreed by number: the tile's size, records per message, the digest.
class Expectation {
 public:
  struct Numbers {
    std::size_t tileElements = 0, recordsPerMessage = 0, elementBytes = 0;
    std::array<std::byte, 16> digest{};
  };

  Expectation(const Schedule& schedule, const Numbers& numbers, std::size_t count,
              std::uint64_t sequence)
      : schedule_(schedule), numbers_(numbers), count_(count), sequence_(sequence) {
    forEach([&](int, std::size_t lane, const schedule::Op& op) {
      if (op.kind != OpKind::move) return;
      for (const Operand& o : op.dst)
        if (o.kind == Operand::Kind::channel) {
          ++perTile_[{o.seal.sender, o.seal.receiver}];
          lanes_[o.seal] = static_cast<std::uint8_t>(lane);
        }
    });
    tiles_ = count <= numbers.tileElements ? 1 : (count - 1) / numbers.tileElements + 1;
  }

  /// Of a rank, when its keys have been used for `bases` records before.
  std::vector<Use> of(int rank, const std::map<cc::KeyName, std::uint64_t>& bases) const {
    std::vector<Use> uses;
    for (std::uint64_t tile = 0; tile < tiles_; ++tile)
      forEach([&](int who, std::size_t, const schedule::Op& op) {
        if (who != rank) return;
        const bool opens =
            op.kind == OpKind::move || std::ranges::any_of(op.dst, [](const Operand& o) {
              return o.kind == Operand::Kind::memory;
            });
        for (const Operand& o : op.dst)
          if (op.kind == OpKind::move) add(uses, o, tile, true, bases);
        for (const Operand& o : op.src)
          if (opens) add(uses, o, tile, false, bases);
      });
    return uses;
  }

  /// Records that the call takes of every key.
  std::map<cc::KeyName, std::uint64_t> taken() const {
    std::map<cc::KeyName, std::uint64_t> records;
    for (const auto& [key, messages] : perTile_)
      records[key] = tiles_ * messages * numbers_.recordsPerMessage;
    return records;
  }

 private:
  template <class Visit>
  void forEach(Visit visit) const {
    for (int rank = 0; rank < schedule_.shape.worldSize; ++rank)
      for (std::size_t lane = 0;
           const auto& ops : schedule_.programs[static_cast<std::size_t>(rank)].lanes) {
        for (const schedule::Op& op : ops) visit(rank, lane, op);
        ++lane;
      }
  }

  std::size_t bytesOf(const schedule::Range& range, std::uint64_t tile) const {
    const std::size_t elements =
        std::min(count_ - tile * numbers_.tileElements, numbers_.tileElements);
    std::size_t sum = 0;
    for (std::uint32_t c = range.chunk; c < range.chunk + range.chunks; ++c)
      sum += schedule_.chunks <= 1
                 ? elements
                 : schedule::elementsOf({c % schedule_.chunks, 1}, schedule_.chunks, elements,
                                        numbers_.elementBytes)
                       .size();
    return sum * numbers_.elementBytes;
  }

  void add(std::vector<Use>& uses, const Operand& o, std::uint64_t tile, bool seals,
           const std::map<cc::KeyName, std::uint64_t>& bases) const {
    if (o.kind != Operand::Kind::channel) return;
    const cc::KeyName key{o.seal.sender, o.seal.receiver};
    const std::size_t bytes = bytesOf(o.range, tile);
    const auto base = bases.find(key);
    const std::uint64_t message = tile * perTile_.at(key) + o.seal.index;
    for (std::uint32_t record = 0; record < recordsOf(bytes); ++record) {
      const RecordName name{.digest = numbers_.digest,
                            .sequence = sequence_,
                            .count = count_,
                            .tile = static_cast<std::uint32_t>(tile),
                            .index = o.seal.index,
                            .epoch = 0,
                            .record = static_cast<std::uint8_t>(record),
                            .lane = lanes_.at(o.seal),
                            .sender = static_cast<std::int8_t>(o.seal.sender),
                            .receiver = static_cast<std::int8_t>(o.seal.receiver)};
      const auto aad = std::as_bytes(std::span(&name, 1));
      uses.push_back({.key = keyOf(key),
                      .nonce = cc::nonceOf((base == bases.end() ? 0 : base->second) +
                                           message * numbers_.recordsPerMessage + record),
                      .aad = {aad.begin(), aad.end()},
                      .bytes = sizeOfRecord(bytes, record),
                      .seals = seals});
    }
  }

  const Schedule& schedule_;
  Numbers numbers_;
  std::size_t count_;
  std::uint64_t sequence_, tiles_ = 1;
  std::map<cc::KeyName, std::uint32_t> perTile_;
  std::map<schedule::Seal, std::uint8_t> lanes_;  ///< of whoever seals
};

/// As sorted text: several tiles are in flight, so the order is free.
std::string sorted(std::vector<Use> uses) {
  std::vector<std::string> lines;
  for (const Use& use : uses) lines.push_back(toString(use));
  std::ranges::sort(lines);
  return fmt::format("{}", fmt::join(lines, "\n"));
}

// ---- collectives ----

struct Seen {
  int eager = 0, interpreted = 0;
};

/// Two calls of each count on one world, so that the second begins where the first ended.
Seen expectTraces(const Case& c, int size, const std::vector<std::size_t>& counts) {
  SCOPED_TRACE(describe(c, size));
  SealedWorld world(size);
  const Plan& plan = world.prepare(c);
  std::map<cc::KeyName, std::uint64_t> bases;
  std::vector<Use> all;
  Seen seen;
  for (std::size_t count : counts) {
    if (!contractOf(c.algorithm->collective).hasData) count = 0;
    const auto what = world.begin(count, [](int, std::size_t) { return 1; });
    const Expectation expected(world.schedule(),
                               {.tileElements = plan.tileElements,
                                .recordsPerMessage = plan.recordsPerMessage,
                                .elementBytes = sizeOf(kType),
                                .digest = plan.digest},
                               count, what.sequence);
    EXPECT_TRUE(world.drive()) << "nobody goes on";
    for (int r = 0; r < size; ++r) {
      SealedRank& rank = world.rank(r);
      const auto uses = rank.ledger.uses();
      EXPECT_EQ(sorted(uses), sorted(expected.of(r, bases))) << "rank " << r << ", " << count;
      ++(rank.plans.back()->eager && count <= plan.tileElements ? seen.eager : seen.interpreted);
    }
    for (Use& use : world.takeUses()) all.push_back(std::move(use));
    for (const auto& [key, records] : expected.taken()) bases[key] += records;
  }
  EXPECT_EQ(testing::offencesIn(all), "");
  return seen;
}

TEST(SealTrace, EveryCollectiveSealsWhatItsScheduleSays) {
  Seen total;
  for (const schedule::Algorithm* algorithm : schedule::algorithms()) {
    if (algorithm->edges != Edges::channels) continue;
    for (const Mode mode : {Mode::cc, Mode::ccMulticast})
      for (const int world : {1, 2, 3, 4}) {
        const int root = contractOf(algorithm->collective).rooted ? world - 1 : 0;
        Case c{.algorithm = algorithm, .mode = mode, .root = root};
        const auto add = [&](const Seen& seen) {
          total.eager += seen.eager;
          total.interpreted += seen.interpreted;
        };
        c.tileBytes = shm::kLlBytes;
        add(expectTraces(c, world, {1, 1, 7, 30, 0, 1}));
        c.tileBytes = 64;  // tiles in flight, fused calls between them
        add(expectTraces(c, world, {100, 3, 101, 3}));
        c.protocol = shm::Protocol::brief;
        add(expectTraces(c, world, {7, 100, 0}));
        c.protocol = shm::Protocol::simple;
        c.tileBytes = shm::kSlotBytes;  // several records in a message
        add(expectTraces(c, world, {20000, 5}));
      }
  }
  EXPECT_GT(total.eager, 500) << "the fused path was hardly taken";
  EXPECT_GT(total.interpreted, 500);
}

/// An all-gather of two lanes, crossed: what even ranks send in one, odd ones send in the other.
const schedule::Algorithm kTwoLanes = {
    .name = "two_lanes",
    .collective = Collective::allGather,
    .edges = Edges::channels,
    .rankOrder = false,
    .describe =
        [](const schedule::Shape& shape) {
          return schedule::building::describe(Collective::allGather, "two_lanes", shape);
        },
    .program =
        [](const schedule::Shape& shape, int rank) {
          using namespace schedule;
          const auto me = static_cast<std::uint32_t>(rank);
          std::vector<Lane> lanes(2);
          lanes[1].push_back(move({out({me, 1})}, {in({0, 1})}));
          for (int q = 0; q < shape.worldSize; ++q) {
            if (q == rank) continue;
            const Range mine{me, 1}, theirs{static_cast<std::uint32_t>(q), 1};
            lanes[static_cast<std::size_t>(rank % 2)].push_back(
                move({via({rank, q}, mine)}, {in({0, 1})}));
            lanes[0].push_back(move({out(theirs)}, {via({q, rank}, theirs)}));
          }
          return Program{std::move(lanes)};
        }};

TEST(SealTrace, ARecordSaysInWhichLaneItWasSealed) {
  for (const shm::Protocol protocol : {shm::Protocol::ll, shm::Protocol::simple})
    expectTraces({.algorithm = &kTwoLanes, .mode = Mode::cc, .protocol = protocol, .tileBytes = 64},
                 3, {100, 3, 101});
}

// ---- sends and receives ----

/// A unit of nonces for the first message, then one for each tile.
std::vector<Use> expectedOf(std::uint64_t sequence, std::uint64_t base, std::size_t bytes,
                            bool whole, const std::array<std::byte, 16>& digest) {
  constexpr std::size_t kTile = std::size_t{32} << 10;
  std::vector<Use> uses;
  const auto add = [&](std::uint32_t tile, std::uint32_t index, std::uint32_t record,
                       std::size_t n) {
    const RecordName name{.digest = digest,
                          .sequence = sequence,
                          .count = bytes,
                          .tile = tile,
                          .index = index,
                          .epoch = 0,
                          .record = static_cast<std::uint8_t>(record),
                          .lane = 255,
                          .sender = 0,
                          .receiver = 1};
    const auto aad = std::as_bytes(std::span(&name, 1));
    uses.push_back({.key = keyOf({0, 1}),
                    .nonce = cc::nonceOf(base + (index == 0 ? 0 : 2 * (tile + 1)) + record),
                    .aad = {aad.begin(), aad.end()},
                    .bytes = n,
                    .seals = true});
  };
  add(0, 0, 0, whole ? bytes : 0);
  for (std::size_t at = 0; !whole && at < bytes; at += kTile)
    for (std::size_t in = 0; in < std::min(kTile, bytes - at); in += kRecordBytes)
      add(static_cast<std::uint32_t>(at / kTile), 1, static_cast<std::uint32_t>(in / kRecordBytes),
          std::min(kRecordBytes, std::min(kTile, bytes - at) - in));
  return uses;
}

TEST(SealTrace, TransfersSealAHeadAndThenRecords) {
  SealedWorld world(2);
  std::uint64_t sequence = 0, base = 0;
  std::vector<Use> all;
  std::array<std::byte, 16> digest{};
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{8}, std::size_t{200},
                                  std::size_t{5000}, std::size_t{16384}, std::size_t{100000}}) {
    SCOPED_TRACE(bytes);
    std::vector<std::byte> out(bytes, std::byte{3}), in(bytes);
    ASSERT_TRUE(world.transfer(0, 1, out, in));
    ASSERT_EQ(in, out);
    auto sealed = world.rank(0).ledger.uses(), opened = world.rank(1).ledger.uses();
    for (Use& use : world.takeUses()) all.push_back(std::move(use));
    ASSERT_FALSE(sealed.empty());
    const bool whole = bytes + cc::kTagBytes <= shm::kLlBytes;
    if (sequence++ == 0) std::copy_n(sealed[0].aad.begin(), digest.size(), digest.begin());
    const auto expected = expectedOf(sequence, base, bytes, whole, digest);
    EXPECT_EQ(sorted(sealed), sorted(expected));
    for (Use& use : opened) use.seals = true;
    EXPECT_EQ(sorted(opened), sorted(expected));
    base += whole ? 1 : 2 * (1 + (bytes + (32 << 10) - 1) / (32 << 10));
  }
  EXPECT_EQ(testing::offencesIn(all), "");
}

}  // namespace
}  // namespace lockstep::host
