#include "bench/rates.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <ctime>
#include <thread>

#include "base/clock.hpp"
#include "base/fail.hpp"
#include "base/mapping.hpp"
#include "cc_mode/aead/aead.hpp"
#include "executor/host/reduce.hpp"

namespace lockstep::bench {
namespace {

/// A rate is the best of so many spells: what disturbs the machine makes it slower, never faster.
/// Waiting for a core is no work, and no bound counts it: of each spell, the time on a core counts.
constexpr int kSpells = 12;
/// Long enough to come round a good part of the stream; in the cache there is nothing to come
/// round.
constexpr auto kStreamSpell = std::chrono::microseconds(10000);
constexpr auto kCacheSpell = std::chrono::microseconds(400);
/// The clock is looked at once in so many bytes, so that short records do not measure it.
constexpr std::size_t kBytesPerLook = 16384;

Mapping touchedPages(std::size_t bytes) {
  Mapping pages = Mapping::anonymous(bytes);
  std::memset(pages.data(), 1, bytes);
  return pages;
}

/// That this thread has had a core.
double coreSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Goes round a working set, `unit` bytes at a time.
class Tour {
 public:
  Tour(std::size_t workingSet, std::size_t unit) : workingSet_(workingSet), unit_(unit) {}

  /// Bytes per second over one spell of calls of `body(offset)`; `group` is told what it took.
  template <class Body>
  double spell(RateGroup& group, Clock::duration length, Body body) {
    const std::size_t calls = std::max<std::size_t>(1, kBytesPerLook / unit_);
    std::size_t looks = 0;
    Clock::duration elapsed{};
    const double before = coreSeconds();
    for (const auto start = Clock::now(); elapsed < length; elapsed = Clock::now() - start) {
      for (std::size_t i = 0; i < calls; ++i) {
        body(offset_);
        offset_ = offset_ + 2 * unit_ <= workingSet_ ? offset_ + unit_ : 0;
      }
      ++looks;
    }
    const double onCore = coreSeconds() - before;
    group.coreSeconds += onCore;
    group.seconds += std::chrono::duration<double>(elapsed).count();
    return static_cast<double>(looks * calls * unit_) / onCore;
  }

 private:
  std::size_t workingSet_, unit_, offset_ = 0;
};

/// The best spell of this rank, while all of them are at it.
template <class Body>
double rateOf(RateGroup& group, std::size_t workingSet, std::size_t unit, Body body) {
  const Clock::duration length = workingSet >= kStreamBytes ? kStreamSpell : kCacheSpell;
  Tour tour(workingSet, unit);
  double best = 0;
  group.barrier();
  if (group.busy)
    for (int i = 0; i < kSpells; ++i) best = std::max(best, tour.spell(group, length, body));
  else  // waiting at a barrier would take turns from those that measure
    std::this_thread::sleep_for(kSpells * length);
  group.barrier();
  return best;
}

}  // namespace

std::size_t cachedWorkingSet(std::size_t bytes) {
  return std::min(std::bit_ceil(bytes), kCacheBytes);
}

void tryCore(RateGroup& group) {
  const Mapping from = touchedPages(kCacheBytes), to = touchedPages(kRateRecord);
  rateOf(group, kCacheBytes, kRateRecord,
         [&](std::size_t offset) { std::memcpy(to.data(), from.data() + offset, kRateRecord); });
}

Rates measureRates(RateGroup& group, const std::string& cipher, std::size_t workingSet) {
  const std::size_t unit = std::min(workingSet, kRateRecord);
  const Mapping stream = touchedPages(workingSet);
  const Mapping record = touchedPages(unit);
  const auto aead = cc::createAead(cipher);
  const std::array<std::byte, cc::kKeyBytes> zeroKey{};  // protects nothing: speed is all it is for
  const auto key = aead->expand(zeroKey);
  const cc::PrivateBytes cached(record.data(), unit);
  const auto streamAt = [&](std::size_t offset) {
    return cc::PrivateBytes(stream.data() + offset, unit);
  };

  Rates rates;
  cc::Tag tag{};
  std::uint64_t number = 0;
  rates.seal = rateOf(group, workingSet, unit, [&](std::size_t offset) {
    aead->seal(*key, cc::nonceOf(++number), {}, streamAt(offset), cached, tag);
  });
  aead->seal(*key, cc::nonceOf(++number), {}, cached, cached, tag);
  rates.open = rateOf(group, workingSet, unit, [&](std::size_t offset) {
    if (!aead->open(*key, cc::nonceOf(number), {}, cached, tag, streamAt(offset)))
      fail(ErrorCode::internal, "the cipher cannot open what it sealed");
  });
  rates.copy = rateOf(group, workingSet, unit, [&](std::size_t offset) {
    std::memcpy(record.data(), stream.data() + offset, unit);
  });
  return rates;
}

double measureReduceRate(RateGroup& group, DataType type, Reduction reduction, int sources,
                         std::size_t workingSet) {
  const auto parts = static_cast<std::size_t>(sources);
  const std::size_t chunk = std::max(std::min(workingSet, kRateRecord), sizeOf(type));
  // The working set is cut into one segment per source; all advance together.
  const std::size_t segment = std::max(workingSet / parts & ~std::size_t{63}, chunk);
  const Mapping stream = touchedPages(segment * parts);
  const Mapping result = touchedPages(segment);
  const host::ReduceFunction reduce = host::reduceFunction(type, reduction);

  std::vector<const void*> from(parts);
  return rateOf(group, segment * parts, chunk * parts, [&](std::size_t offset) {
    const std::size_t at = offset / parts;
    for (std::size_t s = 0; s < parts; ++s) from[s] = stream.data() + s * segment + at;
    void* to = result.data() + at;
    host::ReduceArguments arguments;
    arguments.dst = &to;
    arguments.dsts = 1;
    arguments.src = from.data();
    arguments.srcs = sources;
    arguments.count = chunk / sizeOf(type);
    arguments.divisor = reduction == Reduction::avg ? sources : 1;
    reduce(arguments);
  });
}

}  // namespace lockstep::bench
