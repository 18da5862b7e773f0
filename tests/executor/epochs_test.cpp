// Keys are replaced within calls: at the same tiles on all ranks, with both keys at hand while
// tiles of both are under way, and with nothing of one epoch good in another.
#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>
#include <tuple>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "executor/sealed_world.hpp"

namespace lockstep::host {
namespace {

using testing::KeyBytes;
using testing::Use;

constexpr std::uint64_t kRekeyBytes = 1 << 20;
constexpr std::size_t kCount = 3 << 17;  // elements of 8 bytes: 3 MiB

RecordName nameOf(const Use& use) {
  RecordName name;
  if (use.aad.size() != sizeof name) throw std::runtime_error("a record has no name");
  std::memcpy(&name, use.aad.data(), sizeof name);
  return name;
}

/// Every record says its key's epoch, each epoch has a key of its own, and no key seals more than
/// `most` bytes. Returns the last epoch.
std::uint32_t expectEpochs(const std::vector<Use>& uses, std::size_t most) {
  std::map<std::tuple<int, int, std::uint32_t>, KeyBytes> keys;
  std::map<KeyBytes, std::size_t> bytes;
  std::uint32_t last = 0;
  int wrong = 0;
  for (const Use& use : uses) {
    const RecordName name = nameOf(use);
    const auto [known, fresh] = keys.try_emplace({name.sender, name.receiver, name.epoch}, use.key);
    wrong += known->second != use.key;
    if (use.seals) bytes[use.key] += use.bytes;
    last = std::max(last, name.epoch);
  }
  EXPECT_EQ(wrong, 0) << "records of two keys in one epoch";
  std::set<KeyBytes> different;
  for (const auto& [epoch, key] : keys) different.insert(key);
  EXPECT_EQ(different.size(), keys.size()) << "a key of two epochs";
  for (const auto& [key, sum] : bytes) EXPECT_LE(sum, most);
  return last;
}

/// A world that replaces its keys so often.
struct ShortLived : SealedWorld {
  explicit ShortLived(int size) : SealedWorld(size) {
    for (int r = 0; r < size; ++r) rank(r).keys.replaceAfter(kRekeyBytes);
  }
};

Case caseOf(const schedule::Algorithm& algorithm, Mode mode, shm::Protocol protocol) {
  return {.algorithm = &algorithm,
          .mode = mode,
          .protocol = protocol,
          .tileBytes = shm::kSlotBytes,  // less where that does not fit
          .depth = kMaxDepth};
}

std::int64_t valueOf(int rank, std::size_t element) {
  return static_cast<std::int64_t>(element) + rank;
}

void expectSums(const SealedWorld& world) {
  const std::int64_t size = world.size();
  for (int r = 0; r < size; ++r)
    for (std::size_t i = 0; i < kCount; ++i)
      if (const std::int64_t sum = world.rank(r).out[i];
          sum != static_cast<std::int64_t>(i) * size + size * (size - 1) / 2)
        FAIL() << "element " << i << " is " << sum;
}

/// At least eight tiles of the plan, and the bound, under one key.
std::size_t mostUnderOneKey(const Plan& plan) {
  std::size_t most = kRekeyBytes;
  for (const KeyUse& use : plan.keys)
    most = std::max<std::size_t>(most, 8 * use.perTile * plan.recordsPerMessage * kRecordBytes);
  return most;
}

TEST(Epochs, EveryCollectiveGoesThroughThem) {
  std::size_t crossed = 0;
  for (const schedule::Algorithm* algorithm : schedule::algorithms())
    for (const Mode mode : {Mode::cc, Mode::ccMulticast})
      for (const shm::Protocol protocol :
           {shm::Protocol::simple, shm::Protocol::ll, shm::Protocol::brief}) {
        if (algorithm->edges != schedule::Edges::channels) continue;
        if (mode == Mode::ccMulticast && protocol == shm::Protocol::brief) continue;
        SCOPED_TRACE(fmt::format("{} {}, {}, {}", name(algorithm->collective), algorithm->name,
                                 name(mode), static_cast<int>(protocol)));
        constexpr int kWorld = 3;
        ShortLived world(kWorld);
        const Plan& plan = world.prepare(caseOf(*algorithm, mode, protocol));
        const bool data = contractOf(algorithm->collective).hasData;
        for (int call = 1; call <= 2; ++call) {
          world.begin(data ? kCount : 0, valueOf);
          ASSERT_TRUE(world.drive());
        }
        if (algorithm->collective == Collective::allReduce) expectSums(world);
        const auto uses = world.takeUses();
        EXPECT_EQ(testing::offencesIn(uses), "");
        const std::uint32_t last = expectEpochs(uses, mostUnderOneKey(plan));
        EXPECT_EQ(last != 0, data);
        crossed += last != 0;
        // Who holds a key counts its epochs, whether it has seen its records or not.
        cc::KeyRing& first = world.rank(0).keys;
        for (const KeyUse& use : plan.keys)
          for (int r = 0; r < kWorld; ++r) {
            SCOPED_TRACE(r);
            cc::KeyRing& keys = world.rank(r).keys;
            for (int s = 0; s < kWorld; ++s) {
              const cc::KeyName group{s, schedule::kEveryone}, pair{0, s};
              if (use.key == &first.at(group)) {
                EXPECT_EQ(keys.at(group).epoch(), use.key->epoch());
              }
              if (s != 0 && use.key == &first.at(pair)) {
                EXPECT_EQ(world.rank(s).keys.at(pair).epoch(), use.key->epoch());
              }
            }
          }
      }
  EXPECT_GT(crossed, 40U);
}

TEST(Epochs, TransfersGoThroughThem) {
  ShortLived world(2);
  for (const std::size_t bytes : {std::size_t{3'000'000}, std::size_t{100}, std::size_t{700'000},
                                  std::size_t{700'000}, std::size_t{5'000'000}}) {
    std::vector<std::uint8_t> out(bytes), in(bytes);
    std::iota(out.begin(), out.end(), static_cast<std::uint8_t>(bytes));
    ASSERT_TRUE(world.transfer(0, 1, out, in));
    ASSERT_EQ(in, out);
    EXPECT_EQ(world.rank(0).keys.at({0, 1}).epoch(), world.rank(1).keys.at({0, 1}).epoch());
  }
  const auto uses = world.takeUses();
  EXPECT_EQ(testing::offencesIn(uses), "");
  EXPECT_GE(expectEpochs(uses, kRekeyBytes), 8U);
}

/// What was sealed in one epoch is put where a record of the next is awaited.
TEST(Epochs, ARecordOfAnotherEpochIsRefused) {
  ShortLived world(2);
  const auto* direct =
      schedule::findAlgorithm(Collective::broadcast, "direct", schedule::Edges::channels);
  world.prepare(caseOf(*direct, Mode::cc, shm::Protocol::simple));
  world.begin(kCount, valueOf);
  host::Run &sender = world.rank(0).run, &reader = world.rank(1).run;
  const shm::OutChannel& slots = world.rank(0).fabric.out(1, shm::Protocol::simple);
  cc::LiveKey& key = world.rank(0).keys.at({0, 1});
  const auto fill = [&] {
    while (sender.step() == Progress::some) {
    }
  };
  fill();  // the first eight tiles
  std::vector<std::byte> old(shm::kSlotStride);
  const std::uint64_t turn = key.turnsAt();  // the first tile of the next epoch
  ASSERT_NE(turn, cc::LiveKey::kNever);
  ASSERT_GE(turn, shm::kSlots);
  std::copy_n(slots.payload(turn % shm::kSlots).inTheClear(), old.size(), old.begin());
  try {
    while (key.turnsAt() == turn) {
      ASSERT_NE(reader.step(), Progress::none);
      fill();
    }
    // All of the first epoch has been sealed, and some of the next.
    std::copy(old.begin(), old.end(), slots.payload(turn % shm::kSlots).inTheClear());
    while (reader.step() == Progress::some) fill();
    ADD_FAILURE() << "believed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    EXPECT_NE(std::string(error.what()).find(fmt::format("tile {}", turn)), std::string::npos)
        << error.what();
  }
}

/// The same nonce, the same name but for the epoch: the key alone refuses it, and the name alone.
TEST(Epochs, KeyAndNameBothTellEpochsApart) {
  const auto aead = cc::createAead();
  const KeyBytes bytes = keyOf({0, 1});
  cc::LiveKey sender(aead, bytes, 8), reader(aead, bytes, 8);
  for (cc::LiveKey* key : {&sender, &reader}) key->reserve(20, 1, 0);
  const std::uint64_t turn = sender.turnsAt();
  ASSERT_EQ(turn, 8U);
  RecordSealer sealer(aead.get());
  const RecordName name{.tile = 3, .epoch = 0};
  std::vector<std::byte> record(cc::kTagBytes);
  const auto opens = [&](cc::ExpandedKey& key, const RecordName& as) {
    std::copy(record.begin(), record.end(), sealer.copyIn());
    return sealer.open(key, 5, as, 0, sealer.plain(0));
  };
  std::copy_n(sealer.seal(sender.of(turn - 1), 5, name, nullptr, 0), record.size(), record.begin());
  RecordName next = name;
  next.epoch = 1;
  EXPECT_TRUE(opens(reader.of(turn - 1), name));
  EXPECT_FALSE(opens(reader.of(turn), name));
  EXPECT_FALSE(opens(reader.of(turn - 1), next));
}

}  // namespace
}  // namespace lockstep::host
