// Floors for registered buffers: both ranks' inputs and outputs lie in shared memory, and each rank
// reads and writes the peer's in place.
#include "bench/floors/floors.hpp"
#include "bench/floors/kernels.hpp"

namespace lockstep::floors {
namespace {

/// Entry and exit of a zero-copy call: at the entry "my input is complete and my output may be
/// written", at the exit "I no longer touch your memory". One flag serves both, two steps a call.
class Gate {
 public:
  explicit Gate(Pair& pair) : mine_(pair.takeShared<Flag>(1)), theirs_(pair.theirs(mine_)) {}
  void pass() {
    mine_->raise(++step_);
    await(*theirs_, step_);
  }

 private:
  Flag* mine_;
  const Flag* theirs_;
  std::uint64_t step_ = 0;
};

/// Each rank reads both whole inputs and writes its own output.
template <Write W>
class OneShotInPlace : public Loop {
 public:
  explicit OneShotInPlace(Pair& pair) : pair_(pair), gate_(pair) {}
  void run(const float* in, float* out, std::size_t count) override {
    gate_.pass();
    sum<W>(out, in, pair_.theirs(in), count);
    gate_.pass();
  }

 private:
  Pair& pair_;
  Gate gate_;
};

/// Each rank reduces its half of both inputs into both outputs.
template <Write Mine, Write Theirs>
class TwoShotInPlace : public Loop {
 public:
  explicit TwoShotInPlace(Pair& pair) : pair_(pair), gate_(pair) {}
  void run(const float* in, float* out, std::size_t count) override {
    constexpr std::size_t kPerLine = kCacheLine / sizeof(float);
    const std::size_t middle = std::min(roundUp(count / 2, kPerLine), count);
    const std::size_t at = pair_.rank() == 0 ? 0 : middle;
    const std::size_t half = pair_.rank() == 0 ? middle : count - middle;
    gate_.pass();
    sumTwice<Mine, Theirs>(out + at, pair_.theirs(out) + at, in + at, pair_.theirs(in) + at, half);
    gate_.pass();
  }

 private:
  Pair& pair_;
  Gate gate_;
};

template <class L>
Floor inPlace(const char* name, std::size_t minBytes) {
  return {name, Group::registered, minBytes, ~std::size_t{0},
          [](Pair& pair, std::size_t) { return std::make_unique<L>(pair); }};
}

}  // namespace

std::vector<Floor> registeredFloors() {
  constexpr std::size_t KiB = 1024;
  constexpr Write normal = Write::normal, streaming = Write::streaming;
  std::vector<Floor> floors = eagerFloors(Group::registered);
  floors.push_back(inPlace<OneShotInPlace<normal>>("one-shot zero copy", 1 * KiB));
  floors.push_back(inPlace<OneShotInPlace<streaming>>("one-shot zero copy, streaming", 512 * KiB));
  floors.push_back(inPlace<TwoShotInPlace<normal, normal>>("two-shot zero copy", 1 * KiB));
  floors.push_back(
      inPlace<TwoShotInPlace<streaming, streaming>>("two-shot zero copy, streaming", 512 * KiB));
  return floors;
}

}  // namespace lockstep::floors
