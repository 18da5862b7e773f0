// What is sealed and opened, under which key, nonce and additional data, and how long it is: the
// same as the schedule says, whichever way the executor took (interpreted, or fused for small
// messages).
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "bootstrap/peers.hpp"
#include "cc_mode/secure_pass.hpp"
#include "executor/host/run.hpp"
#include "executor/host/transfer.hpp"
#include "support/recording_aead.hpp"
#include <lockstep/error.hpp>

namespace lockstep::host {
namespace {

using schedule::Edges;
using schedule::Operand;
using schedule::OpKind;
using schedule::Schedule;
using testing::KeyBytes;
using testing::Ledger;
using testing::RecordingAead;
using testing::Use;

constexpr DataType kType = DataType::i32;

/// A key that says whose it is: no secret.
KeyBytes keyOf(int sender, int receiver) {
  return {std::byte{1}, static_cast<std::byte>(sender), static_cast<std::byte>(receiver)};
}

/// One rank with keys, and a ledger of its own.
struct Rank {
  Rank(Peers& peers, Deadline deadline)
      : fabric(peers, deadline),
        aead(std::make_shared<RecordingAead>(cc::createAead(), ledger)),
        keys(aead),
        doorbell(fabric, false),
        run({.fabric = fabric,
             .regions = regions,
             .doorbell = doorbell,
             .pids = {},
             .pidfds = {},
             .sameProcess = true,
             .streamingBytes = 1 << 20,
             .aead = aead.get()}) {
    const int me = peers.rank();
    for (int peer = 0; peer < peers.worldSize(); ++peer) {
      keys.add({peer, schedule::kEveryone}, keyOf(peer, schedule::kEveryone));
      if (peer == me) continue;
      keys.add({me, peer}, keyOf(me, peer));
      keys.add({peer, me}, keyOf(peer, me));
    }
  }

  shm::Fabric fabric;
  shm::Regions regions;
  Ledger ledger;
  std::shared_ptr<const cc::Aead> aead;
  cc::KeyRing keys;
  Doorbell doorbell;
  Run run;
  std::vector<std::unique_ptr<const Plan>> plans;
  Call call;
  std::vector<std::int32_t> in, out;
};

std::vector<std::unique_ptr<Rank>> makeWorld(int world, std::vector<std::unique_ptr<Peers>>& ends) {
  ends = joinThreads(world);
  std::vector<std::unique_ptr<Rank>> ranks(ends.size());
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < ends.size(); ++r)
    threads.emplace_back([&, r] {
      ranks[r] = std::make_unique<Rank>(*ends[r], Deadline::in(std::chrono::seconds(20)));
    });
  for (std::thread& thread : threads) thread.join();
  return ranks;
}

/// One thread steps all until all are done; false if nobody can go on.
template <class Ranks, class Step>
bool driveAll(Ranks& ranks, Step step) {
  std::vector<bool> done(ranks.size());
  for (int idle = 0; idle < 100; ++idle) {
    bool all = true;
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      if (done[r]) continue;
      const Progress progress = step(*ranks[r]);
      done[r] = progress == Progress::done;
      if (progress != Progress::none) idle = 0;
      all = all && done[r];
    }
    if (all) return true;
  }
  return false;
}

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
    forEach([&](int, const schedule::Op& op) {
      if (op.kind != OpKind::move) return;
      for (const Operand& o : op.dst)
        if (o.kind == Operand::Kind::channel) ++perTile_[{o.seal.sender, o.seal.receiver}];
    });
    tiles_ = count <= numbers.tileElements ? 1 : (count - 1) / numbers.tileElements + 1;
  }

  /// Of a rank, when its keys have been used for `bases` records before.
  std::vector<Use> of(int rank, const std::map<cc::KeyName, std::uint64_t>& bases) const {
    std::vector<Use> uses;
    for (std::uint64_t tile = 0; tile < tiles_; ++tile)
      forEach([&](int who, const schedule::Op& op) {
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
      for (const schedule::Lane& lane : schedule_.programs[static_cast<std::size_t>(rank)].lanes)
        for (const schedule::Op& op : lane) visit(rank, op);
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
                            .record = record,
                            .sender = static_cast<std::int16_t>(o.seal.sender),
                            .receiver = static_cast<std::int16_t>(o.seal.receiver)};
      const auto aad = std::as_bytes(std::span(&name, 1));
      uses.push_back({.key = keyOf(key.sender, key.receiver),
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
};

/// As sorted text: several tiles are in flight, so the order is free.
std::string sorted(std::vector<Use> uses) {
  std::vector<std::string> lines;
  for (const Use& use : uses) lines.push_back(toString(use));
  std::ranges::sort(lines);
  return fmt::format("{}", fmt::join(lines, "\n"));
}

// ---- collectives ----

struct Case {
  const schedule::Algorithm* algorithm = nullptr;
  Mode mode = Mode::cc;
  int world = 2, root = 0;
  shm::Protocol protocol = shm::Protocol::ll;
  std::size_t tileBytes = 0;
};

PlanRequest requestOf(const Case& c) {
  PlanRequest request;
  request.algorithm = c.algorithm;
  request.type = kType;
  request.mode = c.mode;
  request.root = c.root;
  request.protocol = c.protocol;
  request.tileBytes = c.tileBytes;
  request.depth = 3;
  return request;
}

Schedule scheduleOf(const Case& c) {
  const bool multicast = isMulticast(c.mode);
  Schedule s = schedule::generate(*c.algorithm,
                                  {.worldSize = c.world, .multicast = multicast, .root = c.root});
  return cc::secure(multicast ? std::move(s) : schedule::deliverUnicast(std::move(s)), multicast);
}

void begin(Rank& rank, int me, const Case& c, const Schedule& s, std::size_t count,
           std::uint64_t sequence) {
  using schedule::BufferName;
  rank.in.assign(schedule::blocksOf(s, BufferName::in, me) * count, 1);
  rank.out.assign(schedule::blocksOf(s, BufferName::out, me) * count, 0);
  rank.call = {};
  rank.call.in = rank.in.data();
  rank.call.out = rank.out.data();
  rank.call.count = count;
  rank.call.what = {.sequence = sequence,
                    .collective = c.algorithm->collective,
                    .type = kType,
                    .reduction = Reduction::sum,
                    .count = count,
                    .root = c.root};
  rank.call.fingerprint = shm::fingerprint(rank.call.what);
  rank.run.begin(*rank.plans.back(), rank.call, false);
}

struct Seen {
  int eager = 0, interpreted = 0;
};

/// Two calls of each count on one world, so that the second begins where the first ended.
Seen expectTraces(const Case& c, const std::vector<std::size_t>& counts) {
  SCOPED_TRACE(fmt::format("{} {}, {}, {} ranks, root {}, {}, tiles of {} bytes",
                           name(c.algorithm->collective), c.algorithm->name, name(c.mode), c.world,
                           c.root, c.protocol == shm::Protocol::ll ? "ll" : "simple", c.tileBytes));
  std::vector<std::unique_ptr<Peers>> ends;
  const auto ranks = makeWorld(c.world, ends);
  const Schedule s = scheduleOf(c);
  for (const auto& rank : ranks)
    rank->plans.push_back(
        std::make_unique<const Plan>(lower(requestOf(c), rank->fabric, &rank->keys)));
  const Plan& plan = *ranks[0]->plans.back();
  std::map<cc::KeyName, std::uint64_t> bases;
  std::vector<Use> all;
  Seen seen;
  std::uint64_t sequence = 0;
  for (std::size_t count : counts) {
    if (!contractOf(c.algorithm->collective).hasData) count = 0;
    const Expectation expected(s,
                               {.tileElements = plan.tileElements,
                                .recordsPerMessage = plan.recordsPerMessage,
                                .elementBytes = sizeOf(kType),
                                .digest = plan.digest},
                               count, ++sequence);
    for (int r = 0; r < c.world; ++r)
      begin(*ranks[static_cast<std::size_t>(r)], r, c, s, count, sequence);
    EXPECT_TRUE(driveAll(ranks, [](Rank& rank) { return rank.run.step(); })) << "nobody goes on";
    for (int r = 0; r < c.world; ++r) {
      Rank& rank = *ranks[static_cast<std::size_t>(r)];
      const auto uses = rank.ledger.uses();
      EXPECT_EQ(sorted(uses), sorted(expected.of(r, bases))) << "rank " << r << ", " << count;
      all.insert(all.end(), uses.begin(), uses.end());
      rank.ledger.clear();
      ++(rank.plans.back()->eager && count <= plan.tileElements ? seen.eager : seen.interpreted);
    }
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
        Case c{.algorithm = algorithm, .mode = mode, .world = world, .root = root};
        const auto add = [&](const Seen& seen) {
          total.eager += seen.eager;
          total.interpreted += seen.interpreted;
        };
        c.tileBytes = shm::kLlBytes;
        add(expectTraces(c, {1, 1, 7, 30, 0, 1}));
        c.tileBytes = 64;  // tiles in flight, fused calls between them
        add(expectTraces(c, {100, 3, 101, 3}));
        c.protocol = shm::Protocol::brief;
        add(expectTraces(c, {7, 100, 0}));
        c.protocol = shm::Protocol::simple;
        c.tileBytes = shm::kSlotBytes;  // several records in a message
        add(expectTraces(c, {20000, 5}));
      }
  }
  EXPECT_GT(total.eager, 500) << "the fused path was hardly taken";
  EXPECT_GT(total.interpreted, 500);
}

// ---- sends and receives ----

/// One nonce for the first message, then one for each record that follows.
std::vector<Use> expectedOf(std::uint64_t sequence, std::uint64_t base, std::size_t bytes,
                            bool whole, const std::array<std::byte, 16>& digest) {
  constexpr std::size_t kTile = std::size_t{32} << 10;
  std::vector<Use> uses;
  std::uint64_t nonce = base;
  const auto add = [&](std::uint32_t tile, std::uint32_t index, std::uint32_t record,
                       std::size_t n) {
    const RecordName name{.digest = digest,
                          .sequence = sequence,
                          .count = bytes,
                          .tile = tile,
                          .index = index,
                          .record = record,
                          .sender = 0,
                          .receiver = 1};
    const auto aad = std::as_bytes(std::span(&name, 1));
    uses.push_back({.key = keyOf(0, 1),
                    .nonce = cc::nonceOf(nonce++),
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
  std::vector<std::unique_ptr<Peers>> ends;
  const auto ranks = makeWorld(2, ends);
  std::vector<std::unique_ptr<Transfers>> transfers;
  for (const auto& rank : ranks)
    transfers.push_back(std::make_unique<Transfers>(rank->run, &rank->keys));
  std::uint64_t sequence = 0, base = 0;
  std::vector<Use> all;
  std::array<std::byte, 16> digest{};
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{8}, std::size_t{200},
                                  std::size_t{5000}, std::size_t{16384}, std::size_t{100000}}) {
    SCOPED_TRACE(bytes);
    std::vector<std::byte> out(bytes, std::byte{3}), in(bytes);
    Transfer send{.direction = Transfer::Direction::send,
                  .peer = 1,
                  .data = out.data(),
                  .count = bytes,
                  .type = DataType::u8};
    Transfer receive{.direction = Transfer::Direction::receive,
                     .peer = 0,
                     .data = in.data(),
                     .count = bytes,
                     .type = DataType::u8};
    transfers[0]->add(send);
    transfers[1]->add(receive);
    for (int idle = 0; idle < 100 && !(transfers[0]->idle() && transfers[1]->idle()); ++idle)
      for (const auto& t : transfers)
        if (t->step()) idle = 0;
    ASSERT_EQ(in, out);
    auto sealed = ranks[0]->ledger.uses();
    auto opened = ranks[1]->ledger.uses();
    ASSERT_FALSE(sealed.empty());
    const bool whole = bytes + cc::kTagBytes <= shm::kLlBytes;
    if (sequence++ == 0) std::copy_n(sealed[0].aad.begin(), digest.size(), digest.begin());
    const auto expected = expectedOf(sequence, base, bytes, whole, digest);
    EXPECT_EQ(sorted(sealed), sorted(expected));
    all.insert(all.end(), sealed.begin(), sealed.end());
    all.insert(all.end(), opened.begin(), opened.end());
    for (Use& use : opened) use.seals = true;
    EXPECT_EQ(sorted(opened), sorted(expected));
    base += 1 + (whole ? 0 : recordsOf(bytes));
    for (const auto& rank : ranks) rank->ledger.clear();
  }
  EXPECT_EQ(testing::offencesIn(all), "");
}

}  // namespace
}  // namespace lockstep::host
