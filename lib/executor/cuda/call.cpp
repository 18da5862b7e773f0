#include "executor/cuda/call.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "cc_mode/digest.hpp"

namespace lockstep::cuda {
namespace {

constexpr std::size_t kChunkLine =
    64;  ///< chunks are multiples of it, as schedule::elementsOf cuts
/// Less than this in a block is not worth another block.
constexpr std::size_t kLeastTileBytes = 2048;

std::size_t divideUp(std::size_t n, std::size_t by) {
  return n / by + (n % by != 0 ? 1 : 0);
}

std::size_t roundUp(std::size_t n, std::size_t to) {
  return divideUp(n, to) * to;
}

/// Bytes of a chunk so that messages and scratch fit; no chunk has more.
std::size_t mostChunkBytes(const Kernel& kernel, Protocol protocol,
                           const device::Geometry& geometry, std::size_t scratchBytes) {
  std::size_t most = std::numeric_limits<std::uint32_t>::max();
  if (!kernel.exposes) most = protocol == Protocol::ll ? geometry.llBytes : geometry.slotBytes;
  if (kernel.messageChunks != 0) most /= std::size_t{kernel.messageChunks} * kernel.messageBlocks;
  const std::size_t staged = std::size_t{kernel.staged} * geometry.slotBytes;
  if (staged > scratchBytes) return 0;
  if (kernel.scratchChunks != 0)
    most = std::min(most, (scratchBytes - staged) / kernel.scratchChunks);
  return most / kChunkLine * kChunkLine;
}

}  // namespace

std::string toString(const Described& call) {
  const Contract& contract = contractOf(call.collective);
  std::string text(name(call.collective));
  if (!contract.hasData) return text;
  text += fmt::format(" (count {}, {}", call.count, name(call.type));
  if (contract.reduces) text += fmt::format(" {}", name(call.reduction));
  if (contract.rooted) text += fmt::format(", root {}", call.root);
  return text + ")";
}

std::uint64_t pack(const Described& call) {
  return 1 | static_cast<std::uint64_t>(call.collective) << 8 |
         static_cast<std::uint64_t>(call.type) << 16 |
         static_cast<std::uint64_t>(call.reduction) << 24 |
         static_cast<std::uint64_t>(call.root) << 32;
}

std::optional<Described> unpack(std::uint64_t what, std::uint64_t count) {
  const auto byte = [&](int shift) { return static_cast<std::size_t>(what >> shift & 0xff); };
  const std::uint64_t root = (what & ~kReadInPlace) >> 32;
  if (byte(0) != 1 || byte(8) >= kCollectives || byte(16) >= kDataTypes ||
      byte(24) >= kReductions || root >= static_cast<std::uint64_t>(schedule::kMaxWorld))
    return std::nullopt;
  return Described{static_cast<Collective>(byte(8)), static_cast<DataType>(byte(16)),
                   static_cast<Reduction>(byte(24)), static_cast<int>(root), count};
}

std::string buffersOf(std::uint64_t what) {
  return (what & kReadInPlace) != 0 ? " in buffers of alloc, read in place" : "";
}

std::uint64_t packFactor(DataType type, double factor) {
  switch (type) {
    case DataType::f64:
      return std::bit_cast<std::uint64_t>(factor);
    case DataType::u64:
      return static_cast<std::uint64_t>(factor);
    case DataType::i8:
    case DataType::u8:
    case DataType::i32:
    case DataType::u32:
    case DataType::i64:
      return static_cast<std::uint64_t>(static_cast<std::int64_t>(factor));
    default:
      return std::bit_cast<std::uint32_t>(static_cast<float>(factor));
  }
}

std::size_t scratchBytesFor(const device::Geometry& geometry, bool sealed) {
  // Bruck's all-to-all holds up to 2 P chunks of one block each, and sends P / 2 of them at once;
  // sealed, an operation stages a message of every rank and its result.
  const std::size_t chunks = std::size_t{geometry.slotBytes} * 4;
  return chunks + (sealed ? (geometry.world + std::size_t{1}) * geometry.slotBytes : 0);
}

Cut cut(const Kernel& kernel, Protocol protocol, const device::Geometry& geometry,
        std::size_t scratchBytes, const Described& call, std::size_t row) {
  const Contract& contract = contractOf(call.collective);
  Cut result;
  if (!contract.hasData) return result;
  const std::size_t element = kernel.elementBytes;
  result.count = contract.reduces ? call.count : call.count * sizeOf(call.type);
  // A tile's chunks begin at lines, so it is whole lines for each.
  const std::size_t line = kernel.chunks * std::max<std::size_t>(1, kChunkLine / element);
  const std::size_t even = divideUp(result.count, geometry.lanes);
  const std::size_t wanted = roundUp(std::max(even, kLeastTileBytes / element), line);
  const std::size_t chunk = mostChunkBytes(kernel, protocol, geometry, scratchBytes);
  if (chunk == 0)
    fail(ErrorCode::unsupported, "{} does not fit channels of {} bytes in a world of {}",
         kernel.name, geometry.slotBytes, geometry.world);
  const std::size_t most = chunk / element * kernel.chunks;
  result.tileElements = std::min(wanted, most);
  if (row > 1) {
    if (most < row)
      fail(ErrorCode::unsupported, "a row of {} elements does not fit a tile of {} ({})", row, most,
           kernel.name);
    result.tileElements = std::min(divideUp(wanted, row), most / row) * row;
  }
  const std::size_t tiles = divideUp(result.count, result.tileElements);
  result.blocks = static_cast<unsigned>(std::clamp<std::size_t>(tiles, 1, geometry.lanes));
  return result;
}

std::string planText(const Described& call, const Kernel& kernel, const Cut& cut) {
  // In place is each rank's own affair: the kernels differ in name, but not in messages.
  constexpr std::string_view kMark = "_in_place";
  std::string shape = kernel.name;
  if (const std::size_t at = shape.find(kMark); at != std::string::npos)
    shape.erase(at, kMark.size());
  return fmt::format("lockstep call 1|{}|{}|{}|{}|{}|{}", shape, pack(call), call.count, cut.count,
                     cut.tileElements, cut.blocks);
}

std::uint64_t fingerprint(const Described& call, const Kernel& kernel, const Cut& cut) {
  const auto digest = cc::digest16(planText(call, kernel, cut));
  std::uint64_t words[2];
  std::memcpy(words, digest.data(), sizeof words);
  return words[0];
}

}  // namespace lockstep::cuda
