#include "bench/floors/small.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "bench/floors/contest.hpp"
#include "bench/floors/lockstep_loop.hpp"
#include "bench/floors/transfer.hpp"
#include "bench/sizes.hpp"
#include "bench/statistics.hpp"
#include "cc_mode/aead/aead.hpp"

namespace lockstep::floors {
namespace {

constexpr std::size_t kMost = 1024;
constexpr std::size_t kTargetBytes = 64;

Options optionsOf(Mode mode) {
  Options options;
  options.mode = mode;
  options.insecureKeys = mode != Mode::p2p;
  return options;
}

/// Seconds to seal and to open a record in the caches, its key ready, both ranks at it.
double recordSeconds(Pair& pair, std::size_t bytes, int samples) {
  constexpr std::uint64_t kCalls = 2000;
  const auto aead = cc::createAead();
  const auto key = aead->expand(pair.key(pair.rank(), pair.rank()));
  alignas(kCacheLine) std::array<std::byte, kMost> plain{}, sealed{};
  alignas(kCacheLine) const std::array<std::byte, 48> aad{};  // as much as a record's name
  const cc::ConstPrivateBytes name(aad.data(), aad.size());
  std::uint64_t number = 0;
  std::vector<double> batches;
  for (int i = 0; i < samples; ++i) {
    pair.barrier();
    const auto start = Clock::now();
    for (std::uint64_t call = 0; call < kCalls; ++call) {
      cc::Tag tag;
      const cc::Nonce nonce = cc::nonceOf(number++);
      aead->seal(*key, nonce, name, cc::ConstPrivateBytes(plain.data(), bytes),
                 cc::PrivateBytes(sealed.data(), bytes), tag);
      if (!aead->open(*key, nonce, name, cc::ConstPrivateBytes(sealed.data(), bytes), tag,
                      cc::PrivateBytes(plain.data(), bytes)))
        fail(ErrorCode::internal, "a record of {} B does not open", bytes);
    }
    const std::chrono::duration<double> took = Clock::now() - start;
    batches.push_back(pair.agreeOnMax(took.count()) / kCalls);
  }
  return bench::median(batches);
}

nlohmann::json line(Pair& pair, const Standing& s, double record) {
  const double clear = s.floorSeconds, sealed = s.seconds;
  const double bound = 3 * clear + 2 * record;
  const bool judged = s.bytes == kTargetBytes;
  if (pair.rank() == 0)
    fmt::print("{:>8} {:>9.3f} {:>9.3f} {:>6.2f} {:>15} {:>10.3f} {:>22.3f}{}\n",
               bench::formatBytes(static_cast<double>(s.bytes)), clear * 1e6, sealed * 1e6,
               s.ratio.value,
               fmt::format("{:.2f} to {:.2f}", s.ratio.interval.low, s.ratio.interval.high),
               record * 1e6, bound * 1e6,
               !judged           ? ""
               : sealed <= bound ? "  within it"
                                 : "  ABOVE IT");
  return {{"bytes", s.bytes},        {"clearSeconds", clear},       {"sealedSeconds", sealed},
          {"ratio", s.ratio.value},  {"low", s.ratio.interval.low}, {"high", s.ratio.interval.high},
          {"recordSeconds", record}, {"boundSeconds", bound}};
}

}  // namespace

nlohmann::json reportSmall(Pair& pair, int samples) {
  const auto clear = joinLockstep(pair, optionsOf(Mode::p2p), Collective::allReduce);
  const auto sealed = joinLockstep(pair, optionsOf(Mode::cc), Collective::allReduce);
  const Mapping in = Mapping::anonymous(kMost), out = Mapping::anonymous(kMost);
  auto *from = reinterpret_cast<float*>(in.data()), *to = reinterpret_cast<float*>(out.data());
  for (std::size_t i = 0; i < kMost / sizeof(float); ++i) from[i] = patternAt(i, pair.rank());
  const std::vector<Contender> asFloor{{"p2p", 0, kMost, clear.get(), from, to}};
  const Contender challenger{"cc", 0, kMost, sealed.get(), from, to};

  if (pair.rank() == 0)
    fmt::print(
        "\nsmall all-reduces, f32 sum, 2 ranks on 2 cores, us; a record: sealed and opened once\n"
        "{:>8} {:>9} {:>9} {:>6} {:>15} {:>10} {:>22}\n",
        "size", "p2p", "cc", "ratio", "95 %", "a record", "3 x p2p + 2 records");
  nlohmann::json lines = nlohmann::json::array();
  for (const std::size_t bytes : {std::size_t{8}, kTargetBytes, std::size_t{512}, kMost})
    lines.push_back(line(pair,
                         compete(pair, Collective::allReduce, asFloor, &challenger, bytes, samples),
                         recordSeconds(pair, bytes, samples)));
  return lines;
}

}  // namespace lockstep::floors
