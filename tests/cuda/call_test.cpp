// How calls are cut into tiles: for every kernel in random worlds, and what a fingerprint tells
// apart.
#include "executor/cuda/call.hpp"

#include <random>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace lockstep::cuda {
namespace {

using schedule::Algorithm;
using schedule::Edges;

struct World {
  device::Geometry geometry;
  std::size_t scratchBytes = 0;
};

World worldOf(unsigned ranks, unsigned lanes, unsigned slotBytes, bool sealed) {
  World world{{.world = ranks, .lanes = lanes, .slotBytes = slotBytes, .llBytes = 16 << 10}, 0};
  world.scratchBytes = scratchBytesFor(world.geometry, sealed);
  return world;
}

/// Every kernel there can be for a world, once.
std::vector<KernelRequest> requestsFor(int world, Mode mode) {
  std::vector<KernelRequest> requests;
  for (const Algorithm* algorithm : schedule::algorithms())
    for (const Protocol protocol : {Protocol::simple, Protocol::ll})
      for (const bool inPlace : {false, true}) {
        if (isSealed(mode) && (protocol == Protocol::ll || algorithm->edges == Edges::exposure))
          continue;
        if (algorithm->edges == Edges::exposure && protocol == Protocol::ll) continue;
        requests.push_back({.algorithm = algorithm,
                            .type = DataType::bf16,
                            .mode = mode,
                            .worldSize = world,
                            .inPlace = inPlace,
                            .protocol = protocol});
        if (!contractOf(algorithm->collective).reduces || algorithm->edges == Edges::exposure)
          continue;
        requests.push_back(requests.back());  // its products lie in scratch
        requests.back().reduction = Reduction::preMulSum;
      }
  return requests;
}

std::size_t roundUp(std::size_t n, std::size_t to) {
  return (n + to - 1) / to * to;
}

/// As Lane::chunkElements.
std::size_t chunkBytes(const Kernel& kernel, std::size_t elements) {
  const std::size_t line = std::max<std::size_t>(1, 64 / kernel.elementBytes);
  return roundUp((elements + kernel.chunks - 1) / kernel.chunks, line) * kernel.elementBytes;
}

void expectFits(const Kernel& kernel, Protocol protocol, const World& world,
                const Described& call) {
  const device::Geometry& g = world.geometry;
  const Cut c = cut(kernel, protocol, g, world.scratchBytes, call);
  const Contract& contract = contractOf(call.collective);
  SCOPED_TRACE(fmt::format("{}, count {}, {} lanes, slots of {}: tiles of {} on {} blocks",
                           kernel.name, call.count, g.lanes, g.slotBytes, c.tileElements,
                           c.blocks));
  ASSERT_GE(c.blocks, 1U);
  ASSERT_LE(c.blocks, g.lanes);
  if (!contract.hasData) return;
  ASSERT_EQ(c.count, contract.reduces ? call.count : call.count * sizeOf(call.type));
  ASSERT_GT(c.tileElements, 0U);
  ASSERT_EQ(c.tileElements * kernel.elementBytes % 64, 0U) << "tiles begin at lines";
  // Tiles cover the count, and no block is there for nothing.
  const std::size_t tiles = (c.count + c.tileElements - 1) / c.tileElements;
  ASSERT_GE(tiles * c.tileElements, c.count);
  ASSERT_LE(c.blocks, std::max<std::size_t>(1, tiles));
  // A tile's chunks cover it.
  const std::size_t chunk = chunkBytes(kernel, c.tileElements);
  ASSERT_GE(chunk * kernel.chunks, c.tileElements * kernel.elementBytes);
  const std::size_t capacity = protocol == Protocol::ll ? g.llBytes : g.slotBytes;
  if (kernel.messageChunks != 0) {
    const std::size_t piece =
        std::min(chunk * kernel.messageChunks, roundUp(c.tileElements * kernel.elementBytes, 64));
    ASSERT_LE(roundUp(piece, 16) * kernel.messageBlocks, capacity) << "a message fits its slot";
  }
  ASSERT_LE(chunk * kernel.scratchChunks + std::size_t{kernel.staged} * g.slotBytes,
            world.scratchBytes);
}

class Cutting : public ::testing::TestWithParam<int> {};

TEST_P(Cutting, FitsWhateverTheCount) {
  const int ranks = GetParam();
  std::mt19937 random(static_cast<unsigned>(ranks));
  for (const Mode mode : {Mode::p2p, Mode::ccMulticast})
    for (const KernelRequest& request : requestsFor(ranks, mode)) {
      const Kernel kernel = generateKernel(request);
      for (int round = 0; round < 40; ++round) {
        const unsigned lanes = 1 + random() % device::kMaxLanes;
        const unsigned slotBytes = 4096 + 128 * (random() % ((252U << 10) / 128 + 1));
        const std::uint64_t count = random() >> random() % 32;
        const World world = worldOf(static_cast<unsigned>(ranks), lanes, slotBytes, isSealed(mode));
        expectFits(kernel, request.protocol, world,
                   {.collective = request.algorithm->collective,
                    .type = DataType::bf16,
                    .root = static_cast<int>(random() % static_cast<unsigned>(ranks)),
                    .count = count});
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
}

/// Ranks need not agree on what is in place: they must be cut alike, and know each other's call.
TEST_P(Cutting, InPlaceOrNotTheMessagesAreTheSame) {
  const int ranks = GetParam();
  const World world = worldOf(static_cast<unsigned>(ranks), 8, 4096, true);
  for (const Mode mode : {Mode::p2p, Mode::ccMulticast})
    for (KernelRequest request : requestsFor(ranks, mode)) {
      if (request.inPlace || request.algorithm->collective == Collective::allToAll) continue;
      const Kernel apart = generateKernel(request);
      request.inPlace = true;
      const Kernel inPlace = generateKernel(request);
      const Described call{
          .collective = request.algorithm->collective, .type = DataType::bf16, .count = 100000};
      const Cut one = cut(apart, request.protocol, world.geometry, world.scratchBytes, call);
      const Cut other = cut(inPlace, request.protocol, world.geometry, world.scratchBytes, call);
      EXPECT_EQ(one, other) << apart.name;
      EXPECT_EQ(fingerprint(call, apart, one), fingerprint(call, inPlace, other)) << inPlace.name;
    }
}

INSTANTIATE_TEST_SUITE_P(Worlds, Cutting, ::testing::Values(1, 2, 3, 5, 8, 13));

TEST(Fingerprint, TellsCallsApart) {
  const World world = worldOf(4, 8, 4096, false);
  std::set<std::uint64_t> seen;
  int calls = 0;
  for (const char* algorithm : {"one_shot", "two_shot", "ring"})
    for (const DataType type : {DataType::f32, DataType::i32})
      for (const Reduction reduction : {Reduction::sum, Reduction::max})
        for (const std::uint64_t count : {0, 1, 2, 100000}) {
          const KernelRequest request{.algorithm = schedule::findAlgorithm(
                                          Collective::allReduce, algorithm, Edges::channels),
                                      .type = type,
                                      .reduction = reduction,
                                      .worldSize = 4};
          const Kernel kernel = generateKernel(request);
          const Described call{.type = type, .reduction = reduction, .count = count};
          seen.insert(
              fingerprint(call, kernel,
                          cut(kernel, request.protocol, world.geometry, world.scratchBytes, call)));
          ++calls;
        }
  EXPECT_EQ(std::ssize(seen), calls);
}

TEST(Packed, ComesBackAsItWas) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 1000; ++round) {
    const Described call{static_cast<Collective>(random() % kCollectives),
                         static_cast<DataType>(random() % kDataTypes),
                         static_cast<Reduction>(random() % kReductions),
                         static_cast<int>(random() % 64), random()};
    ASSERT_EQ(unpack(pack(call), call.count), call);
    ASSERT_EQ(unpack(pack(call) | kReadInPlace, call.count), call);
    // Whatever lies there instead is a call or nothing, and can be said.
    const auto some = unpack(random() >> random() % 64, random());
    ASSERT_TRUE(!some || !toString(*some).empty());
  }
  EXPECT_EQ(unpack(0, 0), std::nullopt);
  EXPECT_NE(buffersOf(kReadInPlace), buffersOf(0));
}

/// In worlds so large that a kernel knows one root, kernels of two roots are two.
TEST(Names, TellRootsApartWhereKernelsDo) {
  const auto nameOf = [](int world, int root) {
    return generateKernel({.algorithm = schedule::findAlgorithm(Collective::broadcast, "direct",
                                                                Edges::channels),
                           .worldSize = world,
                           .root = root})
        .name;
  };
  EXPECT_EQ(nameOf(kMaxRoots, 1), nameOf(kMaxRoots, 2));
  EXPECT_NE(nameOf(kMaxRoots + 1, 1), nameOf(kMaxRoots + 1, 2));
}

}  // namespace
}  // namespace lockstep::cuda
