#include "cuda/generated_calls.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "executor/cuda/call.hpp"
#include "support/reference.hpp"

namespace lockstep::testing {

using schedule::Algorithm;

std::vector<GeneratedCase> generatedCases(int world, Mode mode) {
  constexpr DataType kTypes[]{DataType::f32, DataType::bf16, DataType::i32, DataType::f64};
  constexpr Reduction kReductions[]{Reduction::sum, Reduction::max, Reduction::avg};
  std::vector<GeneratedCase> cases;
  std::size_t turn = static_cast<std::size_t>(world);
  for (const Algorithm* algorithm : schedule::algorithms())
    for (const bool inPlace : {false, true})
      for (const auto protocol : {cuda::Protocol::simple, cuda::Protocol::ll}) {
        const bool exposes = algorithm->edges == schedule::Edges::exposure;
        if (protocol == cuda::Protocol::ll && (exposes || isSealed(mode))) continue;
        if (exposes && isSealed(mode)) continue;
        GeneratedCase c;
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

std::vector<GeneratedCase> premultipliedCases(int world, Mode mode) {
  constexpr DataType kTypes[]{DataType::bf16, DataType::f32, DataType::u8,
                              DataType::f64,  DataType::i64, DataType::f8e4m3};
  std::vector<GeneratedCase> cases;
  std::size_t turn = static_cast<std::size_t>(world);
  for (const Algorithm* algorithm : schedule::algorithms()) {
    if (!contractOf(algorithm->collective).reduces || algorithm->edges != schedule::Edges::channels)
      continue;
    GeneratedCase c;
    c.request = {
        .algorithm = algorithm,
        .type = kTypes[turn % std::size(kTypes)],
        .reduction = Reduction::preMulSum,
        .mode = mode,
        .worldSize = world,
        .inPlace = turn % 3 == 0,
        .protocol = isSealed(mode) || turn % 2 == 0 ? cuda::Protocol::simple : cuda::Protocol::ll};
    ++turn;
    c.kernel = cuda::generateKernel(c.request);
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<GeneratedCase> casesApart(int world, Mode mode) {
  std::vector<GeneratedCase> cases = generatedCases(world, mode);
  std::erase_if(cases, [](const GeneratedCase& c) { return c.request.inPlace; });
  return cases;
}

HostModule compileCases(std::span<const GeneratedCase> cases, const HostBuild& build) {
  std::vector<cuda::Kernel> kernels;
  for (const GeneratedCase& c : cases) kernels.push_back(c.kernel);
  if (std::ranges::any_of(kernels, &cuda::Kernel::sealed)) kernels.push_back(cuda::keysKernel());
  return HostModule(kernels, build);
}

GeneratedCall::GeneratedCall(const GeneratedCase& c, HostWorld& world, std::size_t count,
                             std::size_t shift, int root, std::uint64_t seed)
    : case_(c), world_(world), count_(count), root_(root) {
  const int ranks = c.request.worldSize;
  size_ = contract().reduces ? sizeOf(c.request.type) : 1;
  inBlocks_ = !contract().hasData ? 0 : contract().inPerRank ? ranks : 1;
  outBlocks_ = !contract().hasData ? 0 : contract().outPerRank ? ranks : 1;
  for (int rank = 0; rank < ranks; ++rank) {
    const DataType type = contract().reduces ? c.request.type : DataType::u8;
    inputs_.push_back(randomElements(type, bytesOf(inBlocks_) / size_,
                                     seed * 64 + static_cast<std::uint64_t>(rank)));
    place(rank, shift);
  }
  const bool ll = c.request.protocol == cuda::Protocol::ll;
  const std::size_t capacity = ll ? world.geometry().llBytes : world.geometry().slotBytes;
  shape.count = count;
  shape.blocks = world.geometry().lanes;
  shape.tileElements = std::min<std::size_t>(tileElementsFor(c.kernel, capacity), 1024);
  if (c.kernel.exposes) shape.tileElements = (count / shape.blocks / 64 + 1) * 64;
  shape.root = root;
  shape.divisor = c.request.reduction == Reduction::avg ? ranks : 1;
  shape.inBytes = bytesOf(inBlocks_);
  shape.outBytes = bytesOf(outBlocks_);
}

void GeneratedCall::run(const HostModule& module) const {
  const auto ranks = static_cast<std::size_t>(case_.request.worldSize);
  std::vector<HostModule::Entry> entries;
  std::vector<device::Launch> launches;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    entries.push_back((present >> rank & 1) != 0 ? module.entry(case_.kernel.name) : nullptr);
    launches.push_back(world_.launchOf(static_cast<int>(rank), shape, operands_[rank]));
    if (premultiplied())
      launches.back().calls[0].factor = cuda::packFactor(
          case_.request.type, someFactor(case_.request.type, static_cast<int>(rank)));
  }
  world_.run(module, entries, launches, std::vector(ranks, shape.blocks), inTurn);
}

std::string GeneratedCall::wrong(int rank) const {
  if (!hasOut(rank)) return {};
  const std::vector<std::byte> wanted = expected(rank);
  const std::byte* got = operands(rank).out;
  const auto differs = std::mismatch(wanted.begin(), wanted.end(), got).first;
  if (differs == wanted.end() || near(wanted.data(), got, wanted.size())) return {};
  return fmt::format("{}: byte {} of {}", what(rank), differs - wanted.begin(), wanted.size());
}

void GeneratedCall::check() const {
  for (int rank = 0; rank < case_.request.worldSize; ++rank) {
    ASSERT_EQ(world_.verdict(rank).stopped, 0U) << what(rank);
    ASSERT_EQ(world_.report(rank).fault, 0U) << what(rank);
    ASSERT_EQ(wrong(rank), "");
  }
}

std::string GeneratedCall::what(int rank) const {
  return fmt::format("{}, rank {}, count {}, root {}", case_.kernel.name, rank, count_, root_);
}

std::size_t GeneratedCall::bytesOf(int blocks) const {
  return static_cast<std::size_t>(blocks) * count_ * size_;
}

void GeneratedCall::place(int rank, std::size_t shift) {
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

std::vector<std::byte> GeneratedCall::block(int rank, int index) const {
  const auto& all = inputs_[static_cast<std::size_t>(rank)];
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(bytesOf(index));
  return {begin, begin + static_cast<std::ptrdiff_t>(bytesOf(1))};
}

std::vector<std::byte> GeneratedCall::reduced(int index) const {
  std::vector<std::vector<std::byte>> blocks;
  std::vector<const void*> sources;
  for (int r = 0; r < case_.request.worldSize; ++r) blocks.push_back(block(r, index));
  for (std::size_t r = 0; r < blocks.size(); ++r) {
    if (premultiplied())
      scaleExactly(case_.request.type, someFactor(case_.request.type, static_cast<int>(r)),
                   blocks[r].data(), count_, blocks[r].data());
    sources.push_back(blocks[r].data());
  }
  std::vector<std::byte> result(bytesOf(1));
  const bool average = case_.request.reduction == Reduction::avg;
  foldExactly(case_.request.type, case_.request.reduction, sources, count_,
              average ? case_.request.worldSize : 1, result.data());
  return result;
}

std::vector<std::byte> GeneratedCall::expected(int rank) const {
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
bool GeneratedCall::near(const std::byte* wanted, const std::byte* got, std::size_t bytes) const {
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

}  // namespace lockstep::testing
