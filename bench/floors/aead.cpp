#include "bench/floors/aead.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <vector>

#include <fmt/format.h>

#include "base/mapping.hpp"
#include "bench/floors/raw_aead.hpp"
#include "bench/floors/team.hpp"
#include "bench/sizes.hpp"
#include "bench/statistics.hpp"

namespace lockstep::floors {
namespace {

constexpr std::size_t KiB = 1024;
constexpr std::size_t kStreamed = 256 * KiB * KiB;
constexpr double kBatchSeconds = 1e-3;
constexpr double kTarget = 0.95;  ///< of the raw library's rate, for records of 1 to 16 KiB

/// Protects nothing: speed is all it is for.
constexpr std::array<std::byte, cc::kKeyBytes> kKey{std::byte{1}};
/// As much as a record of Lockstep's authenticates beside its data.
alignas(kCacheLine) constexpr std::array<std::byte, 48> kAad{};
const cc::ConstPrivateBytes kPrivateAad(kAad.data(), kAad.size());

/// Records side by side, in plain and sealed. A record always has the same plaintext and the same
/// nonce, so whoever seals or opens it writes what was there before.
class Walk {
 public:
  Walk(std::size_t recordBytes, std::size_t totalBytes)
      : size_(recordBytes),
        count_(totalBytes / recordBytes),
        plain_(Mapping::anonymous(totalBytes)),
        sealed_(Mapping::anonymous(totalBytes)),
        tags_(count_) {
    for (std::size_t i = 0; i < totalBytes; ++i) plain_.data()[i] = static_cast<std::byte>(i * 31);
    const auto aead = cc::createAead();
    const auto key = aead->expand(kKey);
    for (std::size_t i = 0; i < count_; ++i)
      aead->seal(*key, nonce(i), kPrivateAad, cc::ConstPrivateBytes(plain(i), size_),
                 cc::PrivateBytes(sealed(i), size_), tag(i));
  }

  std::size_t recordBytes() const { return size_; }
  std::size_t count() const { return count_; }
  bool streams() const { return count_ > 1; }
  std::byte* plain(std::size_t i) const { return plain_.data() + i * size_; }
  std::byte* sealed(std::size_t i) const { return sealed_.data() + i * size_; }
  cc::Tag& tag(std::size_t i) { return tags_[i]; }
  static cc::Nonce nonce(std::size_t i) { return cc::nonceOf(i); }

  /// Goes on where whoever came before has stopped, so that nobody finds what another left in the
  /// caches.
  std::size_t next() { return at_ = at_ + 1 < count_ ? at_ + 1 : 0; }
  void back() { at_ = (at_ > 0 ? at_ : count_) - 1; }

 private:
  std::size_t size_, count_;
  Mapping plain_, sealed_;
  std::vector<cc::Tag> tags_;
  std::size_t at_ = 0;
};

/// One way to do all the records, and the seconds per record that it took.
struct Way {
  std::function<void(std::size_t calls)> run;
  std::size_t calls = 1;  ///< per batch
  std::vector<double> samples{};

  double batch() const {
    const double start = cpuSeconds();
    run(calls);
    return (cpuSeconds() - start) / static_cast<double>(calls);
  }
};

/// Makes a Way of what is done with record i.
template <class Work>
Way way(Walk& walk, Work work) {
  return {[&walk, work](std::size_t calls) mutable {
    for (; calls > 0; --calls) work(walk.next());
  }};
}

void check(bool right, std::string_view what, std::size_t recordBytes) {
  if (!right) fail(ErrorCode::internal, "{} of records of {} B is wrong", what, recordBytes);
}

enum Direction : std::size_t { kSeal, kOpen };
enum Kind : std::size_t { kRaw, kOurs, kCopied, kKinds };

/// One line of the table, by direction and kind.
using Ways = std::array<std::array<Way, kKinds>, 2>;

/// `copy` is private memory for a record; `sealed` stands for memory shared with the peer.
template <class Raw>
Ways waysOf(Walk& walk, Raw& raw, const cc::Aead& aead, cc::ExpandedKey& key, std::byte* copy) {
  const std::size_t size = walk.recordBytes();
  const auto sealTo = [&walk, &aead, &key, size](std::size_t i, std::byte* to, cc::Tag& tag) {
    aead.seal(key, Walk::nonce(i), kPrivateAad, cc::ConstPrivateBytes(walk.plain(i), size),
              cc::PrivateBytes(to, size), tag);
  };
  const auto openFrom = [&walk, &aead, &key, size](std::size_t i, const std::byte* from,
                                                   const cc::Tag& tag) {
    if (!aead.open(key, Walk::nonce(i), kPrivateAad, cc::ConstPrivateBytes(from, size), tag,
                   cc::PrivateBytes(walk.plain(i), size)))
      check(false, "our open", size);
  };
  return {
      {{way(walk,
            [&walk, &raw, size](std::size_t i) {
              raw.seal(Walk::nonce(i), kAad, {walk.plain(i), walk.sealed(i), size}, walk.tag(i));
            }),
        way(walk, [&walk, sealTo](std::size_t i) { sealTo(i, walk.sealed(i), walk.tag(i)); }),
        way(walk,
            [&walk, sealTo, copy, size](std::size_t i) {
              cc::Tag tag;
              sealTo(i, copy, tag);
              std::memcpy(walk.sealed(i), copy, size);
              walk.tag(i) = tag;
            })},
       {way(walk,
            [&walk, &raw, size](std::size_t i) {
              if (!raw.open(Walk::nonce(i), kAad, {walk.sealed(i), walk.plain(i), size},
                            walk.tag(i)))
                check(false, "the library's open", size);
            }),
        way(walk, [&walk, openFrom](std::size_t i) { openFrom(i, walk.sealed(i), walk.tag(i)); }),
        way(walk, [&walk, openFrom, copy, size](std::size_t i) {
          std::memcpy(copy, walk.sealed(i), size);
          const cc::Tag tag = walk.tag(i);
          openFrom(i, copy, tag);
        })}}};
}

/// Each way, on the record after the last: it must write what was there, over something else.
void verify(Walk& walk, Ways& ways) {
  const std::size_t size = walk.recordBytes();
  for (const Direction direction : {kSeal, kOpen})
    for (Way& way : ways[direction]) {
      const std::size_t i = walk.next();
      std::byte* to = direction == kSeal ? walk.sealed(i) : walk.plain(i);
      const std::vector<std::byte> right(to, to + size);
      const cc::Tag tag = walk.tag(i);
      std::fill_n(to, size, std::byte{0x5a});
      if (direction == kSeal) walk.tag(i) = {};
      walk.back();
      way.run(1);
      check(std::equal(right.begin(), right.end(), to) && walk.tag(i) == tag,
            direction == kSeal ? "seal" : "open", size);
    }
}

void measure(Ways& ways, int samples) {
  for (auto& kinds : ways)
    for (Way& way : kinds) {
      way.calls = 64;
      way.calls = static_cast<std::size_t>(std::clamp(kBatchSeconds / way.batch(), 1.0, 1e6));
    }
  for (int i = 0; i < samples; ++i)
    for (auto& kinds : ways)
      for (Way& way : kinds) way.samples.push_back(way.batch());
}

/// A way's rate as a share of the raw library's.
bench::Ratio share(const Ways& ways, Direction direction, Kind kind) {
  return bench::medianOfRatios(ways[direction][kRaw].samples, ways[direction][kind].samples);
}

std::string percent(const bench::Ratio& r) {
  return fmt::format("{:.1f} ({:.1f}..{:.1f})", 100 * r.value, 100 * r.interval.low,
                     100 * r.interval.high);
}

class Table {
 public:
  void begin(std::string_view library, bool streams) {
    fmt::print(
        "\nAES-256-GCM, {}, {}, one core; shares of the raw library's rate in %\n{:>8} {:>9} "
        "{:>20} {:>20} {:>9} {:>20} {:>20}\n",
        library, streams ? "streaming 256 MiB" : "hot", "record", "seal GB/s", "ours",
        "and copy out", "open GB/s", "ours", "copy in and");
    worst_ = 1e9;
  }

  nlohmann::json line(const Walk& walk, const Ways& ways) {
    const double bytes = static_cast<double>(walk.recordBytes());
    nlohmann::json json{{"bytes", walk.recordBytes()}, {"streaming", walk.streams()}};
    fmt::print("{:>8}", bench::formatBytes(bytes));
    for (const Direction direction : {kSeal, kOpen}) {
      const double raw = bench::median(ways[direction][kRaw].samples);
      const bench::Ratio ours = share(ways, direction, kOurs),
                         copied = share(ways, direction, kCopied);
      fmt::print(" {:>9.2f} {:>20} {:>20}", bytes / raw / 1e9, percent(ours), percent(copied));
      json[direction == kSeal ? "seal" : "open"] = {
          {"rawSeconds", raw}, {"ours", toJson(ours)}, {"copied", toJson(copied)}};
      if (walk.recordBytes() >= KiB && walk.recordBytes() <= 16 * KiB)
        worst_ = std::min(worst_, ours.value);
    }
    fmt::print("\n");
    std::fflush(stdout);
    return json;
  }

  void end() const {
    fmt::print("worst of 1 to 16 KiB without copies: {:.1f} %: {} {:.0f} %\n", 100 * worst_,
               worst_ >= kTarget ? "at least" : "BELOW", 100 * kTarget);
  }

 private:
  static nlohmann::json toJson(const bench::Ratio& r) {
    return {{"share", r.value}, {"low", r.interval.low}, {"high", r.interval.high}};
  }
  double worst_ = 0;
};

template <class Raw>
void measureLibrary(bool streams, int samples, nlohmann::json& lines) {
  Raw raw(kKey);
  const auto aead = cc::createAead(Raw::kName);
  const auto key = aead->expand(kKey);
  Table table;
  table.begin(Raw::kName, streams);
  for (const std::size_t record :
       {std::size_t{64}, std::size_t{256}, 1 * KiB, 4 * KiB, 16 * KiB, 64 * KiB}) {
    Walk walk(record, streams ? kStreamed : record);
    const Mapping copy = Mapping::anonymous(record);
    Ways ways = waysOf(walk, raw, *aead, *key, copy.data());
    verify(walk, ways);
    measure(ways, samples);
    lines.push_back(table.line(walk, ways));
    lines.back()["library"] = Raw::kName;
  }
  table.end();
}

}  // namespace

nlohmann::json reportAead(int samples) {
  nlohmann::json lines = nlohmann::json::array();
  for (const bool streams : {false, true}) {
    measureLibrary<RawIpsecMb>(streams, samples, lines);
    measureLibrary<RawOpenssl>(streams, samples, lines);
  }
  return lines;
}

}  // namespace lockstep::floors
