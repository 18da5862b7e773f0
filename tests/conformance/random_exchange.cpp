#include "conformance/random_exchange.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "conformance/guards.hpp"
#include "conformance/random_calls.hpp"
#include "support/reference.hpp"

namespace lockstep::testing {
namespace {

constexpr std::byte kStaleByte{0x5c};
constexpr std::size_t kMostGap = 3;  ///< elements between two parts

/// Many are 0, most are short, and some as long as they may be.
std::size_t drawPart(Draw& draw, std::size_t most) {
  if (most == 0 || draw.chance(3)) return 0;
  return 1 + draw.below(draw.chance(4) ? most : std::min<std::size_t>(most, 100));
}

}  // namespace

RandomExchange::RandomExchange(std::uint64_t seed, const Communicator& communicator,
                               std::size_t mostBytes, std::byte* in, std::byte* out,
                               std::uint64_t own)
    : seed_(seed),
      rank_(static_cast<std::size_t>(communicator.rank())),
      world_(static_cast<std::size_t>(communicator.worldSize())),
      in_(in),
      out_(out) {
  Draw draw(seed), mine(own);
  type_ = static_cast<DataType>(draw.below(kDataTypes));
  const std::size_t room = mostBytes / sizeOf(type_) / world_;
  const std::size_t most = room - std::min(room, kMostGap);
  const auto append = [&](Parts& parts, std::size_t count) {
    parts.offsets.push_back(parts.end + mine.below(kMostGap));
    parts.counts.push_back(count);
    parts.end = parts.offsets.back() + count;
  };
  for (std::size_t from = 0; from < world_; ++from)
    for (std::size_t to = 0; to < world_; ++to) {
      const std::size_t count = drawPart(draw, most);
      if (from == rank_) append(sent_, count);
      if (to == rank_) append(received_, count);
    }
  const std::size_t size = sizeOf(type_);
  for (std::size_t to = 0; to < world_; ++to)
    std::ranges::copy(partOf(rank_, to, sent_.counts[to]), in_ + sent_.offsets[to] * size);
  std::fill_n(out_, received_.end * size, kStaleByte);
  guardAround(out_, received_.end * size);
}

std::vector<std::byte> RandomExchange::partOf(std::size_t from, std::size_t to,
                                              std::size_t count) const {
  return randomElements(type_, count, seed_ + from * 64 + to);
}

void RandomExchange::make(Communicator& communicator) const {
  communicator.allToAllV(in_, sent_.counts, sent_.offsets, out_, received_.counts,
                         received_.offsets, type_);
}

void RandomExchange::add(Group& group, const Communicator& communicator) const {
  group.allToAllV(communicator, in_, sent_.counts, sent_.offsets, out_, received_.counts,
                  received_.offsets, type_);
}

void RandomExchange::check() const {
  const std::size_t size = sizeOf(type_);
  std::vector<std::byte> expected(received_.end * size, kStaleByte);
  for (std::size_t from = 0; from < world_; ++from)
    std::ranges::copy(partOf(from, rank_, received_.counts[from]),
                      expected.data() + received_.offsets[from] * size);
  const auto wrong = std::mismatch(expected.begin(), expected.end(), out_).first;
  require(wrong == expected.end(), fmt::format("byte {} of an exchange of {} is wrong",
                                               wrong - expected.begin(), name(type_)));
  checkGuards(out_, expected.size(), "an exchange");
}

}  // namespace lockstep::testing
