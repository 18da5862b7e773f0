// Every collective but all-reduce, every way to run it: modes, algorithms and protocols, in and out
// of place, registered or not, aligned or not, roots, counts, world sizes, ranks that are threads
// or processes.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/mapping.hpp"
#include "collectives/registry.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

constexpr std::size_t kGuard = 64;
constexpr std::byte kGuardByte{0xa5}, kStaleByte{0x5c};

struct Case {
  Collective collective = Collective::allGather;
  std::size_t count = 0;  ///< of a block
  DataType type = DataType::i32;
  int root = 0;
  bool inPlace = false, registered = false;
  std::size_t misalignment = 0;
  std::string name() const {
    return fmt::format("{} of {} {}, root {}{}{}, misaligned by {}", lockstep::name(collective),
                       count, lockstep::name(type), root, inPlace ? ", in place" : "",
                       registered ? ", registered" : "", misalignment);
  }
};

/// What rank `rank` brings as element `i` of its block `block`: small, so that sums are exact.
int valueOf(int rank, int block, std::size_t i) {
  return (rank * 5 + block * 3 + static_cast<int>(i % 11)) % 13;
}

void store(DataType type, int value, std::byte* at) {
  const auto put = [at](auto v) { std::memcpy(at, &v, sizeof v); };
  switch (type) {
    case DataType::f32:
      return put(static_cast<float>(value));
    case DataType::f64:
      return put(static_cast<double>(value));
    case DataType::u8:
      return put(static_cast<std::uint8_t>(value));
    default:
      return put(static_cast<std::int32_t>(value));
  }
}

/// A rank's part in one call after another.
class Player {
 public:
  Player(Communicator& communicator, std::size_t mostBytes)
      : communicator_(communicator),
        rank_(communicator.rank()),
        world_(communicator.worldSize()),
        room_(roundUp(mostBytes * static_cast<std::size_t>(world_) + 2 * kGuard + 2 * kCacheLine,
                      kCacheLine)) {
    registered_ = communicator.alloc(2 * room_);
    ordinary_.resize(2 * room_);
  }

  void play(const Case& c) {
    const Contract& contract = contractOf(c.collective);
    const std::size_t size = sizeOf(c.type), block = c.count * size;
    const bool hasIn = !contract.inAtRoot || rank_ == c.root;
    const bool hasOut = !contract.outAtRoot || rank_ == c.root;
    const int ins = contract.inPerRank ? world_ : 1, outs = contract.outPerRank ? world_ : 1;
    auto* memory = c.registered ? static_cast<std::byte*>(registered_.data()) : ordinary_.data();
    std::fill_n(memory, 2 * room_, kStaleByte);
    std::byte* first = memory + kGuard + c.misalignment;
    std::byte* second = first + room_;
    // In place, the larger buffer holds the smaller one as this rank's own block.
    std::byte *in = first, *out = second;
    if (c.inPlace && hasIn && hasOut) {
      const std::size_t own = static_cast<std::size_t>(rank_) * block;
      out = first + (ins > outs ? own : 0);
      in = first + (outs > ins ? own : 0);
    }
    if (hasIn) fill(in, ins, c);
    const std::size_t outBytes = static_cast<std::size_t>(outs) * block;
    std::fill_n((ins > outs && c.inPlace ? first : out) - kGuard, kGuard, kGuardByte);
    if (!(ins > outs && c.inPlace)) std::fill_n(out + outBytes, kGuard, kGuardByte);

    communicator_.run(c.collective, hasIn ? in : nullptr, hasOut ? out : nullptr, c.count, c.type,
                      Reduction::sum, c.root);

    if (hasOut) check(out, outs, c);
    if (hasIn && !(c.inPlace && hasOut)) checkInput(in, ins, c);
    const auto whole = [](std::byte b) { return b == kGuardByte; };
    if (!(ins > outs && c.inPlace) && hasOut)
      require(std::all_of(out - kGuard, out, whole) &&
                  std::all_of(out + outBytes, out + outBytes + kGuard, whole),
              "wrote beside out");
  }

 private:
  void fill(std::byte* in, int blocks, const Case& c) const {
    for (int b = 0; b < blocks; ++b)
      for (std::size_t i = 0; i < c.count; ++i)
        store(c.type, valueOf(rank_, b, i),
              in + (static_cast<std::size_t>(b) * c.count + i) * sizeOf(c.type));
  }

  int wanted(int block, std::size_t i, const Case& c) const {
    const Contract& contract = contractOf(c.collective);
    const int source = contract.outPerRank ? block : c.root;
    const int home = contract.inPerRank ? rank_ : 0;
    if (!contract.reduces) return valueOf(source, home, i);
    int sum = 0;
    for (int rank = 0; rank < world_; ++rank) sum += valueOf(rank, home, i);
    return sum;
  }

  void check(const std::byte* out, int blocks, const Case& c) const {
    const std::size_t size = sizeOf(c.type);
    for (int b = 0; b < blocks; ++b)
      for (std::size_t i = 0; i < c.count; ++i) {
        std::array<std::byte, 8> want{};
        store(c.type, wanted(b, i, c), want.data());
        const std::byte* got = out + (static_cast<std::size_t>(b) * c.count + i) * size;
        require(std::equal(got, got + size, want.data()),
                fmt::format("block {}, element {}: expected {}", b, i, wanted(b, i, c)));
      }
  }

  void checkInput(const std::byte* in, int blocks, const Case& c) const {
    std::vector<std::byte> before(static_cast<std::size_t>(blocks) * c.count * sizeOf(c.type));
    fill(before.data(), blocks, c);
    require(std::equal(before.begin(), before.end(), in), "in was changed");
  }

  Communicator& communicator_;
  int rank_, world_;
  std::size_t room_;
  Buffer registered_;
  std::vector<std::byte> ordinary_;
};

/// Counts and placements by turns, the same on every rank.
std::vector<Case> casesOf(Collective collective, int worldSize, std::vector<std::size_t> counts) {
  constexpr std::array types{DataType::i32, DataType::f32, DataType::u8, DataType::f64};
  std::vector<Case> cases;
  for (const std::size_t count : counts)
    for (int placement = 0; placement < 4; ++placement) {
      const std::size_t n = cases.size();
      cases.push_back({.collective = collective,
                       .count = count,
                       .type = types[(n + n / 4) % types.size()],
                       .root = contractOf(collective).rooted ? static_cast<int>(n) % worldSize : 0,
                       .inPlace = placement % 2 == 1,
                       .registered = placement / 2 == 1,
                       .misalignment = n % 3 == 2 ? sizeOf(types[(n + n / 4) % 4]) : 0});
    }
  return cases;
}

struct Way {
  std::string algorithm, protocol;
};
std::vector<Way> waysOf(Collective collective, Mode mode) {
  std::vector<Way> ways{{}};
  for (const schedule::Algorithm* a : schedule::algorithms()) {
    if (a->collective != collective) continue;
    if (a->edges == schedule::Edges::channels) {
      ways.push_back({std::string(a->name), "ll"});
      ways.push_back({std::string(a->name), "simple"});
    } else if (!isSealed(mode)) {
      ways.push_back({std::string(a->name), "zero_copy"});
    }
  }
  return ways;
}

void sweep(Kind kind, int worldSize, const std::vector<std::size_t>& counts) {
  const std::size_t most = *std::max_element(counts.begin(), counts.end());
  for (std::size_t number = 0; number < kCollectives; ++number) {
    const auto collective = static_cast<Collective>(number);
    if (collective == Collective::allReduce || collective == Collective::barrier) continue;
    const std::vector<Case> cases = casesOf(collective, worldSize, counts);
    for (std::size_t m = 0; m < kModes; ++m) {
      const auto mode = static_cast<Mode>(m);
      int turn = 0;
      for (const Way& way : waysOf(collective, mode)) {
        Options options = optionsOf(mode);
        options.algorithm = way.algorithm;
        options.protocol = way.protocol;
        options.crossMemoryAttach = ++turn % 2 == 0 || way.protocol == "zero_copy";
        const auto outcomes =
            runRanks(kind, worldSize, options, [&](Communicator& communicator, int) {
              Player player(communicator, most * 8);
              for (const Case& c : cases) try {
                  player.play(c);
                } catch (const std::exception& error) {
                  throw std::runtime_error(c.name() + ": " + error.what());
                }
            });
        EXPECT_EQ(failures(outcomes), "")
            << fmt::format("{} ranks as {}, mode {}, {} '{}', protocol '{}'", worldSize, name(kind),
                           name(mode), name(collective), way.algorithm, way.protocol);
      }
    }
  }
}

TEST(Blocks, AsThreads) {
  for (const int worldSize : {1, 2, 3, 4, 5, 8})
    sweep(Kind::threads, worldSize, {0, 1, 7, 64, 1009});
  sweep(Kind::threads, 3, {50021});
}

TEST(Blocks, AsProcesses) {
  sweep(Kind::processes, 2, {0, 1, 7, 64, 1009, 50021});
  sweep(Kind::processes, 3, {3, 129, 5003});
  sweep(Kind::processes, 5, {2, 1000});
}

TEST(Blocks, InALargeWorld) {
  sweep(Kind::threads, 17, {3, 100});
}

TEST(Blocks, BarriersHoldEveryone) {
  for (const int worldSize : {1, 2, 3, 8, 17}) {
    std::atomic<int> entered{0};
    const auto outcomes = runRanks(
        Kind::threads, worldSize, optionsOf(Mode::p2p), [&](Communicator& communicator, int) {
          for (int round = 1; round <= 50; ++round) {
            ++entered;
            communicator.barrier();
            require(entered.load() >= round * worldSize, "left before all had come");
          }
        });
    EXPECT_EQ(failures(outcomes), "");
  }
}

}  // namespace
}  // namespace lockstep::testing
