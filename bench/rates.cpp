#include "bench/rates.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>

#include "base/clock.hpp"
#include "base/fail.hpp"
#include "base/mapping.hpp"
#include "bench/statistics.hpp"
#include "cc_mode/aead/aead.hpp"
#include "executor/host/reduce.hpp"

namespace lockstep::bench {
namespace {

/// Larger than the last cache's share of a core on common machines.
constexpr std::size_t kStreamBytes = std::size_t{32} << 20;
constexpr auto kSpell = std::chrono::milliseconds(40);
constexpr int kSpells = 3;

Mapping touchedPages(std::size_t bytes) {
  Mapping pages = Mapping::anonymous(bytes);
  std::memset(pages.data(), 1, bytes);
  return pages;
}

/// Median of kSpells spells, each of kSpell with all ranks at it, of `body(offset)`, which handles
/// `unit` bytes at that offset of a stream.
template <class Body>
double rateOf(const RateGroup& group, std::size_t unit, Body body) {
  std::array<double, kSpells> rates{};
  for (double& rate : rates) {
    group.barrier();
    if (!group.busy) {  // waiting at a barrier would take turns from those that measure
      std::this_thread::sleep_for(kSpell);
      continue;
    }
    const auto start = Clock::now();
    std::size_t done = 0;
    Clock::duration elapsed{};
    while ((elapsed = Clock::now() - start) < kSpell) {
      body(done % kStreamBytes);
      done += unit;
    }
    rate = static_cast<double>(done) / std::chrono::duration<double>(elapsed).count();
  }
  group.barrier();
  return median(rates);
}

}  // namespace

Rates measureRates(const RateGroup& group, const std::string& cipher) {
  const Mapping stream = touchedPages(kStreamBytes);
  const Mapping record = touchedPages(kRateRecord);
  const auto aead = cc::createAead(cipher);
  const std::array<std::byte, cc::kKeyBytes> zeroKey{};  // protects nothing: speed is all it is for
  const auto key = aead->expand(zeroKey);
  const cc::PrivateBytes cached(record.data(), kRateRecord);
  const auto streamAt = [&](std::size_t offset) {
    return cc::PrivateBytes(stream.data() + offset, kRateRecord);
  };

  Rates rates;
  cc::Tag tag{};
  std::uint64_t number = 0;
  rates.seal = rateOf(group, kRateRecord, [&](std::size_t offset) {
    aead->seal(*key, cc::nonceOf(++number), {}, streamAt(offset), cached, tag);
  });
  aead->seal(*key, cc::nonceOf(++number), {}, cached, cached, tag);
  rates.open = rateOf(group, kRateRecord, [&](std::size_t offset) {
    if (!aead->open(*key, cc::nonceOf(number), {}, cached, tag, streamAt(offset)))
      fail(ErrorCode::internal, "the cipher cannot open what it sealed");
  });
  rates.copy = rateOf(group, kRateRecord, [&](std::size_t offset) {
    std::memcpy(record.data(), stream.data() + offset, kRateRecord);
  });
  return rates;
}

double measureReduceRate(const RateGroup& group, DataType type, Reduction reduction, int sources) {
  const Mapping stream = touchedPages(kStreamBytes);
  const Mapping result = touchedPages(kStreamBytes);
  const host::ReduceFunction reduce = host::reduceFunction(type, reduction);
  const std::size_t unit = kRateRecord * static_cast<std::size_t>(sources);
  const std::size_t segment = kStreamBytes / static_cast<std::size_t>(sources);

  // The stream is cut into one segment per source; all advance together.
  std::vector<const void*> from(static_cast<std::size_t>(sources));
  return rateOf(group, unit, [&](std::size_t offset) {
    const std::size_t at =
        std::min(offset / static_cast<std::size_t>(sources), segment - kRateRecord) &
        ~std::size_t{63};
    for (std::size_t s = 0; s < from.size(); ++s)
      from[s] = stream.data() + (s * segment & ~std::size_t{63}) + at;
    void* to = result.data() + at;
    host::ReduceArguments arguments;
    arguments.dst = &to;
    arguments.dsts = 1;
    arguments.src = from.data();
    arguments.srcs = sources;
    arguments.count = kRateRecord / sizeOf(type);
    arguments.divisor = reduction == Reduction::avg ? sources : 1;
    reduce(arguments);
  });
}

}  // namespace lockstep::bench
