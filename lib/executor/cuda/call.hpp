// What a kernel is told for one call: how the message is cut into tiles, and over how many blocks.
// Pure, and the same on every rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "executor/cuda/generate.hpp"
#include "executor/cuda/prelude/layout.cuh"
#include <lockstep/types.hpp>

namespace lockstep::cuda {

/// A call as all ranks must make it.
struct Described {
  Collective collective = Collective::allReduce;
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  int root = 0;
  std::uint64_t count = 0;  ///< elements of a block
  friend bool operator==(const Described&, const Described&) = default;
};
/// "allreduce (count 8, f32 sum)"
std::string toString(const Described& call);
/// All but the count, in a word; and back: nothing if no call is packed like that.
std::uint64_t pack(const Described& call);
std::optional<Described> unpack(std::uint64_t what, std::uint64_t count);
/// A mark in such a word, of a call whose buffers are read in place; and in words, if it is there.
inline constexpr std::uint64_t kReadInPlace = std::uint64_t{1} << 40;
std::string buffersOf(std::uint64_t what);

/// A premultiplied sum's factor as a kernel multiplies by it: the bytes of what `type` is computed
/// in, lowest first. `factor` is one that integers of the type take.
std::uint64_t packFactor(DataType type, double factor);

/// Bytes of a lane's private scratch: what every schedule in a world gets by with.
std::size_t scratchBytesFor(const device::Geometry& geometry, bool sealed);

/// How a call is cut.
struct Cut {
  std::uint64_t count = 0;         ///< elements of a block, as the kernel counts
  std::uint64_t tileElements = 1;  ///< of a block
  unsigned blocks = 1;             ///< of each rank
  friend bool operator==(const Cut&, const Cut&) = default;
};
/// Messages fit the channels, scratch fits `scratchBytes`, and there are tiles for all lanes if the
/// message is large enough. Tiles are whole rows of `row` elements, of which `count` is a multiple.
/// Throws unsupported where not one row fits.
Cut cut(const Kernel& kernel, Protocol protocol, const device::Geometry& geometry,
        std::size_t scratchBytes, const Described& call, std::size_t row = 1);

/// All that ranks must agree on of a call: what is called, how it is cut, by which kernel.
std::string planText(const Described& call, const Kernel& kernel, const Cut& cut);
/// Tells calls apart that must not meet: what is called, how it is cut, by which kernel.
std::uint64_t fingerprint(const Described& call, const Kernel& kernel, const Cut& cut);

}  // namespace lockstep::cuda
