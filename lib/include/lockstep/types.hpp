// The vocabulary of the library: element types, reductions and modes, with their names.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#define LOCKSTEP_API __attribute__((visibility("default")))

namespace lockstep {

/// Type of one element of a buffer. f8e4m3 and f8e5m2 are the 8-bit floats of the Open Compute
/// Project (OFP8, revision 1.0): E4M3 ends at 448 and has NaN but no infinity, E5M2 ends at 57344.
/// The result of a reduction that is too large for them, infinite or not, becomes the largest
/// finite value of its sign, as CUDA's conversions of __NV_SATFINITE make it; a NaN stays one. So
/// an infinity of E5M2 counts as what it is where it is read, but comes out as 57344.
enum class DataType : std::uint8_t {
  f16,
  bf16,
  f32,
  f64,
  i8,
  u8,
  i32,
  u32,
  i64,
  u64,
  f8e4m3,
  f8e5m2
};
inline constexpr std::size_t kDataTypes = 12;

/// How elements of different ranks become one. `avg` is the sum divided by the world size: for
/// floats before the final rounding, for integers truncated towards zero. Integer sums and products
/// wrap modulo 2^bits. Float min and max return the other operand for a NaN, and take -0 as less
/// than +0, so that order does not matter. `preMulSum` is the sum of what each rank gives times a
/// factor of its own (PremultipliedSum; 1 where none is given).
enum class Reduction : std::uint8_t { sum, prod, min, max, avg, preMulSum };
inline constexpr std::size_t kReductions = 6;

/// Reduction::preMulSum, with the factor of the rank that calls; ranks may give different ones.
/// Each product is computed in f32 (of f64 in f64), to which the factor is rounded, and rounded to
/// the type once; then the products are summed as `sum` does. Integers take a whole factor that the
/// type holds, and their products wrap.
struct PremultipliedSum {
  double factor = 1.0;
};

/// How data crosses between ranks: delivery (unicast or multicast) times protection (clear or
/// sealed). `ccMasked` is `cc`, but for the sums of all-reduce: there words cross under pads that
/// whoever adds them up cannot read through (cc_mode/masked/README.md). Sums and averages of
/// integers are those of other modes; of f16, bf16, f32 and f64 they are made in fixed point, at
/// most P * P * 2^-61 times the largest magnitude of any rank's 512 elements around from the exact
/// one (P ranks), and rounded once to the type; a sum that is zero is +0. What has a NaN or an
/// infinity goes as in `cc`, and so do f8, other reductions, and floats with Options::reproducible.
enum class Mode : std::uint8_t { p2p, multicast, cc, ccMulticast, ccMasked };
inline constexpr std::size_t kModes = 5;

/// What a call asks for.
enum class Collective : std::uint8_t {
  allReduce,
  barrier,
  allGather,
  reduceScatter,
  allToAll,
  broadcast,
  reduce,
  gather,
  scatter
};
inline constexpr std::size_t kCollectives = 9;

/// What a collective promises. A buffer consists of blocks of `count` elements, one or one per
/// rank: block b of `out` comes from rank b, block b of `in` goes to rank b.
struct Contract {
  bool hasData = true;      ///< a barrier has none
  bool reduces = false;     ///< what comes from several ranks becomes one by a Reduction
  bool rooted = false;      ///< one rank, the root, gives or gets
  bool inPerRank = false;   ///< `in` has a block per rank
  bool outPerRank = false;  ///< `out` has
  bool inAtRoot = false;    ///< only the root has an `in`
  bool outAtRoot = false;   ///< only the root has an `out`
};

/// Payload is encrypted wherever it leaves a rank's memory.
constexpr bool isSealed(Mode m) {
  return m == Mode::cc || m == Mode::ccMulticast || m == Mode::ccMasked;
}
/// A message is written (or sealed) once for all its readers.
constexpr bool isMulticast(Mode m) {
  return m == Mode::multicast || m == Mode::ccMulticast;
}

namespace detail {
inline constexpr std::array<std::uint8_t, kDataTypes> kDataTypeBytes{2, 2, 4, 8, 1, 1,
                                                                     4, 4, 8, 8, 1, 1};
}

/// Bytes of one element.
constexpr std::size_t sizeOf(DataType t) {
  return detail::kDataTypeBytes[static_cast<std::size_t>(t)];
}

namespace detail {
inline constexpr std::array<std::string_view, kDataTypes> kDataTypeNames{
    "f16", "bf16", "f32", "f64", "i8", "u8", "i32", "u32", "i64", "u64", "f8e4m3", "f8e5m2"};
inline constexpr std::array<std::string_view, kReductions> kReductionNames{
    "sum", "prod", "min", "max", "avg", "premulsum"};
inline constexpr std::array<std::string_view, kModes> kModeNames{"p2p", "multicast", "cc",
                                                                 "cc-multicast", "cc-masked"};
inline constexpr std::array<std::string_view, kCollectives> kCollectiveNames{
    "allreduce", "barrier", "allgather", "reducescatter", "alltoall",
    "broadcast", "reduce",  "gather",    "scatter"};
inline constexpr std::array<Contract, kCollectives> kContracts{{
    {.reduces = true},
    {.hasData = false},
    {.outPerRank = true},
    {.reduces = true, .inPerRank = true},
    {.inPerRank = true, .outPerRank = true},
    {.rooted = true, .inAtRoot = true},
    {.reduces = true, .rooted = true, .outAtRoot = true},
    {.rooted = true, .outPerRank = true, .outAtRoot = true},
    {.rooted = true, .inPerRank = true, .inAtRoot = true},
}};

template <class Enum, std::size_t N>
constexpr std::optional<Enum> parseName(const std::array<std::string_view, N>& names,
                                        std::string_view text) {
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == text) return static_cast<Enum>(i);
  return std::nullopt;
}
}  // namespace detail

constexpr const Contract& contractOf(Collective c) {
  return detail::kContracts[static_cast<std::size_t>(c)];
}

/// Names as ccbench and error texts have them: "bf16", "sum", "cc-multicast", "allreduce".
constexpr std::string_view name(DataType t) {
  return detail::kDataTypeNames[static_cast<std::size_t>(t)];
}
constexpr std::string_view name(Reduction r) {
  return detail::kReductionNames[static_cast<std::size_t>(r)];
}
constexpr std::string_view name(Mode m) {
  return detail::kModeNames[static_cast<std::size_t>(m)];
}
constexpr std::string_view name(Collective c) {
  return detail::kCollectiveNames[static_cast<std::size_t>(c)];
}

/// The value with that name, exactly as name() spells it; nothing for any other text.
constexpr std::optional<DataType> parseDataType(std::string_view s) {
  return detail::parseName<DataType>(detail::kDataTypeNames, s);
}
constexpr std::optional<Reduction> parseReduction(std::string_view s) {
  return detail::parseName<Reduction>(detail::kReductionNames, s);
}
constexpr std::optional<Mode> parseMode(std::string_view s) {
  return detail::parseName<Mode>(detail::kModeNames, s);
}
constexpr std::optional<Collective> parseCollective(std::string_view s) {
  return detail::parseName<Collective>(detail::kCollectiveNames, s);
}

}  // namespace lockstep
