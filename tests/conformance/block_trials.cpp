#include "conformance/block_trials.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/mapping.hpp"
#include "conformance/guards.hpp"
#include "support/reference.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

constexpr std::byte kStaleByte{0x5c};

constexpr std::size_t kPeriod = 11;  ///< elements after which values come again

/// What rank `rank` brings as element `i` of its block `block`: so small that sums are exact in
/// every type and order, up to worlds of 20. Those of 8-bit floats are of at most three ranks then.
int valueOf(const BlockTrial& trial, int rank, int block, std::size_t i) {
  const int n = rank * 5 + block * 3 + static_cast<int>(i % kPeriod);
  if (!isFloat(trial.type) || sizeOf(trial.type) != 1) return n % 13;
  return !contractOf(trial.collective).reduces ? n % 7 : n % 8 == 0 ? 2 : 0;
}

/// 1 on average, so that sums stay small.
int factorOf(int rank) {
  return std::array{2, 0, 1, 1}[static_cast<std::size_t>(rank) % 4];
}

/// Of what all ranks have for block `block`, before it is rounded to the type.
double reduced(const BlockTrial& trial, int world, int block, std::size_t i) {
  double sum = 0, products = 0, least = 13, most = 0;
  for (int rank = 0; rank < world; ++rank) {
    const double value = valueOf(trial, rank, block, i);
    sum += value;
    products += value * factorOf(rank);
    least = std::min(least, value);
    most = std::max(most, value);
  }
  switch (trial.reduction) {
    case Reduction::min:
      return least;
    case Reduction::max:
      return most;
    case Reduction::avg:
      return sum / world;
    case Reduction::preMulSum:
      return products;
    default:
      return sum;
  }
}

/// `blocks` blocks whose elements come again after kPeriod.
template <class Value>
std::vector<std::byte> stored(const BlockTrial& trial, int blocks, Value value) {
  const std::size_t size = sizeOf(trial.type), block = trial.count * size;
  std::vector<std::byte> bytes(static_cast<std::size_t>(blocks) * block);
  for (int b = 0; b < blocks; ++b) {
    std::byte* const at = bytes.data() + static_cast<std::size_t>(b) * block;
    for (std::size_t i = 0; i < std::min(trial.count, kPeriod); ++i)
      storeElement(trial.type, value(b, i), at + i * size);
    for (std::size_t k = kPeriod * size; k < block; ++k) at[k] = at[k - kPeriod * size];
  }
  return bytes;
}

void requireEqual(const std::vector<std::byte>& wanted, const std::byte* got,
                  const BlockTrial& trial, const char* what) {
  const auto wrong = std::mismatch(wanted.begin(), wanted.end(), got).first;
  if (wrong == wanted.end()) return;
  const std::size_t element = static_cast<std::size_t>(wrong - wanted.begin()) / sizeOf(trial.type);
  throw std::runtime_error(fmt::format("{}: block {}, element {} is not {}", what,
                                       element / trial.count, element % trial.count,
                                       elementAsDouble(trial.type, wanted.data(), element)));
}

}  // namespace

std::string BlockTrial::name() const {
  return fmt::format("{} of {} {}, {}, root {}{}{}, misaligned by {}", lockstep::name(collective),
                     count, lockstep::name(type), lockstep::name(reduction), root,
                     inPlace ? ", in place" : "", registered ? ", registered" : "", misalignment);
}

BlockRunner::BlockRunner(Communicator& communicator, std::size_t mostBytes)
    : communicator_(communicator),
      rank_(communicator.rank()),
      world_(communicator.worldSize()),
      room_(roundUp(mostBytes * static_cast<std::size_t>(world_) + 2 * kGuard + kCacheLine,
                    kCacheLine)) {
  registered_ = communicator_.alloc(2 * room_);
  ordinary_.resize(2 * room_ + kCacheLine);
}

std::vector<std::byte> BlockRunner::inputOf(const BlockTrial& trial, int blocks) const {
  return stored(trial, blocks,
                [&](int block, std::size_t i) { return valueOf(trial, rank_, block, i); });
}

std::vector<std::byte> BlockRunner::expectedOf(const BlockTrial& trial, int blocks) const {
  const Contract& contract = contractOf(trial.collective);
  const int home = contract.inPerRank ? rank_ : 0;
  return stored(trial, blocks, [&](int block, std::size_t i) {
    return contract.reduces
               ? reduced(trial, world_, home, i)
               : double(valueOf(trial, contract.outPerRank ? block : trial.root, home, i));
  });
}

void BlockRunner::run(const BlockTrial& trial) {
  const Contract& contract = contractOf(trial.collective);
  if (!contract.hasData) return communicator_.barrier();
  const bool hasIn = !contract.inAtRoot || rank_ == trial.root;
  const bool hasOut = !contract.outAtRoot || rank_ == trial.root;
  const int ins = contract.inPerRank ? world_ : 1, outs = contract.outPerRank ? world_ : 1;
  const std::size_t block = trial.count * sizeOf(trial.type);
  const std::size_t inBytes = hasIn ? static_cast<std::size_t>(ins) * block : 0;
  const std::size_t outBytes = hasOut ? static_cast<std::size_t>(outs) * block : 0;

  const auto misaddress = reinterpret_cast<std::uintptr_t>(ordinary_.data()) % kCacheLine;
  std::byte* ordinary = ordinary_.data() + (misaddress == 0 ? 0 : kCacheLine - misaddress);
  std::byte* memory = trial.registered ? static_cast<std::byte*>(registered_.data()) : ordinary;
  std::byte* const first = memory + kGuard + trial.misalignment;
  std::byte* const second = first + room_;
  // In place, the larger buffer holds the smaller one as this rank's own block.
  const bool inPlace = trial.inPlace && hasIn && hasOut;
  const std::size_t own = static_cast<std::size_t>(rank_) * block;
  std::byte* const in = inPlace && outs > ins ? first + own : first;
  std::byte* const out = !inPlace ? second : ins > outs ? first + own : first;

  const std::vector<std::byte> input = inputOf(trial, hasIn ? ins : 0);
  std::fill_n(first, inPlace ? std::max(inBytes, outBytes) : inBytes, kStaleByte);
  if (!inPlace) std::fill_n(second, outBytes, kStaleByte);
  std::copy(input.begin(), input.end(), in);
  guardAround(first, inPlace ? std::max(inBytes, outBytes) : inBytes);
  if (!inPlace) guardAround(second, outBytes);

  communicator_.run(trial.collective, hasIn ? in : nullptr, hasOut ? out : nullptr, trial.count,
                    trial.type, trial.reduction, trial.root, factorOf(rank_));

  requireEqual(expectedOf(trial, hasOut ? outs : 0), out, trial, "out");
  if (!inPlace) requireEqual(input, in, trial, "in was changed");
  checkGuards(first, inPlace ? std::max(inBytes, outBytes) : inBytes);
  if (!inPlace) checkGuards(second, outBytes);
}

}  // namespace lockstep::testing
