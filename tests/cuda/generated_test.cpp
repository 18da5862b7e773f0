// The text of every algorithm, run on the host and compared with the reference, bit for bit where
// it reduces in the order of ranks.
#include <algorithm>
#include <cstring>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cuda/host_kernels.hpp"
#include "support/reference.hpp"

namespace lockstep::testing {
namespace {

using cuda::Kernel;
using cuda::KernelRequest;
using schedule::Algorithm;

struct Case {
  KernelRequest request;
  Kernel kernel;
};

/// Every algorithm in a world, once in each way that its text can differ; types and reductions are
/// elements_test's affair, so they only take turns.
std::vector<Case> casesOf(int world, Mode mode) {
  constexpr DataType kTypes[]{DataType::f32, DataType::bf16, DataType::i32, DataType::f64};
  constexpr Reduction kReductions[]{Reduction::sum, Reduction::max, Reduction::avg};
  std::vector<Case> cases;
  std::size_t turn = static_cast<std::size_t>(world);
  for (const Algorithm* algorithm : schedule::algorithms())
    for (const bool inPlace : {false, true})
      for (const auto protocol : {cuda::Protocol::simple, cuda::Protocol::ll}) {
        const bool exposes = algorithm->edges == schedule::Edges::exposure;
        if (protocol == cuda::Protocol::ll && (exposes || isSealed(mode))) continue;
        if (exposes && isSealed(mode)) continue;
        Case c;
        c.request = {.algorithm = algorithm,
                     .type = kTypes[turn % std::size(kTypes)],
                     .reduction = kReductions[turn % std::size(kReductions)],
                     .mode = mode,
                     .worldSize = world,
                     .inPlace = inPlace,
                     .protocol = protocol};
        ++turn;
        c.kernel = cuda::generateKernel(c.request);
        cases.push_back(std::move(c));
      }
  return cases;
}

/// One call of every rank: buffers, what they hold and what they must hold afterwards.
class Trial {
 public:
  Trial(const Case& c, HostWorld& world, std::size_t count, std::size_t shift, int root,
        std::uint64_t seed)
      : case_(c), world_(world), count_(count), root_(root) {
    const int ranks = c.request.worldSize;
    const Contract& contract = contractOf(c.request.algorithm->collective);
    size_ = contract.reduces ? sizeOf(c.request.type) : 1;
    inBlocks_ = !contract.hasData ? 0 : contract.inPerRank ? ranks : 1;
    outBlocks_ = !contract.hasData ? 0 : contract.outPerRank ? ranks : 1;
    for (int rank = 0; rank < ranks; ++rank) {
      const DataType type = contract.reduces ? c.request.type : DataType::u8;
      inputs_.push_back(randomElements(type, bytesOf(inBlocks_) / size_,
                                       seed * 64 + static_cast<std::uint64_t>(rank)));
      place(rank, shift);
    }
  }

  void run(const HostModule& module) {
    const std::size_t capacity = case_.request.protocol == cuda::Protocol::ll
                                     ? world_.geometry().llBytes
                                     : world_.geometry().slotBytes;
    HostWorld::Shape shape;
    shape.count = count_;
    shape.blocks = world_.geometry().lanes;
    shape.tileElements = std::min<std::size_t>(tileElementsFor(case_.kernel, capacity), 1024);
    if (case_.kernel.exposes) shape.tileElements = (count_ / shape.blocks / 64 + 1) * 64;
    shape.root = root_;
    shape.divisor = case_.request.reduction == Reduction::avg ? case_.request.worldSize : 1;
    shape.inBytes = bytesOf(inBlocks_);
    shape.outBytes = bytesOf(outBlocks_);
    world_.run(module, module.entry(case_.kernel.name), shape, operands_);
  }

  void check() const {
    for (int rank = 0; rank < case_.request.worldSize; ++rank) {
      ASSERT_EQ(world_.report(rank).fault, 0U) << what(rank);
      if (!hasOut(rank)) continue;
      const std::vector<std::byte> wanted = expected(rank);
      const std::byte* got = operands_[static_cast<std::size_t>(rank)].out;
      const auto wrong = std::mismatch(wanted.begin(), wanted.end(), got).first;
      if (wrong == wanted.end()) continue;
      const auto at = static_cast<std::size_t>(wrong - wanted.begin());
      if (near(wanted.data(), got, wanted.size())) continue;
      FAIL() << what(rank) << ": byte " << at << " of " << wanted.size();
    }
  }

 private:
  std::size_t bytesOf(int blocks) const {
    return static_cast<std::size_t>(blocks) * count_ * size_;
  }
  const Contract& contract() const { return contractOf(case_.request.algorithm->collective); }
  bool hasOut(int rank) const { return !contract().outAtRoot || rank == root_; }
  bool hasIn(int rank) const { return !contract().inAtRoot || rank == root_; }

  void place(int rank, std::size_t shift) {
    const auto r = static_cast<std::size_t>(rank);
    std::byte* heap = world_.heap(rank) + shift * size_;
    const std::size_t half = world_.geometry().heapBytes / 2;
    std::byte* in = heap;
    std::byte* out = heap + half;
    if (case_.request.inPlace) {
      out = in;
      const std::size_t own = static_cast<std::size_t>(rank) * count_ * size_;
      if (inBlocks_ < outBlocks_ && hasOut(rank)) in = out + own;
      if (outBlocks_ < inBlocks_ && hasIn(rank)) out = in + own;
    }
    std::fill_n(world_.heap(rank), world_.geometry().heapBytes, std::byte{0x5c});
    if (hasIn(rank)) std::copy(inputs_[r].begin(), inputs_[r].end(), in);
    operands_.push_back({in, out});
  }

  std::vector<std::byte> block(int rank, int index) const {
    const auto& all = inputs_[static_cast<std::size_t>(rank)];
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(bytesOf(index));
    return {begin, begin + static_cast<std::ptrdiff_t>(bytesOf(1))};
  }

  std::vector<std::byte> reduced(int index) const {
    std::vector<std::vector<std::byte>> blocks;
    std::vector<const void*> sources;
    for (int r = 0; r < case_.request.worldSize; ++r) blocks.push_back(block(r, index));
    for (const auto& b : blocks) sources.push_back(b.data());
    std::vector<std::byte> result(bytesOf(1));
    const bool average = case_.request.reduction == Reduction::avg;
    foldExactly(case_.request.type, case_.request.reduction, sources, count_,
                average ? case_.request.worldSize : 1, result.data());
    return result;
  }

  std::vector<std::byte> expected(int rank) const {
    if (!contract().hasData) return {};
    const int myBlock = inBlocks_ == 1 ? 0 : rank;
    if (contract().reduces) return reduced(inBlocks_ == 1 ? 0 : rank);
    std::vector<std::byte> result;
    for (int b = 0; b < outBlocks_; ++b) {
      const int from = contract().inAtRoot ? root_ : b;
      const std::vector<std::byte> part = block(from, myBlock);
      result.insert(result.end(), part.begin(), part.end());
    }
    return result;
  }

  /// Other orders of a float sum round elsewhere.
  bool near(const std::byte* wanted, const std::byte* got, std::size_t bytes) const {
    if (case_.request.algorithm->rankOrder || !contract().reduces) return false;
    const DataType type = case_.request.type;
    if (!isFloat(type)) return false;
    for (std::size_t i = 0; i < bytes / size_; ++i) {
      const double w = elementAsDouble(type, wanted, i), g = elementAsDouble(type, got, i);
      const double scale = 64.0 * case_.request.worldSize;
      if (std::abs(w - g) > scale * unitRoundoff(type) * case_.request.worldSize) return false;
    }
    return true;
  }

  std::string what(int rank) const {
    return fmt::format("{}, rank {}, count {}, root {}", case_.kernel.name, rank, count_, root_);
  }

  const Case& case_;
  HostWorld& world_;
  std::size_t count_, size_ = 1;
  int root_, inBlocks_ = 1, outBlocks_ = 1;
  std::vector<std::vector<std::byte>> inputs_;
  std::vector<Operands> operands_;
};

class GeneratedText : public ::testing::TestWithParam<std::tuple<int, Mode>> {};

TEST_P(GeneratedText, ComputesWhatTheReferenceDoes) {
  const auto [ranks, mode] = GetParam();
  const std::vector<Case> cases = casesOf(ranks, mode);
  std::vector<Kernel> kernels;
  for (const Case& c : cases) kernels.push_back(c.kernel);
  if (isSealed(mode)) kernels.push_back(cuda::keysKernel());
  const HostModule module(kernels);
  // Two lanes, and slots so small that counts need many tiles. All calls share one world's
  // channels, as those of a communicator do.
  HostWorld world({.world = static_cast<unsigned>(ranks),
                   .lanes = 2,
                   .slotBytes = 4096,
                   .llBytes = 1024,
                   .heapBytes = std::size_t{1} << 20});
  if (isSealed(mode)) world.prepareKeys(module);
  std::uint64_t seed = 1;
  for (const Case& c : cases)
    for (const std::size_t count : {0, 1, 5, 333, 3000}) {
      const int root = static_cast<int>(seed % static_cast<std::uint64_t>(ranks));
      const std::size_t shift = seed % 3;  // buffers begin at an element, not at 16 bytes
      Trial trial(c, world, count, shift, root, seed++);
      trial.run(module);
      trial.check();
      if (HasFatalFailure()) return;
    }
}

std::string nameOfWorld(const ::testing::TestParamInfo<std::tuple<int, Mode>>& info) {
  std::string mode(name(std::get<1>(info.param)));
  std::ranges::replace(mode, '-', '_');
  return fmt::format("{}_ranks_{}", std::get<0>(info.param), mode);
}

INSTANTIATE_TEST_SUITE_P(Worlds, GeneratedText,
                         ::testing::Combine(::testing::Values(1, 2, 3, 4, 5),
                                            ::testing::Values(Mode::p2p, Mode::multicast, Mode::cc,
                                                              Mode::ccMulticast)),
                         nameOfWorld);

}  // namespace
}  // namespace lockstep::testing
