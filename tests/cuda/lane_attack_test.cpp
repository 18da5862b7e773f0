// Sealed calls under attack by whoever can write everything that ranks share: in thousands of
// trials no rank whose own record of the call is clean has a wrong result, and no call hangs.
//
// Most attacks need no luck: the senders run first, the attacker changes what lies in the slots,
// then the readers run. In the last test an attacker writes while all run.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <optional>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cuda/changed_prelude.hpp"
#include "cuda/generated_calls.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;

/// Of 32 bits, in one unsigned.
class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  unsigned operator()() { return static_cast<unsigned>(engine_()); }

 private:
  std::mt19937 engine_;
};

constexpr int kRanks = 3;
constexpr unsigned kLanes = 2;
/// Two messages per lane and channel and call, the last of them short.
constexpr std::size_t kTile = 256, kCount = 4 * kTile - 24, kLeast = kTile - 24;
constexpr unsigned kPerCall = 2;

HostWorld makeWorld(const HostModule& module, unsigned salt) {
  HostWorld world({.world = kRanks,
                   .lanes = kLanes,
                   .slotBytes = 512,
                   .llBytes = 512,
                   .heapBytes = std::size_t{1} << 16});
  world.prepareKeys(module, salt);
  return world;
}

/// What a call of some ranks leaves behind, to begin from again.
class Stage {
 public:
  explicit Stage(HostWorld& world) : world_(world) {
    for (int rank = 0; rank < kRanks; ++rank) {
      const auto shared = channels(rank);
      shared_.emplace_back(shared.begin(), shared.end());
      for (unsigned lane = 0; lane < kLanes; ++lane) lanes_.push_back(world.lane(rank, lane));
    }
  }
  void restore() const {
    for (int rank = 0; rank < kRanks; ++rank) {
      const auto r = static_cast<std::size_t>(rank);
      std::ranges::copy(shared_[r], channels(rank).begin());
      for (unsigned lane = 0; lane < kLanes; ++lane)
        world_.lane(rank, lane) = lanes_[r * kLanes + lane];
      world_.forget(rank);
    }
  }
  const Bytes& shared(int rank) const { return shared_[static_cast<std::size_t>(rank)]; }

 private:
  /// All that ranks share but the heap.
  std::span<std::byte> channels(int rank) const {
    const device::Offsets offsets{world_.geometry()};
    return world_.segment(rank).first(offsets.slots() +
                                      offsets.perLane(offsets.slotStride() * device::kSlots));
  }
  HostWorld& world_;
  std::vector<Bytes> shared_;
  std::vector<device::LaneState> lanes_;
};

/// A slot as whoever attacks sees it.
struct Slot {
  std::byte* payload;
  std::byte* tag;
  device::SlotFlag* flag;

  Bytes content() const {
    Bytes all(payload, payload + kTile);
    all.insert(all.end(), tag, tag + device::kTagBytes);
    return all;
  }
  void put(const Bytes& content) const {
    std::copy_n(content.begin(), kTile, payload);
    std::copy_n(content.begin() + kTile, device::kTagBytes, tag);
  }
};

Slot slotAt(std::byte* segment, const device::Geometry& geometry, unsigned lane, unsigned channel,
            unsigned slot) {
  const device::Offsets offsets{geometry};
  std::byte* const payload = segment + offsets.slot(lane, channel, slot);
  return {payload, payload + geometry.slotBytes,
          reinterpret_cast<device::SlotFlag*>(segment + offsets.flag(lane, channel, slot))};
}

/// Who sends first, and where that arrives.
struct Scene {
  Mode mode;
  std::string_view kernel;
  std::uint64_t senders;
  struct Way {
    int reader;
    unsigned channel;
  };
  std::array<Way, 2> ways;
};
constexpr Scene kScenes[]{
    {Mode::cc, "lockstep_gather_direct", 0b110, {{{0, 1}, {0, 2}}}},
    {Mode::cc, "lockstep_scatter_direct", 0b001, {{{1, 0}, {2, 0}}}},
    {Mode::ccMulticast, "lockstep_broadcast_direct", 0b001, {{{1, kRanks}, {2, kRanks}}}}};

struct Compiled {
  std::vector<GeneratedCase> cases;
  HostModule module;
  Compiled(Mode mode, const HostBuild& build, bool all)
      : cases(chosen(mode, all)), module(compileCases(cases, build)) {}

 private:
  static std::vector<GeneratedCase> chosen(Mode mode, bool all) {
    std::vector<GeneratedCase> cases = casesApart(kRanks, mode);
    std::erase_if(cases, [&](const GeneratedCase& c) {
      return !all && std::ranges::none_of(kScenes, [&](const Scene& s) {
        return c.kernel.name.starts_with(s.kernel);
      });
    });
    return cases;
  }
};
const HostBuild kBuild{.flags = "-O0"};
const Compiled& compiled(Mode mode) {
  static const Compiled pairs(Mode::cc, kBuild, false), group(Mode::ccMulticast, kBuild, false);
  return mode == Mode::cc ? pairs : group;
}

/// Two calls of a scene: one that is over, and one whose senders have sent.
class Theatre {
 public:
  Theatre(const Scene& scene, const Compiled& compiled, unsigned salt)
      : scene_(scene),
        compiled_(compiled),
        case_(*std::ranges::find_if(
            compiled.cases,
            [&](const GeneratedCase& c) { return c.kernel.name.starts_with(scene.kernel); })),
        world_(makeWorld(compiled.module, salt)) {
    call(salt + 1);
    run(0b111);
    before_.emplace(world_);
    call(salt + 2);
    run(scene.senders);
    sent_.emplace(world_);
    call_->inTurn = true;
  }

  /// The readers' turn, after the attack, when nothing has happened yet. Afterwards nothing is left
  /// of what the segments said about how it went.
  void play(const std::function<void(Theatre&)>& attack) {
    sent_->restore();
    blank();
    attack(*this);
    run(~scene_.senders);
    for (int rank = 0; rank < kRanks; ++rank) world_.control(rank) = {};
  }
  bool clean(int rank) const {
    return world_.verdict(rank).stopped == 0 && world_.report(rank).fault == 0;
  }
  bool isReader(int rank) const { return (scene_.senders >> rank & 1) == 0; }
  std::string wrong(int rank) const { return call_->wrong(rank); }
  /// Every reader has stopped, or has the right result. Returns how many stopped.
  int check(std::string_view what) const {
    int stopped = 0;
    for (int rank = 0; rank < kRanks; ++rank) {
      if (!isReader(rank)) continue;
      if (clean(rank))
        EXPECT_EQ(wrong(rank), "") << what;
      else
        ++stopped;
    }
    return stopped;
  }

  /// Message `number` of the call that was sent, or of the one before.
  Slot slot(unsigned way, unsigned lane, unsigned number, bool old = false) const {
    const Scene::Way& at = scene_.ways[way];
    return slotAt(world_.segment(at.reader).data(), world_.geometry(), lane, at.channel,
                  number + (old ? 0 : kPerCall));
  }
  /// The slot as it was before the senders sent.
  Bytes before(unsigned way, unsigned lane, unsigned number) const {
    Bytes shared = before_->shared(scene_.ways[way].reader);
    return slotAt(shared.data(), world_.geometry(), lane, scene_.ways[way].channel,
                  number + kPerCall)
        .content();
  }
  const Scene& scene() const { return scene_; }
  HostWorld& world() { return world_; }
  const Stage& beforeSending() const { return *before_; }
  void run(std::uint64_t present) {
    call_->present = present;
    call_->run(compiled_.module);
  }
  GeneratedCall& call() { return *call_; }
  void blank() {
    for (int rank = 0; rank < kRanks; ++rank)
      if (isReader(rank)) std::fill_n(call_->operands(rank).out, kCount, std::byte{0xee});
  }

 private:
  void call(std::uint64_t seed) {
    call_.emplace(case_, world_, kCount, 0, 0, seed);
    call_->shape.tileElements = kTile;
  }

  const Scene& scene_;
  const Compiled& compiled_;
  const GeneratedCase& case_;
  HostWorld world_;
  std::optional<GeneratedCall> call_;
  std::optional<Stage> before_, sent_;
};

/// Where to strike.
struct Aim {
  unsigned way, lane, number;
  static Aim at(Random& random) { return {random() % 2, random() % 2, random() % kPerCall}; }
};

/// True: something that will be opened is another than was sent.
using Attack = bool (*)(Theatre&, const Theatre& other, Random&);

bool replaced(const Slot& slot, const Bytes& content) {
  const bool differs = slot.content() != content;
  slot.put(content);
  return differs;
}

bool flipBit(std::byte* at, std::size_t bytes, Random& random) {
  at[random() % bytes] ^= std::byte{1} << random() % 8;
  return true;
}

struct Named {
  const char* name;
  Attack attack;
};
constexpr Named kForgeries[]{
    {"a bit of ciphertext",
     [](Theatre& t, const Theatre&, Random& random) {
       const auto [way, lane, number] = Aim::at(random);
       return flipBit(t.slot(way, lane, number).payload, kLeast, random);
     }},
    {"a bit of a tag",
     [](Theatre& t, const Theatre&, Random& random) {
       const auto [way, lane, number] = Aim::at(random);
       return flipBit(t.slot(way, lane, number).tag, device::kTagBytes, random);
     }},
    {"an older message",
     [](Theatre& t, const Theatre&, Random& random) {
       const auto [way, lane, number] = Aim::at(random);
       return replaced(t.slot(way, lane, number),
                       t.slot(way, lane, random() % kPerCall, true).content());
     }},
    {"two messages swapped",
     [](Theatre& t, const Theatre&, Random& random) {
       const auto [way, lane, number] = Aim::at(random);
       const Slot one = t.slot(way, lane, 0), other = t.slot(way, lane, 1);
       const Bytes first = one.content();
       return replaced(one, other.content()) && replaced(other, first);
     }},
    {"another lane's message",
     [](Theatre& t, const Theatre&, Random& random) {
       const auto [way, lane, number] = Aim::at(random);
       return replaced(t.slot(way, lane, number), t.slot(way, lane ^ 1, number).content());
     }},
    {"another rank's message",
     [](Theatre& t, const Theatre&, Random& random) {
       const auto [way, lane, number] = Aim::at(random);
       // Under a group key readers get the same; then an old one of the other reader will do.
       const bool group = t.scene().mode == Mode::ccMulticast;
       return replaced(t.slot(way, lane, number), t.slot(way ^ 1, lane, number, group).content());
     }},
    {"another communicator's message",
     [](Theatre& t, const Theatre& other, Random& random) {
       const auto [way, lane, number] = Aim::at(random);
       return replaced(t.slot(way, lane, number), other.slot(way, lane, number).content());
     }},
    {"an end cut off",
     [](Theatre& t, const Theatre&, Random& random) {
       const auto [way, lane, number] = Aim::at(random);
       const Slot slot = t.slot(way, lane, number);
       Bytes content = slot.content();
       std::fill(content.begin() + random() % (kLeast - 8), content.begin() + kTile, std::byte{});
       return replaced(slot, content);
     }},
    {"a flag without a message",
     [](Theatre& t, const Theatre&, Random& random) {
       const auto [way, lane, number] = Aim::at(random);
       return replaced(t.slot(way, lane, number), t.before(way, lane, number));
     }},
    {"noise",
     [](Theatre& t, const Theatre&, Random& random) {
       const auto [way, lane, number] = Aim::at(random);
       const Slot slot = t.slot(way, lane, number);
       Bytes content = slot.content();
       for (std::byte& b : content) b = static_cast<std::byte>(random());
       return replaced(slot, content);
     }},
};

TEST(LaneAttack, NothingForgedIsTaken) {
  constexpr int kTrials = 100;
  Random random(20);
  for (const Scene& scene : kScenes) {
    Theatre theatre(scene, compiled(scene.mode), 0);
    const Theatre other(scene, compiled(scene.mode), 100);
    theatre.play([](Theatre&) {});
    ASSERT_EQ(theatre.check("no attack"), 0);
    for (const auto& [name, attack] : kForgeries) {
      const std::string what = fmt::format("{}, {}", scene.kernel, name);
      int hits = 0;
      for (int trial = 0; trial < kTrials; ++trial) {
        bool hit = false;
        theatre.play([&](Theatre& t) { hit = attack(t, other, random); });
        const int stopped = theatre.check(what);
        if (!hit) continue;
        ++hits;
        ASSERT_GT(stopped, 0) << what << ", trial " << trial;
      }
      EXPECT_GE(hits, kTrials * 9 / 10) << what;
    }
  }
}

/// What is in the clear beside records may be anything: it decides nothing.
TEST(LaneAttack, WhatIsNotSealedDecidesNothing) {
  Random random(21);
  for (const Scene& scene : kScenes) {
    Theatre theatre(scene, compiled(scene.mode), 0);
    const device::Geometry& geometry = theatre.world().geometry();
    const device::Offsets offsets{geometry};
    for (int trial = 0; trial < 60; ++trial) {
      theatre.play([&](Theatre& t) {
        const auto [way, lane, number] = Aim::at(random);
        t.slot(way, lane, number).flag->fingerprint = random();
        for (int rank = 0; rank < kRanks; ++rank) {
          std::byte* const segment = t.world().segment(rank).data();
          for (std::uint64_t at = offsets.exposures(); at < offsets.lines(); ++at)
            segment[at] = static_cast<std::byte>(random());
          device::Control& control = t.world().control(rank);
          control.calls = random();
          control.what = random();
          control.count = random();
        }
      });
      EXPECT_EQ(theatre.check(scene.kernel), 0);
    }
  }
}

/// Writers that believe in credit that nobody gave write over what nobody has read.
TEST(LaneAttack, ForgedCreditGivesNoWrongResult) {
  constexpr int kTrials = 12;
  for (const Scene& scene : kScenes) {
    Theatre theatre(scene, compiled(scene.mode), 0);
    const device::Offsets offsets{theatre.world().geometry()};
    int stopped = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      theatre.beforeSending().restore();
      theatre.blank();
      for (int writer = 0; writer < kRanks; ++writer)
        for (unsigned lane = 0; lane < kLanes; ++lane)
          for (unsigned channel = 0; channel < 2 * kRanks; ++channel)
            reinterpret_cast<device::Credit*>(
                theatre.world().segment(writer).data() +
                offsets.credit(device::Protocol::simple, lane, channel))
                ->consumed = std::uint64_t{1} << 40;
      // 16 tiles: eight messages for four slots.
      theatre.call().shape.tileElements = 64;
      theatre.call().shape.patience = 20ms;
      theatre.call().inTurn = false;
      const bool apart = trial % 4 == 0;
      if (apart) theatre.run(scene.senders);
      theatre.run(apart ? ~scene.senders : ~std::uint64_t{0});
      stopped += theatre.check(scene.kernel);
    }
    EXPECT_GE(stopped, kTrials / 4) << scene.kernel;
  }
}

/// An attacker who lets a call stop and then wipes the traces is found out all the same.
TEST(LaneAttack, AWipedAbortIsNotForgotten) {
  for (const Scene& scene : kScenes) {
    Theatre theatre(scene, compiled(scene.mode), 0);
    theatre.play([](Theatre& t) {
      for (int rank = 0; rank < kRanks; ++rank) t.world().control(rank).abort = 1;
    });
    for (int rank = 0; rank < kRanks; ++rank) {
      if (!theatre.isReader(rank)) continue;
      EXPECT_EQ(theatre.world().control(rank).abort, 0U);
      EXPECT_FALSE(theatre.clean(rank)) << scene.kernel;
    }
  }
}

/// That attacks hit, and that the comparison of tags is what stops them: without it there are wrong
/// results.
TEST(LaneAttack, WithoutTheCheckTheSameAttacksGiveWrongResults) {
  const ChangedPrelude unchecked(
      "gcm.cuh", {{"shared.verified = difference(expected, loadOnce(tag)) == 0;",
                   "shared.verified = difference(expected, loadOnce(tag)) < 1 || 1;"}});
  const HostBuild build{.flags = "-O0", .root = unchecked.root()};
  const Compiled pairs(Mode::cc, build, false), group(Mode::ccMulticast, build, false);
  Random random(22);
  for (const Scene& scene : kScenes) {
    const Compiled& made = scene.mode == Mode::cc ? pairs : group;
    Theatre theatre(scene, made, 0);
    const Theatre other(scene, made, 100);
    for (const auto& [name, attack] : kForgeries) {
      if (std::string_view(name) == "a bit of a tag") continue;
      int wrong = 0;
      for (int trial = 0; trial < 10; ++trial) {
        theatre.play([&](Theatre& t) { attack(t, other, random); });
        for (int rank = 0; rank < kRanks; ++rank)
          wrong += theatre.isReader(rank) && theatre.clean(rank) && !theatre.wrong(rank).empty();
      }
      EXPECT_GE(wrong, 9) << scene.kernel << ", " << name;
    }
  }
}

#if !defined(__SANITIZE_THREAD__)  // whoever attacks keeps no rules about races

/// Writes anything anywhere among what ranks share, as fast as it can, until told to stop.
class Attacker {
 public:
  Attacker(HostWorld& world, unsigned seed)
      : world_(world), random_(seed), thread_([this] { run(); }) {}
  ~Attacker() {
    done_ = true;
    thread_.join();
  }
  Attacker(const Attacker&) = delete;
  Attacker& operator=(const Attacker&) = delete;

 private:
  void run() {
    while (!done_) {
      strike();
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % 200));
    }
  }
  void strike() {
    const device::Geometry& geometry = world_.geometry();
    const device::Offsets offsets{geometry};
    const int rank = static_cast<int>(random_() % kRanks);
    std::byte* const segment = world_.segment(rank).data();
    const auto any = [&] {
      return slotAt(world_.segment(static_cast<int>(random_() % kRanks)).data(), geometry,
                    random_() % kLanes, random_() % (2 * kRanks), random_() % device::kSlots);
    };
    const Slot slot = any();
    switch (random_() % 8) {
      case 0:
        flipBit(slot.payload, kTile, random_);
        break;
      case 1:
        flipBit(slot.tag, device::kTagBytes, random_);
        break;
      case 2:
        slot.put(any().content());
        break;
      case 3:
        slot.flag->step += random_() % 3;
        break;
      case 4:
        slot.flag->fingerprint = random_();
        break;
      case 5:
        reinterpret_cast<device::Credit*>(segment + offsets.credit(device::Protocol::simple,
                                                                   random_() % kLanes,
                                                                   random_() % (2 * kRanks)))
            ->consumed += random_() % 3;
        break;
      case 6:
        world_.control(rank).abort = random_() % 8 == 0 ? 1 : 0;
        break;
      default:
        segment[random_() % offsets.heap()] = static_cast<std::byte>(random_());
    }
  }

  HostWorld& world_;
  Random random_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

TEST(LaneAttack, AnAttackerWhileCallsRunGivesNoWrongResult) {
  int clean = 0, stopped = 0;
  for (const Mode mode : {Mode::cc, Mode::ccMulticast}) {
    const Compiled made(mode, kBuild, true);
    HostWorld world = makeWorld(made.module, 0);
    const Stage stage(world);
    unsigned seed = 1;
    for (int round = 0; round < 4; ++round)
      for (const GeneratedCase& c : made.cases) {
        stage.restore();
        GeneratedCall call(c, world, 600, 0, 0, seed);
        call.shape.patience = 20ms;
        {
          const Attacker attacker(world, seed++);
          call.run(made.module);
        }
        for (int rank = 0; rank < kRanks; ++rank) {
          if (world.verdict(rank).stopped != 0) {
            ++stopped;
            continue;
          }
          ++clean;
          ASSERT_EQ(world.report(rank).fault, 0U);
          ASSERT_EQ(call.wrong(rank), "");
        }
      }
  }
  EXPECT_GT(clean + stopped, 300);
  EXPECT_GT(stopped, 30);
}

#endif

}  // namespace
}  // namespace lockstep::testing
