// A collective as data: for every rank, lanes of operations on one tile. README.md beside this file
// says how it relates to the specification and what follows from it.
//
// There is one operation on data, `move`: it takes what its sources hold, reduces it in the order
// they are written, and puts the result into every destination. A source or destination is memory
// (mine, or a peer's that is exposed to me) or a channel. So send, recv, recvReduce, cast, copy,
// reduce and writeRemote are shapes of one thing; the printer names them, executors and proofs
// handle one case. `forward` passes a message on as it arrived (sealed ones stay sealed).
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <lockstep/types.hpp>

namespace lockstep::schedule {

inline constexpr int kMaxWorld = 64;
inline constexpr int kSelf = -1;      ///< Ref::rank of my own memory
inline constexpr int kEveryone = -1;  ///< Channel::reader of a channel that all other ranks read

enum class BufferName : std::uint8_t { in, out, scratch };

/// `chunks` consecutive chunks of a buffer, from `chunk` on. A tile takes the same part of every
/// block (see Contract) and cuts it into Schedule::chunks: chunk c of block b has number
/// b * Schedule::chunks + c. A range lies within one block; where a block is one chunk, messages
/// and scratch may have several.
struct Range {
  std::uint32_t chunk = 0;
  std::uint32_t chunks = 1;
  friend auto operator<=>(const Range&, const Range&) = default;
};

/// A FIFO from `writer` to `reader`, or to every other rank. One exists per ordered pair and one
/// per writer for everyone; all schedules of a communicator share them.
struct Channel {
  int writer = 0;
  int reader = kEveryone;
  friend auto operator<=>(const Channel&, const Channel&) = default;
};

/// Under which key, and at which place of the key's nonces in a tile, a message is sealed.
/// `receiver == kEveryone`: the group key of `sender`. Set by the secure pass only.
struct Seal {
  int sender = -1;  ///< -1: in the clear
  int receiver = kEveryone;
  std::uint32_t index = 0;
  explicit operator bool() const { return sender >= 0; }
  friend auto operator<=>(const Seal&, const Seal&) = default;
};

/// One end of an operation.
struct Operand {
  enum class Kind : std::uint8_t { memory, channel };
  Kind kind = Kind::memory;
  BufferName buffer = BufferName::in;  ///< memory
  int rank = kSelf;  ///< memory: whose (kSelf, or a rank whose memory is exposed to me)
  Channel channel;   ///< channel
  Range range;       ///< memory: which chunks; channel: which chunks the message carries
  Seal seal;         ///< channel: how the message is sealed
  friend bool operator==(const Operand&, const Operand&) = default;
};

enum class OpKind : std::uint8_t {
  move,     ///< dst.. <- reduction of src.. in the order given
  forward,  ///< src is one channel; dst are channels (get the message unread) and own memory (gets
            ///< its content)
  expose,   ///< peers may read my `in` and `out`, and write my `out`, from here on
  acquire,  ///< wait until every other rank has exposed
  release,  ///< I shall not touch peers' memory again
  close,    ///< wait until every other rank has released; what they wrote is visible after it
};

struct Op {
  OpKind kind = OpKind::move;
  /// This move completes the reduction of its elements: `avg` divides here, before the rounding.
  bool finish = false;
  std::vector<Operand> dst;
  std::vector<Operand> src;
  friend bool operator==(const Op&, const Op&) = default;
};

using Lane = std::vector<Op>;

/// What one rank does. Lanes run concurrently.
struct Program {
  std::vector<Lane> lanes;
  friend bool operator==(const Program&, const Program&) = default;
};

/// Everything a generator needs to know.
struct Shape {
  int worldSize = 1;
  bool inPlace = false;
  bool multicast =
      false;     ///< a sender may write once for all (channels to everyone; results read in place)
  int root = 0;  ///< of collectives that have one
  friend bool operator==(const Shape&, const Shape&) = default;
};

/// A whole schedule, materialised for all ranks.
struct Schedule {
  std::string name;  ///< "ring"
  Collective collective = Collective::allReduce;
  Shape shape;
  std::uint32_t chunks = 1;         ///< a tile's part of a block is cut into so many
  std::uint32_t scratchChunks = 0;  ///< scratch of a rank, in chunks, per tile in flight
  bool exposes = false;             ///< uses exposure edges: one tile is the whole message
  std::vector<Program> programs;    ///< by rank
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// ---- how a generator writes operations ----

inline Operand memory(BufferName buffer, int rank, Range range) {
  Operand operand;
  operand.buffer = buffer;
  operand.rank = rank;
  operand.range = range;
  return operand;
}
inline Operand in(Range r) {
  return memory(BufferName::in, kSelf, r);
}
inline Operand out(Range r) {
  return memory(BufferName::out, kSelf, r);
}
inline Operand scratch(Range r) {
  return memory(BufferName::scratch, kSelf, r);
}
inline Operand remoteIn(int rank, Range r) {
  return memory(BufferName::in, rank, r);
}
inline Operand remoteOut(int rank, Range r) {
  return memory(BufferName::out, rank, r);
}
inline Operand via(Channel channel, Range range) {
  Operand operand;
  operand.kind = Operand::Kind::channel;
  operand.channel = channel;
  operand.range = range;
  return operand;
}

inline Op move(std::vector<Operand> dst, std::vector<Operand> src, bool finish = false) {
  return {.kind = OpKind::move, .finish = finish, .dst = std::move(dst), .src = std::move(src)};
}
inline Op forward(std::vector<Operand> dst, Operand src) {
  return {.kind = OpKind::forward, .finish = false, .dst = std::move(dst), .src = {src}};
}
inline Op sync(OpKind kind) {
  return {.kind = kind, .finish = false, .dst = {}, .src = {}};
}

// ---- what buffers there are ----

/// Blocks of `in` or `out`; 0 where `rank` has no such buffer.
std::uint32_t blocksOf(const Schedule& schedule, BufferName buffer, int rank);

/// A chunk of a rank's memory under one name. In place, `in` and `out` share memory: all of it, or,
/// where one has a single block and the other one per rank, that block with the rank's own.
struct Cell {
  BufferName buffer = BufferName::in;
  std::uint32_t chunk = 0;
  friend auto operator<=>(const Cell&, const Cell&) = default;
};
Cell cellOf(const Schedule& schedule, int rank, BufferName buffer, std::uint32_t chunk);

// ---- where a chunk lies ----

/// Elements [begin, end) of a tile.
struct Span {
  std::size_t begin = 0, end = 0;
  std::size_t size() const { return end - begin; }
};

/// The part of a tile of `elements` elements that `range` names when it is cut into `chunks`. All
/// chunks but the last ones have the same size, a multiple of a cache line, so the last may be
/// short or empty.
Span elementsOf(Range range, std::uint32_t chunks, std::size_t elements, std::size_t elementBytes);

// ---- passes ----

/// Replaces each channel to everyone by one channel per reader: delivery without multicast.
Schedule deliverUnicast(Schedule schedule);

// ---- for people ----

std::string toString(const Operand& operand);
/// "recvReduce out[2] <- in[2] + 1>0[2]"
std::string toString(const Op& op);
/// Every rank's lanes, an operation a line. `rank` < 0: all.
std::string toString(const Schedule& schedule, int rank = -1);

}  // namespace lockstep::schedule
