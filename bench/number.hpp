// Elements as numbers: a plain, slow, independent reference of the arithmetic that results are
// checked against.
#pragma once

#include <cstdint>
#include <string>

#include <lockstep/types.hpp>

namespace lockstep::bench {

enum class Kind : std::uint8_t { floating, signedInteger, unsignedInteger };
Kind kindOf(DataType type);
/// A mask of as many low bits as the type has.
std::uint64_t lowBits(DataType type);
/// Bits of a float's significand, the hidden one included (IEEE 754 table 3.5; bf16: 8; the
/// Open Compute Project's OFP8: 4 and 3).
int mantissaBits(DataType type);

/// An element: floats in `real`, integers in `whole` (sign-extended; arithmetic modulo 2^64).
struct Number {
  double real = 0;
  std::uint64_t whole = 0;
};

Number decode(DataType type, std::uint64_t bits);
/// The bits of a float type nearest to `value`, ties to even. Floats of 16 and 8 bits round by way
/// of f32, as the library does.
std::uint64_t encode(DataType type, double value);
/// What is to be summed of an element, in a premultiplied sum. Exact, as `combine`.
Number multiply(Number n, double factor);
/// One step of a reduction. Floats in double: the patterns keep every step exact.
Number combine(DataType type, Reduction reduction, Number a, Number b);
/// The element's bits: avg divides, as lockstep::Reduction says.
std::uint64_t finish(DataType type, Reduction reduction, int worldSize, Number value);

std::string formatNumber(DataType type, std::uint64_t bits);

}  // namespace lockstep::bench
