// Floors for ordinary buffers: what lies in a process's private memory crosses by
// process_vm_readv, or is copied through shared slots.
#include <algorithm>

#include <fmt/format.h>

#include "bench/floors/attach.hpp"
#include "bench/floors/floors.hpp"
#include "bench/floors/kernels.hpp"

namespace lockstep::floors {
namespace {

constexpr std::size_t kPerLine = kCacheLine / sizeof(float);

/// [begin, begin + size) of `rank`'s half of `count` elements, cut at a cache line.
struct Half {
  std::size_t begin, size;
};
Half halfOf(int rank, std::size_t count) {
  const std::size_t middle = std::min(roundUp(count / 2, kPerLine), count);
  return rank == 0 ? Half{0, middle} : Half{middle, count - middle};
}

/// Where a rank's buffers are in this call, and how far it has come with it.
struct alignas(kCacheLine) Announcement {
  const float* in;
  float* out;
  std::atomic<std::uint64_t> call;
};

enum class Back { pushed, fetched };

/// Two-shot by cross-memory attach, block-wise so that a block is still in the L2 cache when it is
/// reduced: read the peer's half block into the output, add the own input to it, and either write
/// the sum to the peer's output or let the peer fetch it.
template <Back B>
class AttachTwoShot : public Loop {
 public:
  AttachTwoShot(Pair& pair, std::size_t block)
      : pair_(pair),
        attach_(pair.peerPid()),
        block_(block),
        mine_(pair.takeShared<Announcement>(1)),
        theirs_(pair.theirs(mine_)),
        progress_(pair.takeShared<Flag>(2)),
        theirProgress_(pair.theirs(progress_)) {}

  void run(const float* in, float* out, std::size_t count) override {
    mine_->in = in;
    mine_->out = out;
    mine_->call.store(++call_, std::memory_order_release);
    waitUntil([&] { return theirs_->call.load(std::memory_order_acquire) >= call_; });

    const Half half = halfOf(pair_.rank(), count), other = halfOf(pair_.peer(), count);
    const std::size_t blocks = (std::max(half.size, other.size) + block_ - 1) / block_;
    for (std::size_t b = 0; b < blocks; ++b) {
      reduceBlock(in, out, half, b);
      progress_[0].raise(++reduced_);
      if constexpr (B == Back::fetched) {
        if (b > 0) fetchBlock(out, other, b - 1);
      }
    }
    if constexpr (B == Back::fetched) fetchBlock(out, other, blocks - 1);
    progress_[1].raise(call_);
    await(theirProgress_[1], call_);
  }

 private:
  std::size_t sizeOfBlock(Half half, std::size_t b) const {
    const std::size_t at = b * block_;
    return at >= half.size ? 0 : std::min(block_, half.size - at);
  }
  void reduceBlock(const float* in, float* out, Half half, std::size_t b) {
    const std::size_t at = half.begin + b * block_, size = sizeOfBlock(half, b);
    if (size == 0) return;
    attach_.read(out + at, theirs_->in + at, size);
    sum(out + at, in + at, out + at, size);
    if constexpr (B == Back::pushed) attach_.write(out + at, theirs_->out + at, size);
  }
  void fetchBlock(float* out, Half half, std::size_t b) {
    await(theirProgress_[0], ++fetched_);
    const std::size_t at = half.begin + b * block_, size = sizeOfBlock(half, b);
    if (size != 0) attach_.read(out + at, theirs_->out + at, size);
  }

  Pair& pair_;
  Attach attach_;
  std::size_t block_;
  Announcement* mine_;
  const Announcement* theirs_;
  Flag* progress_;  ///< [0] blocks reduced, [1] calls left
  const Flag* theirProgress_;
  std::uint64_t call_ = 0, reduced_ = 0, fetched_ = 0;
};

/// Two-shot through shared slots, tile by tile: copy the peer's half in, reduce the own half from
/// the peer's slot into the output and a second slot, copy the peer's result out one tile later.
/// Two slots of each kind need no acknowledgement: tile t is sent only after the peer's result of
/// tile t - 2 has been copied out.
/// Streaming into the slots: see SlotOneShot.
template <Write Slot, Write Out>
class SlotTwoShot : public Loop {
 public:
  SlotTwoShot(Pair& pair, std::size_t tile)
      : pair_(pair),
        tile_(tile),
        inputs_(pair.takeShared<float>(2 * tile)),
        results_(pair.takeShared<float>(2 * tile)),
        flags_(pair.takeShared<Flag>(2)),
        theirInputs_(pair.theirs(inputs_)),
        theirResults_(pair.theirs(results_)),
        theirFlags_(pair.theirs(flags_)) {}

  void run(const float* in, float* out, std::size_t count) override {
    const Half half = halfOf(pair_.rank(), count), other = halfOf(pair_.peer(), count);
    const std::size_t tiles = (std::max(half.size, other.size) + tile_ - 1) / tile_;
    for (std::size_t t = 0; t <= tiles; ++t) {
      if (t < tiles) {
        copy<Slot>(slot(inputs_, sent_), in + other.begin + t * tile_, sizeOfTile(other, t));
        flags_[0].raise(++sent_);
        await(theirFlags_[0], ++reduced_);
        const std::size_t at = half.begin + t * tile_;
        sumTwice<Out, Slot>(out + at, slot(results_, reduced_ - 1), in + at,
                            slot(theirInputs_, reduced_ - 1), sizeOfTile(half, t));
        flags_[1].raise(reduced_);
      }
      if (t > 0) {
        await(theirFlags_[1], ++gathered_);
        copy<Out>(out + other.begin + (t - 1) * tile_, slot(theirResults_, gathered_ - 1),
                  sizeOfTile(other, t - 1));
      }
    }
  }

 private:
  template <class T>
  T* slot(T* slots, std::uint64_t step) const {
    return slots + (step & 1) * tile_;
  }
  std::size_t sizeOfTile(Half half, std::size_t t) const {
    const std::size_t at = t * tile_;
    return at >= half.size ? 0 : std::min(tile_, half.size - at);
  }

  Pair& pair_;
  std::size_t tile_;
  float *inputs_, *results_;
  Flag* flags_;  ///< [0] tiles sent, [1] tiles reduced
  const float *theirInputs_, *theirResults_;
  const Flag* theirFlags_;
  std::uint64_t sent_ = 0, reduced_ = 0, gathered_ = 0;
};

constexpr std::size_t KiB = 1024, kAny = ~std::size_t{0};

template <Write Slot, Write Out>
Floor slotTwoShot(const char* kind, std::size_t tile, std::size_t minBytes) {
  return {fmt::format("two-shot slots {}K{}", tile / KiB, kind), Group::ordinary, minBytes, kAny,
          [=](Pair& pair, std::size_t) {
            return std::make_unique<SlotTwoShot<Slot, Out>>(pair, tile / sizeof(float));
          }};
}

template <Back B>
Floor attachTwoShot(const char* kind, std::size_t block) {
  return {fmt::format("two-shot attach {}K, {}", block / KiB, kind), Group::ordinary,
          std::max(block / 8, 16 * KiB), kAny, [=](Pair& pair, std::size_t) {
            return std::make_unique<AttachTwoShot<B>>(pair, block / sizeof(float));
          }};
}

}  // namespace

std::vector<Floor> ordinaryFloors() {
  constexpr Write normal = Write::normal, streaming = Write::streaming;
  std::vector<Floor> floors = eagerFloors(Group::ordinary);
  for (const std::size_t tile : {16 * KiB, 64 * KiB, 128 * KiB, 256 * KiB}) {
    floors.push_back(slotTwoShot<normal, normal>("", tile, tile / 2));
    floors.push_back(slotTwoShot<streaming, normal>(", streaming in", tile, tile / 2));
    floors.push_back(slotTwoShot<streaming, streaming>(", streaming", tile, 1024 * KiB));
  }
  for (const std::size_t block : {64 * KiB, 128 * KiB, 256 * KiB, 512 * KiB}) {
    floors.push_back(attachTwoShot<Back::pushed>("pushed", block));
    floors.push_back(attachTwoShot<Back::fetched>("fetched", block));
  }
  return floors;
}

}  // namespace lockstep::floors
