// Every (key, nonce) that sealed communicators use, whatever happens to them: none comes twice.
#include <array>
#include <atomic>
#include <numeric>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cc_mode/keys/key_ring.hpp"
#include "collectives/registry.hpp"
#include "executor/host/records.hpp"
#include "secrets/watched_aead.hpp"
#include "support/family.hpp"
#include "support/recording_aead.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

constexpr std::array kSealedModes{Mode::cc, Mode::ccMulticast, Mode::ccMasked};

class NonceLedger : public ::testing::Test {
 protected:
  Ledger ledger_;
  WatchedAead watched_{[this](std::shared_ptr<const cc::Aead> inner) {
    return std::make_shared<RecordingAead>(std::move(inner), ledger_);
  }};

  /// Nothing came twice, and records were sealed under at least so many keys. Those that wrap keys
  /// in the handshake do not count. And pads were made under at least so many others.
  void expectClean(std::size_t keys, std::size_t padKeys = 0) {
    const auto uses = ledger_.uses();
    EXPECT_EQ(offencesIn(uses), "");
    std::set<KeyBytes> used;
    for (const Use& use : uses)
      if (use.seals && use.aad.size() == sizeof(host::RecordName)) used.insert(use.key);
    EXPECT_GE(used.size(), keys);
    EXPECT_GE(padKeysIn(uses).size(), padKeys);
    ledger_.clear();
  }
};

/// Keys of pads that worlds of these sizes have: one of each two neighbours, the group's, and that
/// of tags.
std::size_t padKeysOf(Mode mode, std::initializer_list<std::size_t> worlds) {
  if (mode != Mode::ccMasked) return 0;
  std::size_t keys = 0;
  for (const std::size_t world : worlds) keys += (world == 2 ? 1 : world) + 2;
  return keys;
}

/// Blocks enough for any collective.
struct Buffers {
  Buffers(int world, std::size_t count)
      : in(count * static_cast<std::size_t>(world), 1), out(in.size()) {}
  std::vector<std::int32_t> in, out;
};

void callAll(Communicator& comm, std::size_t count) {
  Buffers b(comm.worldSize(), count);
  for (std::size_t c = 0; c < kCollectives; ++c)
    for (int root = 0; root < comm.worldSize(); ++root)
      comm.run(static_cast<Collective>(c), b.in.data(), b.out.data(), count, DataType::i32,
               Reduction::sum, root);
}

/// Sends of several sizes around a ring, side by side, with a collective behind them.
void passAround(Communicator& comm) {
  const int world = comm.worldSize(), rank = comm.rank();
  const int next = (rank + 1) % world, previous = (rank + world - 1) % world;
  std::vector<std::uint8_t> out(100000), in(100000);
  Group group;
  std::size_t at = 0;
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{8}, std::size_t{3000}, std::size_t{70000}}) {
    group.send(comm, out.data() + at, bytes, DataType::u8, next)
        .receive(comm, in.data() + at, bytes, DataType::u8, previous);
    at += bytes;
  }
  std::int32_t one = 1, sum = 0;
  group.run(comm, Collective::allReduce, &one, &sum, 1, DataType::i32);
  group.start().wait();
  require(sum == world, "a wrong sum");
}

void callEverything(Communicator& comm) {
  for (const std::size_t count : {0, 1, 20, 1, 3000, 50000, 20}) callAll(comm, count);
  passAround(comm);
}

TEST_F(NonceLedger, NoCollectiveUsesANonceTwice) {
  for (const Mode mode : kSealedModes)
    for (const char* protocol : {"", "ll", "simple"})
      for (const int world : {2, 3, 4}) {
        SCOPED_TRACE(fmt::format("{}, {} ranks, protocol '{}'", name(mode), world, protocol));
        Options options = optionsOf(mode);
        options.protocol = protocol;
        EXPECT_EQ(failures(runRanks(Kind::threads, world, options,
                                    [](Communicator& comm, int) { callEverything(comm); })),
                  "");
        expectClean(static_cast<std::size_t>(world * (world - 1)),
                    padKeysOf(mode, {static_cast<std::size_t>(world)}));
      }
}

TEST_F(NonceLedger, ChildrenAndTheirParentsShareNoKey) {
  for (const Mode mode : kSealedModes) {
    SCOPED_TRACE(name(mode));
    constexpr int kWorld = 4;
    EXPECT_EQ(failures(runRanks(Kind::threads, kWorld, optionsOf(mode),
                                [](Communicator& comm, int rank) {
                                  callEverything(comm);
                                  Communicator twin = comm.duplicate();
                                  auto half = comm.split(rank % 2, rank);
                                  auto other = comm.split(rank % 2, -rank);
                                  for (Communicator* c : {&twin, &*half, &comm, &*other, &twin})
                                    callEverything(*c);
                                  Communicator left = comm.shrink();
                                  callEverything(left);
                                  callEverything(comm);
                                })),
              "");
    expectClean(3 * 12 + 4 * 2, padKeysOf(mode, {4, 4, 4, 2, 2, 2, 2}));
  }
}

/// Of a sealed message between two ranks that is no record.
bool isControl(const Use& use) {
  constexpr std::string_view kLabel = "lockstep control";
  const auto label = std::as_bytes(std::span(kLabel));
  return use.aad.size() > label.size() && std::equal(label.begin(), label.end(), use.aad.begin());
}

/// Wishes, tables and sizes go under keys that seal nothing else, calls that fail included.
TEST_F(NonceLedger, ControlMessagesHaveKeysOfTheirOwn) {
  for (const Mode mode : kSealedModes) {
    SCOPED_TRACE(name(mode));
    constexpr int kWorld = 3, kRounds = 4, kCalls = 5;
    EXPECT_EQ(failures(runRanks(Kind::threads, kWorld, optionsOf(mode),
                                [](Communicator& comm, int rank) {
                                  for (int round = 0; round < kRounds; ++round) {
                                    comm.alloc(64);
                                    comm.retune(R"({"version": 2, "tables": []})", "none");
                                    static_cast<void>(comm.split(rank % 2, 0));
                                    static_cast<void>(comm.duplicate());
                                    try {
                                      comm.alloc(rank == 1 ? 64 : 128);
                                      require(false, "no error");
                                    } catch (const Error& error) {
                                      require(error.code() == ErrorCode::mismatch, error.what());
                                    }
                                    callAll(comm, 20);
                                  }
                                })),
              "");
    const auto uses = ledger_.uses();
    std::set<KeyBytes> control, others;
    std::size_t sealed = 0;
    for (const Use& use : uses) {
      (isControl(use) ? control : others).insert(use.key);
      sealed += isControl(use) && use.seals;
    }
    // Children seal none: nothing was asked of them.
    EXPECT_EQ(control.size(), static_cast<std::size_t>(kWorld * (kWorld - 1)));
    EXPECT_EQ(sealed, control.size() * kRounds * kCalls);
    for (const KeyBytes& key : control) EXPECT_FALSE(others.contains(key));
    expectClean(kWorld * (kWorld - 1), padKeysOf(mode, {kWorld}));
  }
}

/// What an aborted call has reserved is gone; survivors go on under keys of their own.
TEST_F(NonceLedger, AnAbortGivesNothingBack) {
  for (const Mode mode : kSealedModes)
    for (int round = 0; round < 5; ++round) {
      SCOPED_TRACE(fmt::format("{}, round {}", name(mode), round));
      constexpr int kWorld = 3;
      const auto outcomes =
          runRanks(Kind::threads, kWorld, optionsOf(mode), [&](Communicator& comm, int rank) {
            callAll(comm, 20);
            std::vector<float> data(200000, 1);
            try {
              for (int call = 0;; ++call) {
                if (rank == 1 && call == round) comm.abort();
                comm.allReduce(data.data(), data.data(), data.size(), DataType::f32);
              }
            } catch (const Error& error) {
              require(error.code() == ErrorCode::aborted, error.what());
            }
            try {  // nothing more goes under the old keys
              comm.barrier();
              require(false, "an aborted communicator goes on");
            } catch (const Error&) {
            }
            Communicator rest = comm.shrink();
            callEverything(rest);
          });
      EXPECT_EQ(failures(outcomes), "");
      expectClean(2 * 6, padKeysOf(mode, {kWorld, kWorld}));
    }
}

/// Options with keys that are replaced as often as may be.
Options rekeying(Mode mode) {
  Options options = optionsOf(mode);
  options.rekeyBytes = 1 << 20;
  return options;
}

/// Calls large enough for a key's life to end within them, small ones between, sends of 3 MB.
void callThroughEpochs(Communicator& comm) {
  const int world = comm.worldSize(), rank = comm.rank();
  constexpr std::size_t kCount = 600'000;
  Buffers b(world, kCount);
  for (std::size_t c = 0; c < kCollectives; ++c)
    comm.run(static_cast<Collective>(c), b.in.data(), b.out.data(), kCount, DataType::i32);
  std::iota(b.in.begin(), b.in.end(), rank);
  for (int round = 0; round < 3; ++round) {
    comm.allReduce(b.in.data(), b.out.data(), kCount, DataType::i32);
    for (std::size_t i = 0; i < kCount; ++i)
      require(b.out[i] == static_cast<int>(i) * world + world * (world - 1) / 2, "a wrong sum");
    comm.allReduce(b.in.data(), b.out.data(), 1, DataType::i32);
    require(b.out[0] == world * (world - 1) / 2, "a wrong small sum");
  }
  const int next = (rank + 1) % world, previous = (rank + world - 1) % world;
  Group group;
  group.send(comm, b.in.data(), kCount, DataType::i32, next)
      .receive(comm, b.out.data(), kCount, DataType::i32, previous);
  group.start().wait();
  for (std::size_t i = 0; i < kCount; ++i)
    require(b.out[i] == static_cast<int>(i) + previous, "a wrong element arrived");
}

TEST_F(NonceLedger, KeysAreReplacedUnderTraffic) {
  std::set<std::string_view> algorithms{""};
  for (const schedule::Algorithm* algorithm : schedule::algorithms())
    if (algorithm->edges == schedule::Edges::channels) algorithms.insert(algorithm->name);
  for (const Mode mode : kSealedModes)
    for (const std::string_view algorithm : algorithms)
      for (const char* protocol : {"ll", "simple"}) {
        if (protocol == std::string_view("ll") && !algorithm.empty()) continue;
        SCOPED_TRACE(fmt::format("{}, '{}', protocol {}", name(mode), algorithm, protocol));
        constexpr int kWorld = 3;
        Options options = rekeying(mode);
        options.algorithm = algorithm;
        options.protocol = protocol;
        ASSERT_EQ(failures(runRanks(Kind::threads, kWorld, options,
                                    [](Communicator& comm, int) { callThroughEpochs(comm); })),
                  "");
        // Three epochs of each key, at least; but one of tags.
        expectClean(3 * kWorld * (kWorld - 1),
                    3 * padKeysOf(mode, {kWorld}) - (mode == Mode::ccMasked ? 2 : 0));
      }
}

/// Ranks give up while keys are being replaced; children and survivors go on, replacing theirs.
TEST_F(NonceLedger, AnAbortWithinAnEpochGivesNothingBack) {
  for (const Mode mode : kSealedModes)
    for (int round = 0; round < 3; ++round) {
      SCOPED_TRACE(fmt::format("{}, round {}", name(mode), round));
      constexpr int kWorld = 3;
      const auto outcomes =
          runRanks(Kind::threads, kWorld, rekeying(mode), [&](Communicator& comm, int rank) {
            std::vector<float> data(1'000'000, 1);
            std::atomic<bool> over{false};
            std::thread killer;
            if (rank == 1)
              killer = std::thread([&] {
                // Somewhere in the second or a later megabyte of a pair.
                while (!over && ledger_.size() < 1000 + 700 * static_cast<std::size_t>(round))
                  std::this_thread::yield();
                comm.abort();
              });
            try {
              for (;;) comm.allReduce(data.data(), data.data(), data.size(), DataType::f32);
            } catch (const Error& error) {
              require(error.code() == ErrorCode::aborted, error.what());
            }
            over = true;
            if (killer.joinable()) killer.join();
            Communicator rest = comm.shrink();
            callThroughEpochs(rest);
          });
      EXPECT_EQ(failures(outcomes), "");
      expectClean(4 * 6, 2 * padKeysOf(mode, {kWorld}));
    }
}

/// A forked child has copies of the counters: it must not seal anything.
TEST_F(NonceLedger, AForkedChildSealsNothing) {
  for (const Mode mode : kSealedModes) {
    SCOPED_TRACE(name(mode));
    auto ranks = Communicator::createInProcess(2, optionsOf(mode));
    const std::size_t before = ledger_.uses().size();
    const pid_t child = ::fork();
    if (child == 0) {
      int refusals = 0;
      std::int32_t value = 1;
      for (const auto& act : std::vector<std::function<void()>>{
               [&] { ranks[0].allReduce(&value, &value, 1, DataType::i32); },
               [&] { ranks[0].send(&value, 1, DataType::i32, 1); }, [&] { ranks[0].barrier(); },
               [&] { static_cast<void>(ranks[0].duplicate()); },
               [&] { static_cast<void>(ranks[0].shrink()); }})
        try {
          act();
        } catch (const Error&) {
          ++refusals;
        }
      ::_exit(refusals == 5 && ledger_.uses().size() == before ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

/// An epoch ends after 2^34.5 blocks: nonces go on, under another key.
TEST_F(NonceLedger, AnEpochHasItsOwnKey) {
  const auto aead = cc::createAead();
  const KeyBytes key{std::byte{1}};
  cc::LiveKey live(aead, key);
  constexpr std::uint64_t kMost = 23'000'000;  // records of 16 KiB: nearly a key's life
  std::array<std::byte, 16> plain{}, cipher{};
  const std::array<std::byte, sizeof(host::RecordName)> name{};
  cc::Tag tag;
  for (std::uint64_t call = 0; call < 6; ++call) {
    const std::uint64_t first = live.reserve(kMost, 16384);
    EXPECT_EQ(live.epoch(), call);
    for (const std::uint64_t record : {std::uint64_t{0}, kMost - 1})
      aead->seal(live.expanded(), cc::nonceOf(first + record),
                 cc::ConstPrivateBytes(name.data(), name.size()),
                 cc::ConstPrivateBytes(plain.data(), plain.size()),
                 cc::PrivateBytes(cipher.data(), cipher.size()), tag);
  }
  expectClean(6);
}

/// The ledger sees what must not be.
TEST_F(NonceLedger, PlantedOffencesAreFound) {
  const Use seal{.key = {std::byte{1}},
                 .nonce = cc::nonceOf(1),
                 .aad = {std::byte{5}},
                 .bytes = 3,
                 .seals = true};
  Use open = seal;
  open.seals = false;
  open.holder = &open;
  EXPECT_EQ(offencesIn({seal, open}), "");
  Use other = seal;
  other.bytes = 4;
  EXPECT_NE(offencesIn({seal, other}), "");
  EXPECT_NE(offencesIn({seal, open, open}), "") << "replayed";
  EXPECT_NE(offencesIn({open}), "") << "forged";
  Use pad = seal, others = seal;  // as two holders of a key make it
  pad.aad.clear();
  others.aad.clear();
  others.holder = &others;
  EXPECT_EQ(offencesIn({pad, others}), "");
  EXPECT_NE(offencesIn({pad, pad}), "") << "one holder made it twice";
  EXPECT_NE(offencesIn({pad, seal}), "") << "a record under a key of pads";
  others.bytes = 4;
  EXPECT_NE(offencesIn({pad, others}), "") << "of two sizes";
  for (const auto& change : std::vector<std::function<void(Use&)>>{
           [](Use& use) { use.nonce = cc::nonceOf(2); }, [](Use& use) { use.aad.clear(); },
           [](Use& use) { use.bytes = 2; }, [](Use& use) { use.key[3] = std::byte{1}; }}) {
    Use changed = open;
    change(changed);
    EXPECT_NE(offencesIn({seal, changed}), "");
  }
}

}  // namespace
}  // namespace lockstep::testing
