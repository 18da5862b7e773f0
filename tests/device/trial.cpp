#include "device/trial.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "support/reference.hpp"

namespace lockstep::test {
namespace {

constexpr std::byte kUntouched{0x5c};

const Contract& contractOfCall(const TrialCall& call) {
  return contractOf(call.collective);
}

int blocksIn(const TrialCall& call, int world) {
  const Contract& c = contractOfCall(call);
  return !c.hasData ? 0 : c.inPerRank ? world : 1;
}

int blocksOut(const TrialCall& call, int world) {
  const Contract& c = contractOfCall(call);
  return !c.hasData ? 0 : c.outPerRank ? world : 1;
}

std::size_t bytesOf(const TrialCall& call, int blocks) {
  return static_cast<std::size_t>(blocks) * call.count * sizeOf(call.type);
}

std::vector<std::byte> everythingOf(const TrialCall& call, int world, int rank) {
  const std::size_t elements = static_cast<std::size_t>(blocksIn(call, world)) * call.count;
  return testing::randomElements(call.type, elements,
                                 call.seed * 64 + static_cast<std::uint64_t>(rank));
}

std::vector<std::byte> blockOf(const TrialCall& call, int world, int rank, int index) {
  const auto all = everythingOf(call, world, rank);
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(bytesOf(call, index));
  return {begin, begin + static_cast<std::ptrdiff_t>(bytesOf(call, 1))};
}

std::vector<std::byte> reduced(const TrialCall& call, int world, int index) {
  std::vector<std::vector<std::byte>> blocks;
  std::vector<const void*> sources;
  for (int r = 0; r < world; ++r) blocks.push_back(blockOf(call, world, r, index));
  for (int r = 0; r < world; ++r) {
    std::byte* const block = blocks[static_cast<std::size_t>(r)].data();
    if (call.reduction == Reduction::preMulSum)
      testing::scaleExactly(call.type, testing::someFactor(call.type, r), block, call.count, block);
    sources.push_back(block);
  }
  std::vector<std::byte> result(bytesOf(call, 1));
  testing::foldExactly(call.type, call.reduction, sources, call.count,
                       call.reduction == Reduction::avg ? world : 1, result.data());
  return result;
}

}  // namespace

std::string TrialCall::text() const {
  return fmt::format("{} of {} {} {}, root {}, shift {}{}", name(collective), count, name(type),
                     name(reduction), root, shift, inPlace ? ", in place" : "");
}

std::vector<std::byte> inputOf(const TrialCall& call, int world, int rank) {
  if (contractOfCall(call).inAtRoot && rank != call.root) return {};
  return everythingOf(call, world, rank);
}

std::vector<std::byte> expectedOf(const TrialCall& call, int world, int rank) {
  const Contract& contract = contractOfCall(call);
  if (!contract.hasData || (contract.outAtRoot && rank != call.root)) return {};
  const int mine = contract.inPerRank ? rank : 0;
  if (contract.reduces) return reduced(call, world, mine);
  std::vector<std::byte> result;
  for (int b = 0; b < blocksOut(call, world); ++b) {
    const auto part = blockOf(call, world, contract.inAtRoot ? call.root : b, mine);
    result.insert(result.end(), part.begin(), part.end());
  }
  return result;
}

std::string tryCall(Player& player, const TrialCall& call, void* region, std::size_t bytes) {
  const int world = player.world(), rank = player.rank();
  const auto input = inputOf(call, world, rank), wanted = expectedOf(call, world, rank);
  std::vector<std::byte> image(bytes, kUntouched);
  const std::size_t begin = 256 + call.shift * sizeOf(call.type);
  std::size_t in = begin, out = bytes / 2 + begin;
  if (call.inPlace) {
    out = in;
    const std::size_t own = bytesOf(call, rank);
    if (input.size() < wanted.size() && !input.empty()) in += own;
    if (wanted.size() < input.size() && !wanted.empty()) out += own;
  }
  if (std::max(in + input.size(), out + wanted.size()) + 256 > bytes) return "too large a trial";
  std::ranges::copy(input, image.begin() + static_cast<std::ptrdiff_t>(in));
  player.write(region, image);
  auto* const base = static_cast<std::byte*>(region);
  player.device.run(call.collective, base + in, base + out, call.count, call.type, call.reduction,
                    call.root, nullptr, testing::someFactor(call.type, rank));
  player.device.wait(nullptr);
  std::ranges::copy(wanted, image.begin() + static_cast<std::ptrdiff_t>(out));
  auto got = player.read(region, bytes);
  // In place the rest of a larger input is the call's to overwrite.
  if (call.inPlace && wanted.size() < input.size())
    for (std::size_t i = in; i < in + input.size(); ++i)
      if (i < out || i >= out + wanted.size()) got[i] = image[i];
  const auto wrong = std::mismatch(got.begin(), got.end(), image.begin()).first;
  if (wrong == got.end()) return {};
  const auto at = wrong - got.begin();
  return fmt::format("{}: byte {} of the region is wrong (in at {}, out at {} of {} bytes)",
                     call.text(), at, in, out, wanted.size());
}

}  // namespace lockstep::test
