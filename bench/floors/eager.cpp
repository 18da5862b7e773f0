// Floors that copy the message into shared memory: they ask nothing of the caller's buffers and
// need no synchronisation at the exit.
#include <algorithm>

#include <fmt/format.h>

#include "bench/floors/floors.hpp"
#include "bench/floors/kernels.hpp"
#include "bench/floors/lines.hpp"

namespace lockstep::floors {
namespace {

/// One-shot by LL lines.
class LlOneShot : public Loop {
 public:
  LlOneShot(Pair& pair, std::size_t maxCount) : sets_(pair, maxCount * sizeof(float)) {}

  void run(const float* in, float* out, std::size_t count) override {
    constexpr std::size_t kPerLine = Line::kData / sizeof(float);
    constexpr std::size_t kPrefetch = 16;
    sets_.nextCall();
    const std::uint64_t call = sets_.call();
    Line* mine = sets_.mine();
    const std::size_t full = count / kPerLine, rest = count % kPerLine;
    for (std::size_t i = 0; i < full; ++i) writeLine(mine[i], in + i * kPerLine, call);
    if (rest != 0) writeLine(mine[full], in + full * kPerLine, rest * sizeof(float), call);

    const Line* theirs = sets_.theirs();
    for (std::size_t i = 0; i < full; ++i) {
      awaitLine(theirs[i], call);
      addLine(out + i * kPerLine, in + i * kPerLine,
              reinterpret_cast<const float*>(theirs[i].data));
    }
    if (rest != 0) {
      awaitLine(theirs[full], call);
      const auto* data =
          reinterpret_cast<const float*>(partialData(theirs[full], rest * sizeof(float)));
      for (std::size_t i = 0; i < rest; ++i)
        out[full * kPerLine + i] = in[full * kPerLine + i] + data[i];
    }
    sets_.prefetchNext(std::min(full + 1, kPrefetch));
  }

 private:
  LineSets sets_;
};

/// One-shot through shared slots, tile by tile: copy the own tile in, reduce from the peer's.
/// Streaming into the slots keeps the lines out of the writer's cache: where the cores share no
/// cache, fetching a modified line out of the other's costs several times a fetch from memory.
template <Write Slot, Write Out>
class SlotOneShot : public Loop {
 public:
  /// `ahead`: tiles sent before the first is received. The peer sends tile j only after it has
  /// received tile j - 1 - ahead, so 2 + 2 * ahead slots need no acknowledgement.
  SlotOneShot(Pair& pair, std::size_t tile, std::size_t ahead)
      : tile_(tile),
        ahead_(ahead),
        depth_(2 + 2 * ahead),
        slots_(pair.takeShared<float>(depth_ * tile)),
        flags_(pair.takeShared<Flag>(depth_)),
        theirSlots_(pair.theirs(slots_)),
        theirFlags_(pair.theirs(flags_)) {}

  void run(const float* in, float* out, std::size_t count) override {
    const std::size_t tiles = (count + tile_ - 1) / tile_;
    for (std::size_t t = 0; t < tiles + ahead_; ++t) {
      if (t < tiles) send(in + t * tile_, std::min(tile_, count - t * tile_));
      if (t < ahead_) continue;
      const std::size_t at = (t - ahead_) * tile_;
      receive(in + at, out + at, std::min(tile_, count - at));
    }
  }

 private:
  void send(const float* in, std::size_t count) {
    const std::size_t slot = sent_ % depth_;
    copy<Slot>(slots_ + slot * tile_, in, count);
    flags_[slot].raise(++sent_);
  }
  void receive(const float* in, float* out, std::size_t count) {
    const std::size_t slot = received_ % depth_;
    await(theirFlags_[slot], ++received_);
    sum<Out>(out, in, theirSlots_ + slot * tile_, count);
  }

  std::size_t tile_, ahead_, depth_;
  float* slots_;
  Flag* flags_;
  const float* theirSlots_;
  const Flag* theirFlags_;
  std::uint64_t sent_ = 0, received_ = 0;
};

template <Write Slot, Write Out>
Floor slotOneShot(const char* kind, Group group, std::size_t tile, std::size_t ahead,
                  std::size_t minBytes, std::size_t maxBytes) {
  return {fmt::format("one-shot slots {}K{}{}", tile / 1024, ahead ? " ahead" : "", kind), group,
          minBytes, maxBytes, [=](Pair& pair, std::size_t) {
            return std::make_unique<SlotOneShot<Slot, Out>>(pair, tile / sizeof(float), ahead);
          }};
}

}  // namespace

std::vector<Floor> eagerFloors(Group group) {
  constexpr std::size_t KiB = 1024, kAny = ~std::size_t{0};
  constexpr Write normal = Write::normal, streaming = Write::streaming;
  std::vector<Floor> floors{{"LL one-shot", group, 1, 32 * KiB, [](Pair& pair, std::size_t count) {
                               return std::make_unique<LlOneShot>(pair, count);
                             }}};
  for (const std::size_t tile : {1 * KiB, 4 * KiB, 16 * KiB, 64 * KiB, 256 * KiB})
    for (const std::size_t ahead : {0, 1}) {
      const std::size_t min = tile / 4 + ahead * tile;
      const std::size_t max = tile * 64;
      if (tile <= 16 * KiB)
        floors.push_back(slotOneShot<normal, normal>("", group, tile, ahead, min, max));
      floors.push_back(slotOneShot<streaming, normal>(", streaming in", group, tile, ahead, min,
                                                      tile < 16 * KiB ? max : kAny));
      if (tile >= 16 * KiB)
        floors.push_back(
            slotOneShot<streaming, streaming>(", streaming", group, tile, ahead, 1024 * KiB, kAny));
    }
  return floors;
}

}  // namespace lockstep::floors
