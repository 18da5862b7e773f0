// An all-reduce that goes on with residual and RMSNorm, against plain loops.
#include <cmath>

#include <gtest/gtest.h>

#include "cuda/host_kernels.hpp"
#include "support/reference.hpp"
#include <lockstep/error.hpp>

namespace lockstep::testing {
namespace {

constexpr float kEpsilon = 1e-5F;

float asFloat(DataType type, const std::vector<std::byte>& elements, std::size_t i) {
  return static_cast<float>(elementAsDouble(type, elements.data(), i));
}

struct Fused {
  DataType type = DataType::bf16;
  Mode mode = Mode::p2p;
  const char* algorithm = "one_shot";
  schedule::Edges edges = schedule::Edges::channels;
  cuda::Protocol protocol = cuda::Protocol::simple;
};

class RmsNormTest : public ::testing::Test {
 protected:
  static constexpr int kRanks = 2;

  static cuda::KernelRequest requestOf(const Fused& fused) {
    return {
        .algorithm = schedule::findAlgorithm(Collective::allReduce, fused.algorithm, fused.edges),
        .type = fused.type,
        .reduction = Reduction::sum,
        .mode = fused.mode,
        .worldSize = kRanks,
        .protocol = fused.protocol,
        .rmsNorm = true};
  }

  void run(const Fused& fused, const HostModule& module, HostWorld& world, std::size_t hidden,
           std::size_t rows) {
    const std::size_t count = hidden * rows, bytes = count * sizeOf(fused.type);
    const auto weight = randomElements(fused.type, hidden, 99);
    std::vector<std::vector<std::byte>> in, out, residual;
    std::vector<device::Launch> launches;
    HostWorld::Shape shape;
    shape.count = count;
    shape.tileElements = hidden * 2;
    shape.blocks = world.geometry().lanes;
    shape.inBytes = shape.outBytes = bytes;
    const auto before = randomElements(fused.type, count, 7);
    for (int rank = 0; rank < kRanks; ++rank) {
      in.push_back(randomElements(fused.type, count, static_cast<std::uint64_t>(rank)));
      residual.push_back(before);  // every rank holds the same, as tensor parallel ranks do
      std::byte* const heap = world.heap(rank);
      std::copy(in.back().begin(), in.back().end(), heap);
      launches.push_back(world.launchOf(rank, shape, {heap, heap + (1 << 19)}));
      device::Norm& norm = launches.back().calls[0].norm;
      norm.residual = reinterpret_cast<device::u8*>(residual.back().data());
      norm.weight = reinterpret_cast<const device::u8*>(weight.data());
      norm.hidden = static_cast<unsigned>(hidden);
      norm.epsilon = kEpsilon;
    }
    const std::string name = cuda::generateKernel(requestOf(fused)).name;
    world.run(module, std::vector(kRanks, module.entry(name)), launches,
              std::vector<unsigned>(kRanks, shape.blocks));

    std::vector<std::byte> sum(bytes);
    const void* const sources[]{in[0].data(), in[1].data()};
    foldExactly(fused.type, Reduction::sum, sources, count, 1, sum.data());
    for (int rank = 0; rank < kRanks; ++rank) {
      ASSERT_EQ(world.report(rank).fault, 0U) << name;
      for (std::size_t row = 0; row < rows; ++row)
        check(fused, row * hidden, hidden, sum, before, weight,
              residual[static_cast<std::size_t>(rank)], world.heap(rank) + (1 << 19));
    }
  }

  static void check(const Fused& fused, std::size_t first, std::size_t hidden,
                    const std::vector<std::byte>& sum, const std::vector<std::byte>& before,
                    const std::vector<std::byte>& weight, const std::vector<std::byte>& residual,
                    const std::byte* out) {
    double squares = 0;
    for (std::size_t i = first; i < first + hidden; ++i) {
      const float x = asFloat(fused.type, sum, i) + asFloat(fused.type, before, i);
      squares += double{x} * x;
      std::vector<std::byte> rounded(sizeOf(fused.type));
      storeElement(fused.type, x, rounded.data());
      ASSERT_EQ(elementAsDouble(fused.type, residual.data(), i),
                elementAsDouble(fused.type, rounded.data(), 0))
          << "residual " << i;
    }
    const double factor = 1 / std::sqrt(squares / static_cast<double>(hidden) + kEpsilon);
    for (std::size_t i = 0; i < hidden; ++i) {
      const double wanted = elementAsDouble(fused.type, residual.data(), first + i) *
                            asFloat(fused.type, weight, i) * factor;
      EXPECT_NEAR(elementAsDouble(fused.type, out, first + i), wanted,
                  std::abs(wanted) * 3 * unitRoundoff(fused.type) + 1e-6)
          << "element " << first + i;
    }
  }
};

TEST_F(RmsNormTest, FollowsEveryKindOfAllReduce) {
  const Fused kinds[]{
      {},
      {.type = DataType::f32, .protocol = cuda::Protocol::ll},
      {.type = DataType::f16, .algorithm = "two_shot"},
      {.type = DataType::bf16, .algorithm = "two_shot", .edges = schedule::Edges::exposure},
      {.type = DataType::f32, .mode = Mode::cc},
  };
  std::vector<cuda::Kernel> kernels{cuda::keysKernel()};
  for (const Fused& kind : kinds) kernels.push_back(cuda::generateKernel(requestOf(kind)));
  const HostModule module(kernels);
  HostWorld world({.world = kRanks,
                   .lanes = 2,
                   .slotBytes = 8192,
                   .llBytes = 8192,
                   .heapBytes = std::size_t{1} << 20});
  world.prepareKeys(module);
  for (const Fused& kind : kinds)
    for (const std::size_t hidden : {96, 301}) run(kind, module, world, hidden, 7);
}

TEST_F(RmsNormTest, IsForSumsOfFloats) {
  for (const DataType type : {DataType::i32, DataType::f64, DataType::f8e4m3}) {
    const Fused wrong{.type = type};
    EXPECT_THROW(static_cast<void>(cuda::generateKernel(requestOf(wrong))), Error);
  }
}

}  // namespace
}  // namespace lockstep::testing
