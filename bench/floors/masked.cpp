#include "bench/floors/masked.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "bench/floors/team.hpp"
#include "bench/sizes.hpp"
#include "bench/statistics.hpp"
#include "cc_mode/masked/masked_sum.hpp"

namespace lockstep::floors {
namespace {

constexpr std::size_t kUnit = cc::kUnitPieces * cc::kPieceChunks;
constexpr std::size_t KiB = 1024;
/// Protects nothing: speed is all it is for.
constexpr cc::MaskKeys::Key kKey{std::byte{1}};

/// All ranks of a world in this thread; the last one's time counts.
class World {
 public:
  World(int ranks, DataType type, std::size_t count)
      : call_{.type = type, .count = count},
        in_(count * sizeOf(type), std::byte{0x3c}),  // a small number, whatever the type
        out_(in_),
        exponents_((count * cc::wordsPerElement(type) + cc::kChunkWords - 1) / cc::kChunkWords) {
    const cc::MaskKeys keys{kKey, kKey, kKey, kKey};
    for (int rank = 0; rank < ranks; ++rank)
      ranks_.emplace_back(rank, ranks, cc::createAead(), keys);
    sum_.resize(exponents_.size() * cc::kTaggedWords);
    words_ = sum_;
  }

  /// Of one call.
  double seconds() {
    for (cc::MaskedSum& rank : ranks_)
      if (&rank != &ranks_.back()) rank.begin(call_);
    double seconds = timed([&] { ranks_.back().begin(call_); });
    const std::size_t chunks = ranks_.back().chunks();
    if (chunks > kUnit) fail(ErrorCode::internal, "more than are under way at once");
    std::ranges::fill(sum_, 0);
    seconds += timed([&] {
      if (cc::isFixedPoint(call_.type)) ranks_.back().measure(in_.data(), exponents_);
    });
    for (cc::MaskedSum& rank : ranks_) {
      const double masking =
          timed([&] { rank.mask(0, chunks, exponents_, in_.data(), words_.data()); });
      for (std::size_t i = 0; i < words_.size(); ++i) sum_[i] += words_[i];
      if (&rank == &ranks_.back()) seconds += masking;
    }
    bool fits = false;
    seconds += timed(
        [&] { fits = ranks_.back().unmask(0, chunks, exponents_, sum_.data(), out_.data()); });
    if (!fits) fail(ErrorCode::internal, "a masked sum is wrong");
    return seconds;
  }

  /// Of the floor for it.
  double floorSeconds() {
    const std::size_t bytes = ranks_.back().wordsOf(0, ranks_.back().chunks()) * 8;
    return timed([&] {
      for (int stream = 0; stream <= ranks_.back().padsPerWord(); ++stream) makePads(bytes);
      std::memcpy(words_.data(), sum_.data(), bytes);
      std::memcpy(sum_.data(), words_.data(), bytes);
    });
  }

 private:
  template <class Work>
  static double timed(Work work) {
    const double start = cpuSeconds();
    work();
    return cpuSeconds() - start;
  }

  void makePads(std::size_t bytes) {
    for (std::size_t at = 0; at < bytes; at += pad_.size()) {
      const std::size_t n = std::min(bytes - at, pad_.size());
      aead_->seal(*expanded_, cc::nonceOf(0), {}, cc::ConstPrivateBytes(zeros_.data(), n),
                  cc::PrivateBytes(pad_.data(), n), tag_);
    }
  }

  cc::MaskedSum::Call call_;
  std::vector<cc::MaskedSum> ranks_;
  std::vector<std::byte> in_, out_;
  std::vector<std::int32_t> exponents_;
  std::vector<std::uint64_t> words_, sum_;
  std::shared_ptr<const cc::Aead> aead_ = cc::createAead();
  std::unique_ptr<cc::ExpandedKey> expanded_ = aead_->expand(kKey);
  std::vector<std::byte> zeros_ = std::vector<std::byte>(cc::kPieceWords * 8), pad_ = zeros_;
  cc::Tag tag_{};
};

nlohmann::json line(int ranks, DataType type, std::size_t bytes, int samples) {
  World world(ranks, type, bytes / sizeOf(type));
  std::vector<double> ours, floor;
  for (int i = 0; i < samples; ++i) {
    double a = 0, b = 0;
    for (int call = 0; call < 50; ++call) {
      a += world.seconds();
      b += world.floorSeconds();
    }
    ours.push_back(a / 50);
    floor.push_back(b / 50);
  }
  const bench::Ratio ratio = bench::medianOfRatios(ours, floor);
  const double seconds = bench::median(ours);
  fmt::print("{:>5} {:>5} {:>8} {:>9.2f} {:>7.2f} {:>7.2f} ({:.2f}..{:.2f})\n", ranks, name(type),
             bench::formatBytes(static_cast<double>(bytes)), seconds * 1e6,
             static_cast<double>(bytes) / seconds / 1e9, ratio.value, ratio.interval.low,
             ratio.interval.high);
  std::fflush(stdout);
  return {{"ranks", ranks},
          {"type", name(type)},
          {"bytes", bytes},
          {"seconds", seconds},
          {"floor", ratio.value}};
}

}  // namespace

nlohmann::json reportMasked(int samples) {
  fmt::print("\nA rank's part of a masked sum, one core\n{:>5} {:>5} {:>8} {:>9} {:>7} {:>7}\n",
             "ranks", "type", "call", "us", "GB/s", "x floor");
  nlohmann::json lines = nlohmann::json::array();
  for (const int ranks : {2, 3})
    for (const DataType type : {DataType::f32, DataType::bf16, DataType::f64, DataType::i32})
      for (const std::size_t bytes : {16 * KiB, 128 * KiB})
        lines.push_back(line(ranks, type, bytes, samples));
  return lines;
}

}  // namespace lockstep::floors
