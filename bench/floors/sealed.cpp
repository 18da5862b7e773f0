// Sealed floors: private buffers, and nothing but ciphertext and tags in shared memory. Records
// are sealed into private memory and copied out; copied in, opened privately, and only then
// reduced. The AEAD never touches memory that the other process can change.
#include <algorithm>

#include <fmt/format.h>

#include "bench/floors/floors.hpp"
#include "bench/floors/gcm.hpp"
#include "bench/floors/kernels.hpp"
#include "bench/floors/lines.hpp"
#include "bench/floors/records.hpp"

namespace lockstep::floors {
namespace {

constexpr std::size_t kPerLine = kCacheLine / sizeof(float);

/// One-shot of one record by LL lines that carry ciphertext and tag.
class SealedLines : public Loop {
 public:
  SealedLines(Pair& pair, std::size_t maxCount)
      : gcm_(pair, pair.peer()),
        sets_(pair, maxCount * sizeof(float) + kTag),
        record_(Mapping::anonymous(sizeOfLines(maxCount))) {}

  void run(const float* in, float* out, std::size_t count) override {
    constexpr std::size_t kPrefetch = 64;
    const std::size_t bytes = count * sizeof(float), lines = linesFor(bytes + kTag);
    gcm_.seal(in, record_.data(), bytes);
    sets_.nextCall();
    Line* mine = sets_.mine();
    // The record's memory is a whole number of lines, so the last can be written as a full one.
    for (std::size_t i = 0; i < lines; ++i)
      writeLine(mine[i], record_.data() + i * Line::kData, sets_.call());
    const Line* theirs = sets_.theirs();
    for (std::size_t i = 0; i < lines; ++i) {
      awaitLine(theirs[i], sets_.call());
      std::memcpy(record_.data() + i * Line::kData, theirs[i].data, Line::kData);
    }
    gcm_.open(record_.data(), record_.data(), bytes);
    sum(out, in, reinterpret_cast<const float*>(record_.data()), count);
    sets_.prefetchNext(std::min(lines, kPrefetch));
  }

 private:
  static std::size_t sizeOfLines(std::size_t count) {
    return linesFor(count * sizeof(float) + kTag) * Line::kData;
  }
  Gcm gcm_;
  LineSets sets_;
  Mapping record_;
};

/// Both ranks send everything and reduce everything. `ahead` records are sent before the first is
/// received; 2 + 2 * ahead slots need no acknowledgement (as in the one-shot slots in the clear).
template <Write Slot, Write Out>
class SealedOneShot : public Loop {
 public:
  SealedOneShot(Pair& pair, std::size_t record, std::size_t ahead)
      : gcm_(pair, pair.peer()),
        record_(record),
        ahead_(ahead),
        records_(Streams(pair, record * sizeof(float), 2 + 2 * ahead), pair.peer(), gcm_) {}

  void run(const float* in, float* out, std::size_t count) override {
    const std::size_t n = (count + record_ - 1) / record_;
    for (std::size_t t = 0; t < n + ahead_; ++t) {
      if (t < n) records_.send(in + t * record_, std::min(record_, count - t * record_));
      if (t < ahead_) continue;
      const std::size_t at = (t - ahead_) * record_, size = std::min(record_, count - at);
      sum<Out>(out + at, in + at, records_.receive(size), size);
    }
  }

 private:
  Gcm gcm_;
  std::size_t record_, ahead_;
  Records<Slot> records_;
};

/// Each rank gets the peer's share of its half, reduces it and sends the sums back: as many bytes
/// of crypto as one-shot for two ranks, half of the additions, one more latency. Inputs and results
/// alternate in one stream, results one record behind, so four slots need no acknowledgement.
template <Write Slot>
class SealedTwoShot : public Loop {
 public:
  SealedTwoShot(Pair& pair, std::size_t record)
      : pair_(pair),
        gcm_(pair, pair.peer()),
        record_(record),
        records_(Streams(pair, record * sizeof(float), 4), pair.peer(), gcm_) {}

  void run(const float* in, float* out, std::size_t count) override {
    const std::size_t middle = std::min(roundUp(count / 2, kPerLine), count);
    const bool first = pair_.rank() == 0;
    const float *mineIn = in + (first ? 0 : middle), *otherIn = in + (first ? middle : 0);
    float *mineOut = out + (first ? 0 : middle), *otherOut = out + (first ? middle : 0);
    const std::size_t mine = first ? middle : count - middle, other = count - mine;
    const std::size_t n = (std::max(mine, other) + record_ - 1) / record_;
    const auto size = [&](std::size_t half, std::size_t t) {
      const std::size_t at = t * record_;
      return at >= half ? 0 : std::min(record_, half - at);
    };
    for (std::size_t t = 0; t <= n; ++t) {
      const std::size_t at = t * record_, before = at - record_;
      if (t < n) records_.send(otherIn + at, size(other, t));
      if (t > 0) records_.send(mineOut + before, size(mine, t - 1));
      if (t < n) {
        const std::size_t here = size(mine, t);
        sum(mineOut + at, mineIn + at, records_.receive(here), here);
      }
      if (t > 0) {
        const std::size_t here = size(other, t - 1);
        copy(otherOut + before, records_.receive(here), here);
      }
    }
  }

 private:
  Pair& pair_;
  Gcm gcm_;
  std::size_t record_;
  Records<Slot> records_;
};

constexpr std::size_t KiB = 1024, kAny = ~std::size_t{0};

template <Write Slot, Write Out>
Floor oneShot(const char* kind, std::size_t record, std::size_t ahead, std::size_t minBytes) {
  return {fmt::format("one-shot records {}K{}{}", record / KiB, ahead ? " ahead" : "", kind),
          Group::sealed, minBytes, record < 4 * KiB ? 256 * KiB : kAny,
          [=](Pair& pair, std::size_t) {
            return std::make_unique<SealedOneShot<Slot, Out>>(pair, record / sizeof(float), ahead);
          }};
}

template <Write Slot>
Floor twoShot(const char* kind, std::size_t record) {
  return {fmt::format("two-shot records {}K{}", record / KiB, kind), Group::sealed, 2 * record,
          kAny, [=](Pair& pair, std::size_t) {
            return std::make_unique<SealedTwoShot<Slot>>(pair, record / sizeof(float));
          }};
}

}  // namespace

std::vector<Floor> sealedFloors() {
  constexpr Write normal = Write::normal, streaming = Write::streaming;
  std::vector<Floor> floors{
      {"LL one-shot", Group::sealed, 1, 16 * KiB,
       [](Pair& pair, std::size_t count) { return std::make_unique<SealedLines>(pair, count); }}};
  for (const std::size_t record : {1 * KiB, 2 * KiB, 4 * KiB, 8 * KiB, 16 * KiB}) {
    for (const std::size_t ahead : {0, 1}) {
      const std::size_t min = std::max(std::size_t{128}, record / 4 + ahead * record);
      floors.push_back(oneShot<normal, normal>("", record, ahead, min));
      floors.push_back(oneShot<streaming, normal>(", streaming in", record, ahead, min));
      if (record >= 4 * KiB)
        floors.push_back(oneShot<streaming, streaming>(", streaming", record, ahead, 4096 * KiB));
    }
    if (record < 4 * KiB) continue;
    floors.push_back(twoShot<normal>("", record));
    floors.push_back(twoShot<streaming>(", streaming in", record));
  }
  return floors;
}

}  // namespace lockstep::floors
