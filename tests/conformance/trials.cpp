#include "conformance/trials.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include <fmt/format.h>

#include "base/mapping.hpp"
#include "conformance/guards.hpp"
#include "support/reference.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

double largest(DataType type) {
  switch (type) {
    case DataType::f16:
      return 65504;
    case DataType::bf16:
    case DataType::f32:
      return 0x1p127;
    case DataType::f8e4m3:
      return 448;
    case DataType::f8e5m2:
      return 57344;
    default:
      return 0x1p1023;
  }
}

using Elements = std::vector<std::byte>;

/// A whole number of at most 3, so small that sums over all ranks are exact, of products with
/// exactFactor as well. If not even 1 is, only as many ranks as the type can add up have it.
int exactValue(DataType type, int worldSize, int rank, std::size_t i, std::uint64_t random) {
  const int limit = static_cast<int>(std::min(1 / unitRoundoff(type), 1e6));
  const int most = std::min(limit / worldSize, 3);
  if (most != 0) return static_cast<int>(random % (2 * static_cast<unsigned>(most) + 1)) - most;
  if ((rank + static_cast<int>(i % 64)) % worldSize >= limit) return 0;
  return random % 2 == 0 ? 1 : -1;
}

/// Floats whose sums are small integers, and whose products are signs times one rank's power of
/// two.
Elements exactFloats(DataType type, Reduction reduction, std::size_t count, int worldSize, int rank,
                     std::uint64_t seed) {
  std::mt19937_64 random(seed * 64 + static_cast<std::uint64_t>(rank));
  Elements bytes(count * sizeOf(type));
  for (std::size_t i = 0; i < count; ++i) {
    double value = exactValue(type, worldSize, rank, i, random());
    if (reduction == Reduction::prod)
      value = (random() % 2 == 0 ? 1.0 : -1.0) * (rank == 0 ? std::ldexp(1, int(i % 9) - 4) : 1);
    storeElement(type, value, bytes.data() + i * sizeOf(type));
  }
  return bytes;
}

double exactFactor(int rank) {
  return rank % 2 == 0 ? 0.5 : -0.5;
}

/// What is reduced: of premultiplied sums, the products.
std::vector<Elements> termsOf(const Trial& trial) {
  std::vector<Elements> terms = trial.inputs;
  for (std::size_t rank = 0; rank < trial.factors.size(); ++rank)
    scaleExactly(trial.type, trial.factors[rank], terms[rank].data(), trial.count,
                 terms[rank].data());
  return terms;
}

Trial makeTrial(int worldSize, std::size_t count, DataType type, Reduction reduction,
                std::uint64_t number) {
  Trial trial;
  trial.count = count;
  trial.type = type;
  trial.reduction = reduction;
  trial.inPlace = static_cast<Placement>(number % 3);
  trial.registered = static_cast<Placement>(number / 3 % 3);
  trial.registeredOut = number % 7 != 6;
  trial.misalignment = std::array<std::size_t, 4>{0, sizeOf(type), 1, 24}[number % 4];
  const bool ordered = isFloat(type) && reduction != Reduction::min && reduction != Reduction::max;
  trial.exact = !ordered || number % 2 == 0;
  for (int rank = 0; rank < worldSize; ++rank) {
    const bool exact = ordered && trial.exact;
    trial.inputs.push_back(
        exact ? exactFloats(type, reduction, count, worldSize, rank, number)
              : randomElements(type, count, number * 64 + static_cast<std::uint64_t>(rank)));
    if (reduction == Reduction::preMulSum)
      trial.factors.push_back(exact ? exactFactor(rank) : someFactor(type, rank));
  }
  const std::vector<Elements> terms = termsOf(trial);
  std::vector<const void*> sources;
  for (const Elements& term : terms) sources.push_back(term.data());
  const int divisor = reduction == Reduction::avg ? worldSize : 1;
  trial.expected.resize(trial.bytes());
  foldExactly(type, reduction, sources, count, divisor, trial.expected.data());
  if (trial.exact) return trial;
  trial.near.resize(trial.bytes());
  foldInDouble(type, reduction, sources, count, divisor, trial.near.data());
  trial.tolerance = orderTolerances(type, reduction, sources, count, trial.near.data());
  return trial;
}

bool choose(Placement placement, int rank) {
  return placement == Placement::yes || (placement == Placement::byRank && rank % 2 == 0);
}

std::string hex(const std::byte* bytes, std::size_t n) {
  std::string text;
  for (std::size_t i = n; i-- > 0;)
    text += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[i]));
  return text;
}

}  // namespace

/// P - 1 roundings of at most u each, of partial results no larger than the sum of magnitudes
/// (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2), and as much again for the
/// reference's own.
std::vector<double> orderTolerances(DataType type, Reduction reduction,
                                    const std::vector<const void*>& sources, std::size_t count,
                                    const void* near) {
  const auto world = static_cast<double>(sources.size());
  const double u = unitRoundoff(type);
  std::vector<double> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    double scale = 0;
    if (reduction == Reduction::prod) {
      scale = std::fabs(elementAsDouble(type, near, i));
      if (scale > largest(type) / 4096 || scale < 4096 / largest(type)) scale = HUGE_VAL;
    } else {
      for (const void* source : sources) scale += std::fabs(elementAsDouble(type, source, i));
      if (reduction == Reduction::avg) scale /= world;
    }
    result[i] = 2 * (world + 1) * u * scale;
  }
  return result;
}

std::string Trial::name() const {
  constexpr std::string_view placements[] = {"no", "yes", "by rank"};
  return fmt::format("allreduce of {} {}, {}, in place: {}, registered: {}{}, misaligned by {}, {}",
                     count, lockstep::name(type), lockstep::name(reduction),
                     placements[static_cast<int>(inPlace)],
                     placements[static_cast<int>(registered)], registeredOut ? "" : " (in only)",
                     misalignment, exact ? "exact values" : "random values");
}

std::vector<Trial> makeTrials(int worldSize, const std::vector<std::size_t>& small,
                              const std::vector<std::size_t>& large) {
  std::vector<Trial> trials;
  std::uint64_t number = 0;
  for (std::size_t reduction = 0; reduction < kReductions; ++reduction)
    for (std::size_t type = 0; type < kDataTypes; ++type, ++number)
      trials.push_back(makeTrial(worldSize, small[number % small.size()],
                                 static_cast<DataType>(type), static_cast<Reduction>(reduction),
                                 number));
  // Every count, should there be more of them.
  for (; number < small.size(); ++number)
    trials.push_back(makeTrial(worldSize, small[number], DataType::f32, Reduction::sum, number));
  for (const std::size_t count : large) {
    trials.push_back(makeTrial(worldSize, count, static_cast<DataType>(number * 3 % kDataTypes),
                               static_cast<Reduction>(number % kReductions), number));
    ++number;
  }
  return trials;
}

TrialRunner::TrialRunner(Communicator& communicator, bool rankOrder, std::size_t mostBytes)
    : communicator_(communicator),
      rankOrder_(rankOrder),
      half_(roundUp(mostBytes + 2 * kGuard + 2 * kCacheLine, kCacheLine)) {
  registered_ = communicator_.alloc(2 * half_);
  ordinary_.resize(2 * half_ + kCacheLine);
}

void TrialRunner::run(const Trial& trial) {
  const int rank = communicator_.rank();
  const std::size_t bytes = trial.bytes();
  const bool inPlace = choose(trial.inPlace, rank);
  // By rank: other ranks than those in place.
  const bool registered =
      trial.registered == Placement::byRank ? rank % 3 == 0 : choose(trial.registered, rank);
  const auto misaddress = reinterpret_cast<std::uintptr_t>(ordinary_.data()) % kCacheLine;
  std::byte* ordinary = ordinary_.data() + (misaddress == 0 ? 0 : kCacheLine - misaddress);
  auto* shared = static_cast<std::byte*>(registered_.data());
  const std::size_t begin = kGuard + trial.misalignment;
  std::byte* in = (registered ? shared : ordinary) + begin;
  std::byte* out =
      inPlace ? in : (registered && trial.registeredOut ? shared : ordinary) + half_ + begin;

  // Both twice: the same call must give the same bits.
  std::vector<std::byte> first;
  for (const bool again : {false, true}) {
    const std::vector<std::byte>& input = trial.inputs[static_cast<std::size_t>(rank)];
    std::copy_n(input.data(), bytes, in);
    guardAround(in, bytes);
    if (!inPlace) {
      std::fill_n(out, bytes, std::byte{0x5c});
      guardAround(out, bytes);
    }
    allReduce(trial, in, out);
    checkGuards(in, bytes, "in");
    checkGuards(out, bytes, "out");
    require(inPlace || std::equal(input.begin(), input.end(), in), "in was changed");
    check(trial, out);
    if (trial.exact || rankOrder_) return;
    if (again) {
      require(std::equal(first.begin(), first.end(), out), "the same call gave other bits");
      return;
    }
    first.assign(out, out + bytes);
    checkAgreement(out, bytes);
  }
}

void TrialRunner::allReduce(const Trial& trial, const std::byte* in, std::byte* out) {
  if (trial.factors.empty())
    return communicator_.allReduce(in, out, trial.count, trial.type, trial.reduction);
  const double factor = trial.factors[static_cast<std::size_t>(communicator_.rank())];
  communicator_.allReduce(in, out, trial.count, trial.type, PremultipliedSum{factor});
}

void TrialRunner::check(const Trial& trial, const std::byte* out) const {
  const std::size_t size = sizeOf(trial.type);
  if (trial.exact || rankOrder_) {
    const auto wrong = firstDifference(trial.type, out, trial.expected.data(), trial.count);
    require(!wrong, wrong ? fmt::format("element {}: expected {}, got {}", *wrong,
                                        hex(trial.expected.data() + *wrong * size, size),
                                        hex(out + *wrong * size, size))
                          : "");
    return;
  }
  for (std::size_t i = 0; i < trial.count; ++i) {
    const double want = elementAsDouble(trial.type, trial.near.data(), i);
    const double got = elementAsDouble(trial.type, out, i);
    require(
        std::isinf(trial.tolerance[i]) || std::fabs(got - want) <= trial.tolerance[i],
        fmt::format("element {}: expected {} within {}, got {}", i, want, trial.tolerance[i], got));
  }
}

/// All ranks have the same bits, whatever order that is: the largest and the smallest of their
/// hashes are equal.
void TrialRunner::checkAgreement(const std::byte* out, std::size_t bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (std::size_t i = 0; i < bytes; ++i)
    hash = (hash ^ std::to_integer<std::uint64_t>(out[i])) * 0x100000001b3;
  std::array<std::uint64_t, 2> least{hash, ~hash};
  communicator_.allReduce(least.data(), least.data(), least.size(), DataType::u64, Reduction::min);
  require(least[0] == ~least[1], "ranks have results of different bits");
}

}  // namespace lockstep::testing
