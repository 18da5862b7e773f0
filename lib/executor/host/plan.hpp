// A schedule made ready for one rank: channels found, offsets countable, keys at hand. Made once
// per shape of call and kept; running it allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/mapping.hpp"
#include "cc_mode/keys/key_ring.hpp"
#include "collectives/registry.hpp"
#include "collectives/schedule.hpp"
#include "executor/host/reduce.hpp"
#include "transport/shm/fabric.hpp"
#include <lockstep/types.hpp>

namespace lockstep::host {

/// Largest piece that is sealed as one record. It and its plaintext must stay in the L1/L2 cache
/// between sealing and copying out; 4 to 16 KiB measured best (bench/floors).
inline constexpr std::size_t kRecordBytes = 16384;
inline constexpr std::size_t kMaxLanes = 4;
inline constexpr int kMaxDepth = static_cast<int>(shm::kSlots);
static_assert(kMaxDepth <= cc::kUnitsInFlight);

/// Records that a message of `bytes` is sealed as; an empty message still has one, so that it
/// cannot be forged.
constexpr std::size_t recordsOf(std::size_t bytes) {
  return bytes == 0 ? 1 : (bytes + kRecordBytes - 1) / kRecordBytes;
}

/// Bytes of plaintext in record number `record` of a message of `bytes`.
constexpr std::size_t sizeOfRecord(std::size_t bytes, std::uint32_t record) {
  const std::size_t left = bytes - std::size_t{record} * kRecordBytes;
  return left < kRecordBytes ? left : kRecordBytes;
}

/// Which plan is wanted. Equal on all ranks except `inPlace`, which changes no message.
struct PlanRequest {
  const schedule::Algorithm* algorithm = nullptr;
  DataType type = DataType::f32;
  Reduction reduction = Reduction::sum;
  Mode mode = Mode::p2p;
  bool inPlace = false;
  int root = 0;
  shm::Protocol protocol = shm::Protocol::simple;  ///< of channels
  std::size_t tileBytes = 0;  ///< of a rank's buffer; whole message for exposure
  int depth = 1;              ///< tiles in flight, at most kMaxDepth
  bool oneNan = false;        ///< see ReduceArguments
};

/// One end of an operation.
struct Term {
  enum class Kind : std::uint8_t { local, remote, message };
  Kind kind = Kind::local;
  schedule::BufferName buffer = schedule::BufferName::in;
  int rank = 0;                ///< remote: whose
  std::uint32_t block = 0;     ///< in, out: of the buffer
  std::uint32_t chunk = 0;     ///< in, out: of the tile's part of that block; scratch: of all of it
  std::uint32_t port = 0;      ///< message: which of Plan::outs (destination) or Plan::ins (source)
  std::uint32_t ordinal = 0;   ///< message: its number in the tile on that port
  schedule::Seal seal;         ///< message
  cc::LiveKey* key = nullptr;  ///< message, sealed
  std::uint32_t keyUse = 0;    ///< message, sealed: which of Plan::keys
  std::uint8_t lane = 0;       ///< message, sealed: of the program of whoever sealed it
};

struct PlanOp {
  schedule::OpKind kind = schedule::OpKind::move;
  bool finish = false;
  /// Chunks of a block that every operand has (scratch is not cut short, so another operand's), and
  /// in how many blocks; more than one where a block is one chunk.
  schedule::Range range;
  std::uint32_t blocks = 1;
  std::uint32_t dst = 0, dsts = 0, src = 0, srcs = 0;  ///< indices into Plan::terms
};

template <class Channel>
struct Port {
  Channel* channel = nullptr;
  std::uint32_t perTile = 0;  ///< messages
};

struct KeyUse {
  cc::LiveKey* key = nullptr;
  std::uint32_t perTile = 0;  ///< sealed messages of the whole group under it (K)
};

struct Plan {
  /// Of a call of `count` elements.
  std::uint64_t tilesOf(std::size_t count) const {
    return exposes || count <= tileElements ? 1 : (count - 1) / tileElements + 1;
  }

  PlanRequest request;
  std::string algorithm;
  std::uint32_t chunks = 1, scratchChunks = 0;
  bool exposes = false;
  bool sealed = false;
  bool eager = false;                         ///< has the shape that run_eager.cpp runs fused
  std::uint32_t sends = 0;                    ///< .. with so many sends before all else
  bool hearsAll = false;                      ///< every rank gets a message from each other
  std::array<std::uint32_t, 2> blocks{1, 1};  ///< most that a rank's `in` and `out` have
  std::size_t elementBytes = 4;
  std::size_t tileElements = 0;  ///< of a full tile; exposure: unlimited
  std::size_t recordsPerMessage = 1;
  std::size_t scratchBytes = 0;  ///< of one tile in flight; exposure: grows with the message
  int divisor = 1;               ///< at the end of a reduction (avg)
  ReduceFunction reduce = nullptr;
  std::vector<PlanOp> ops;
  std::vector<std::array<std::uint32_t, 2>> lanes;  ///< [first, last) op
  std::vector<Term> terms;
  std::vector<Port<shm::OutChannel>> outs;
  std::vector<Port<shm::InChannel>> ins;
  std::vector<KeyUse> keys;
  /// Sealed modes: binds records to this plan (plan_digest.hpp).
  std::array<std::byte, 16> digest{};
};

/// Generates, delivers, seals and lowers. `keys`: of sealed modes, else nullptr.
Plan lower(const PlanRequest& request, shm::Fabric& fabric, cc::KeyRing* keys);

}  // namespace lockstep::host
