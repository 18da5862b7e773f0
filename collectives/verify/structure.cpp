#include "collectives/verify/structure.hpp"

#include <array>

namespace lockstep::schedule {
namespace {

bool isMemory(const Operand& o) {
  return o.kind == Operand::Kind::memory;
}
bool isChannel(const Operand& o) {
  return o.kind == Operand::Kind::channel;
}
bool isRemote(const Operand& o) {
  return isMemory(o) && o.rank != kSelf;
}
bool isSync(OpKind kind) {
  return kind != OpKind::move && kind != OpKind::forward;
}

/// The operations of one rank, one after the other.
class Checker {
 public:
  Checker(const Schedule& schedule, int rank, Faults& faults)
      : schedule_(schedule), rank_(rank), faults_(faults) {}

  void check(std::size_t lane, std::size_t index, const Op& op) {
    where_ = fmt::format("rank {} lane {} op {} ({})", rank_, lane, index, toString(op));
    arity(op);
    for (const Operand& src : op.src) operand(src, false);
    for (const Operand& dst : op.dst) operand(dst, true);
    sameElements(op);
    overlaps(op);
    if (isSync(op.kind)) ++syncs_[static_cast<std::size_t>(op.kind)];
  }

  /// Expose, acquire, release and close come once each, or not at all. Alone, there is no one to
  /// expose to.
  void finish() {
    if (schedule_.shape.worldSize == 1) return;
    static constexpr std::array kinds{OpKind::expose, OpKind::acquire, OpKind::release,
                                      OpKind::close};
    static constexpr std::array names{"expose", "acquire", "release", "close"};
    const int wanted = schedule_.exposes ? 1 : 0;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      const int found = syncs_[static_cast<std::size_t>(kinds[i])];
      if (found != wanted)
        faults_.add("rank {} has {} {} operations, {} expected: {}", rank_, found, names[i], wanted,
                    schedule_.exposes ? "an exposing program has each once"
                                      : "the schedule does not say that it exposes");
    }
  }

 private:
  void arity(const Op& op) {
    if (isSync(op.kind)) {
      if (!op.src.empty() || !op.dst.empty()) faults_.add("{} takes no operands", where_);
    } else {
      if (op.src.empty()) faults_.add("{} has no source", where_);
      if (op.dst.empty()) faults_.add("{} has no destination", where_);
    }
    if (op.kind == OpKind::forward) {
      if (op.src.size() != 1 || !isChannel(op.src[0]))
        faults_.add("{}: a forward has one source, a channel", where_);
      for (const Operand& dst : op.dst)
        if (isRemote(dst)) faults_.add("{}: a forward writes own memory only", where_);
    }
    if (op.finish && op.kind != OpKind::move)
      faults_.add("{}: only a move can finish a reduction", where_);
  }

  void operand(const Operand& o, bool written) {
    if (isChannel(o))
      channel(o, written);
    else
      memory(o, written);
  }

  void channel(const Operand& o, bool written) {
    const auto [writer, reader] = o.channel;
    if (!validRank(writer) || (reader != kEveryone && !validRank(reader))) {
      faults_.add("{}: channel {}>{} names a rank outside 0..{}", where_, writer, reader,
                  schedule_.shape.worldSize - 1);
      return;
    }
    if (writer == reader) faults_.add("{}: a rank has no channel to itself", where_);
    if (written && writer != rank_)
      faults_.add("{}: writes a channel whose writer is rank {}", where_, writer);
    if (!written && (writer == rank_ || (reader != kEveryone && reader != rank_)))
      faults_.add("{}: reads a channel that it is not a reader of", where_);
    bounds(o, schedule_.chunks * mostBlocks());
  }

  void memory(const Operand& o, bool written) {
    const bool scratch = o.buffer == BufferName::scratch;
    const int owner = o.rank == kSelf ? rank_ : o.rank;
    bounds(o, scratch ? schedule_.scratchChunks
                      : schedule_.chunks * blocksOf(schedule_, o.buffer, owner));
    if (!scratch && !inOneBlock(o.range))
      faults_.add("{}: several blocks of in or out are not one piece of memory", where_);
    if (written && o.buffer == BufferName::in && !schedule_.shape.inPlace)
      faults_.add("{}: writes in, which is the caller's", where_);
    if (o.rank == kSelf) return;
    if (!schedule_.exposes) faults_.add("{}: remote memory without exposure", where_);
    if (!validRank(o.rank) || o.rank == rank_)
      faults_.add("{}: rank {} is no peer of rank {}", where_, o.rank, rank_);
    if (scratch) faults_.add("{}: scratch is not exposed", where_);
  }

  void bounds(const Operand& o, std::uint32_t limit) {
    if (o.range.chunk > limit || o.range.chunks > limit - o.range.chunk)
      faults_.add("{}: chunks {}..{} are out of bounds, {} has {}", where_, o.range.chunk,
                  std::uint64_t{o.range.chunk} + o.range.chunks - 1,
                  isMemory(o) && o.buffer == BufferName::scratch ? "scratch" : "the tile", limit);
  }

  bool inOneBlock(const Range& range) const {
    return schedule_.chunks == 0 ||
           range.chunk % schedule_.chunks + range.chunks <= schedule_.chunks;
  }
  std::uint32_t mostBlocks() const {
    const Contract& contract = contractOf(schedule_.collective);
    return contract.inPerRank || contract.outPerRank
               ? static_cast<std::uint32_t>(schedule_.shape.worldSize)
               : 1;
  }

  /// A reduction is elementwise, and chunks of a block differ in size (the last ones are short), so
  /// all operands but scratch name the same chunks of their blocks.
  void sameElements(const Op& op) {
    const Operand* first = nullptr;
    const auto compare = [&](const Operand& o) {
      if (o.range.chunks != (op.src.empty() ? o : op.src[0]).range.chunks)
        faults_.add("{}: operands of different numbers of chunks", where_);
      if (isMemory(o) && o.buffer == BufferName::scratch) return;
      if (!inOneBlock(o.range) && schedule_.chunks > 1)
        faults_.add("{}: chunks of several blocks, which differ in size", where_);
      if (first && schedule_.chunks != 0 &&
          first->range.chunk % schedule_.chunks != o.range.chunk % schedule_.chunks)
        faults_.add("{}: operands name different chunks", where_);
      if (!first) first = &o;
    };
    for (const Operand& o : op.src) compare(o);
    for (const Operand& o : op.dst) compare(o);
    if (!first && !op.src.empty() && schedule_.chunks > 1)
      faults_.add("{}: nothing but scratch, so nothing says how many elements its chunks have",
                  where_);
  }

  /// Within an operation there is no order: what overlaps must be the same elements, read then
  /// written.
  void overlaps(const Op& op) {
    for (std::size_t i = 0; i < op.dst.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j)
        if (overlap(op.dst[i], op.dst[j])) faults_.add("{}: writes the same memory twice", where_);
      for (const Operand& src : op.src)
        if (overlap(op.dst[i], src) && begins(op.dst[i]) != begins(src))
          faults_.add("{}: destination overlaps a source at another place", where_);
    }
  }

  bool overlap(const Operand& a, const Operand& b) const {
    if (!isMemory(a) || !isMemory(b) || a.rank != b.rank) return false;
    const Cell x = begins(a), y = begins(b);
    return x.buffer == y.buffer && x.chunk < y.chunk + b.range.chunks &&
           y.chunk < x.chunk + a.range.chunks;
  }

  Cell begins(const Operand& o) const {
    return cellOf(schedule_, o.rank == kSelf ? rank_ : o.rank, o.buffer, o.range.chunk);
  }

  bool validRank(int rank) const { return rank >= 0 && rank < schedule_.shape.worldSize; }

  const Schedule& schedule_;
  int rank_;
  Faults& faults_;
  std::string where_;
  std::array<int, 6> syncs_{};  ///< how often each OpKind came
};

}  // namespace

void checkStructure(const Schedule& schedule, Faults& faults) {
  const int world = schedule.shape.worldSize;
  if (world < 1 || world > kMaxWorld)
    faults.add("world size {} is outside 1..{}", world, kMaxWorld);
  else if (schedule.programs.size() != static_cast<std::size_t>(world))
    faults.add("{} programs for {} ranks", schedule.programs.size(), world);
  if (contractOf(schedule.collective).hasData && schedule.chunks == 0)
    faults.add("a tile of no chunks");
  if (schedule.shape.root < 0 || schedule.shape.root >= world)
    faults.add("root {} is outside 0..{}", schedule.shape.root, world - 1);
  if (!faults.none()) return;

  for (int rank = 0; rank < world; ++rank) {
    Checker checker(schedule, rank, faults);
    const auto& lanes = schedule.programs[rank].lanes;
    for (std::size_t lane = 0; lane < lanes.size(); ++lane)
      for (std::size_t index = 0; index < lanes[lane].size() && !faults.full(); ++index)
        checker.check(lane, index, lanes[lane][index]);
    checker.finish();
  }
}

}  // namespace lockstep::schedule
