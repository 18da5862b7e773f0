// RMSNorm by blocks of many threads: rows that begin and end at 16 bytes or do not, and fewer
// elements than threads; against plain loops.
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "executor/cuda/prelude/lane.cuh"
#include "executor/cuda/prelude/rms_norm.cuh"

namespace lockstep::test {
namespace {

constexpr float kEpsilon = 1e-5F;
constexpr unsigned kRows = 3;

/// What the epilogue asks of a lane.
struct RowsLane {
  device::Call made;
  device::Tile rows;
  bool stopped() const { return false; }
  const device::Call& call() const { return made; }
  const device::Tile& tile() const { return rows; }
};

template <class Type>
class Rows {
 public:
  using Bits = typename Type::Bits;

  /// `shift`: elements from 16 bytes to the first.
  Rows(unsigned hidden, unsigned shift) : hidden_(hidden), shift_(shift) {
    std::mt19937 random(hidden + shift);
    std::uniform_real_distribution<float> values(-2, 2);
    for (auto* all : {&out_, &residual_, &weight_}) {
      all->resize((kRows * hidden_ + shift_) * sizeof(Bits) / sizeof(device::Bits128) + 1);
      for (unsigned i = 0; i < kRows * hidden_; ++i)
        device::storeElement<Bits>(at(*all, i), Type::narrow(values(random)));
    }
  }

  void normalise(unsigned threads) {
    const auto sum = out_, before = residual_;
    RowsLane lane;
    lane.rows.elements = kRows * hidden_;
    lane.made.out = at(out_, 0);
    lane.made.norm = {at(residual_, 0), at(weight_, 0), hidden_, kEpsilon};
    typename device::RmsNorm<Type>::Shared shared;
    device::runBlock(threads, 0, [&] { device::RmsNorm<Type>::run(lane, shared); });
    for (unsigned row = 0; row < kRows; ++row) check(sum, before, row * hidden_);
  }

 private:
  using Memory = std::vector<device::Bits128>;
  device::u8* at(Memory& memory, unsigned i) const {
    return reinterpret_cast<device::u8*>(memory.data()) + (shift_ + i) * sizeof(Bits);
  }
  Bits bitsOf(const Memory& memory, unsigned i) const {
    return device::loadElement<Bits>(at(const_cast<Memory&>(memory), i));
  }
  float valueOf(const Memory& memory, unsigned i) const { return Type::widen(bitsOf(memory, i)); }

  void check(const Memory& sum, const Memory& before, unsigned first) const {
    double squares = 0;
    for (unsigned i = first; i < first + hidden_; ++i) {
      const float x = valueOf(sum, i) + valueOf(before, i);
      squares += double{x} * x;
      ASSERT_EQ(bitsOf(residual_, i), Type::narrow(x)) << "residual " << i;
    }
    const double factor = 1 / std::sqrt(squares / hidden_ + kEpsilon);
    for (unsigned i = 0; i < hidden_; ++i) {
      const double wanted = valueOf(residual_, first + i) * valueOf(weight_, i) * factor;
      ASSERT_NEAR(valueOf(out_, first + i), wanted, std::abs(wanted) / 100 + 1e-6)
          << "element " << first + i;
    }
  }

  unsigned hidden_, shift_;
  Memory out_, residual_, weight_;
};

template <class Type>
void expectRowsOfEveryKind() {
  for (const unsigned threads : {1U, 3U, 16U, 33U, 256U})
    for (const unsigned hidden : {1U, 8U, 96U, 301U, 1024U})
      for (const unsigned shift : {0U, 1U}) {
        SCOPED_TRACE(testing::Message()
                     << threads << " threads, rows of " << hidden << " from element " << shift);
        Rows<Type>(hidden, shift).normalise(threads);
        if (testing::Test::HasFatalFailure()) return;
      }
}

TEST(RmsNormBlocks, NormaliseBf16) {
  expectRowsOfEveryKind<device::BF16>();
}
TEST(RmsNormBlocks, NormaliseF32) {
  expectRowsOfEveryKind<device::F32>();
}

}  // namespace
}  // namespace lockstep::test
