#include "collectives/cost/cost.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "base/fail.hpp"

namespace lockstep::schedule {
namespace {

/// Payload of a line of 64 bytes that has its flag in it.
constexpr double kLineShare = 56.0 / 64.0;

bool isChannel(const Operand& o) {
  return o.kind == Operand::Kind::channel;
}

/// Chunks are real numbers of bytes here: rounded to cache lines, as they are run, a larger message
/// could have a smaller last chunk, and seem to take less.
class Tile {
 public:
  Tile(const Schedule& schedule, double blockBytes, const Lowering& how, const Speeds& speeds)
      : schedule_(schedule),
        how_(how),
        speeds_(speeds),
        chunk_(blockBytes / std::max(schedule.chunks, 1U)),
        turns_((schedule.shape.worldSize + speeds.cores - 1) / speeds.cores),
        work_(schedule.programs.size()) {}

  /// Plays it; seconds until the last rank is done.
  double play() {
    for (std::size_t r = 0; r < schedule_.programs.size(); ++r)
      for (const Lane& lane : schedule_.programs[r].lanes) lanes_.push_back({r, &lane});
    for (bool moved = true; moved;) {
      moved = false;
      for (LaneState& lane : lanes_)
        while (lane.next < lane.ops->size() && step(lane)) moved = true;
    }
    double end = 0;
    for (const LaneState& lane : lanes_) {
      if (lane.next < lane.ops->size())
        fail(ErrorCode::internal, "{}: rank {} waits for ever", schedule_.name, lane.rank);
      end = std::max(end, lane.now);
    }
    return std::max(end, busiest());
  }

  /// Seconds of work of the rank that has most.
  double busiest() const { return most(&Work::seconds); }

  void addTo(Cost& cost, double tiles) const {
    cost.moved = most(&Work::moved) * tiles;
    cost.sealed = most(&Work::sealed) * tiles;
    cost.opened = most(&Work::opened) * tiles;
    cost.reduced = most(&Work::reduced) * tiles;
    cost.messages = static_cast<int>(most(&Work::messages) * std::max(tiles, 1.0));
  }

 private:
  struct LaneState {
    std::size_t rank;
    const Lane* ops;
    std::size_t next = 0;
    double now = 0;
  };
  struct Work {
    double seconds = 0, moved = 0, sealed = 0, opened = 0, reduced = 0, messages = 0;
  };
  /// Messages of a channel: when each is there, and how many each reader has taken.
  struct Fifo {
    std::vector<double> there;
    std::map<std::size_t, std::size_t> taken;
  };
  /// Ranks that have exposed, or released, and when the last one had.
  struct Gathering {
    std::size_t ranks = 0;
    double last = 0;
  };

  double most(double Work::*field) const {
    double value = 0;
    for (const Work& w : work_) value = std::max(value, w.*field);
    return value;
  }

  double bytesOf(const Operand& o) const { return chunk_ * o.range.chunks; }

  /// False: what it waits for is not there yet.
  bool step(LaneState& lane) {
    const Op& op = (*lane.ops)[lane.next];
    double ready = lane.now;
    if (op.kind == OpKind::expose || op.kind == OpKind::release) {
      Gathering& gathering = op.kind == OpKind::expose ? exposed_ : released_;
      ++gathering.ranks;
      gathering.last = std::max(gathering.last, lane.now);
    } else if (op.kind == OpKind::acquire || op.kind == OpKind::close) {
      const Gathering& gathering = op.kind == OpKind::acquire ? exposed_ : released_;
      if (gathering.ranks < work_.size()) return false;
      ready = std::max(ready, gathering.last + speeds_.signal);
    } else {
      for (const Operand& src : op.src)
        if (isChannel(src) && !arrived(src, lane.rank, ready)) return false;
      for (const Operand& src : op.src)
        if (isChannel(src)) ++fifos_[src.channel].taken[lane.rank];
    }
    const double seconds = turns_ * secondsOf(op, work_[lane.rank]);
    work_[lane.rank].seconds += seconds;
    lane.now = ready + seconds;
    // A flag beside the data comes first, and the data when they are looked at.
    const double flight = how_.lines ? speeds_.signal : 2 * speeds_.signal;
    for (const Operand& dst : op.dst)
      if (isChannel(dst)) fifos_[dst.channel].there.push_back(lane.now + flight);
    ++lane.next;
    return true;
  }

  bool arrived(const Operand& src, std::size_t reader, double& ready) {
    Fifo& fifo = fifos_[src.channel];
    const std::size_t at = fifo.taken[reader];
    if (at >= fifo.there.size()) return false;
    ready = std::max(ready, fifo.there[at]);
    return true;
  }

  /// What an operation takes by itself, and what it adds to its rank's work.
  double secondsOf(const Op& op, Work& work) const {
    double seconds = speeds_.operand * static_cast<double>(1 + op.src.size() + op.dst.size());
    const bool reduces = op.src.size() > 1;
    for (const Operand& src : op.src) {
      const double bytes = bytesOf(src);
      seconds += secondsToTake(op, src, bytes, work);
      if (!reduces) continue;
      seconds += bytes / speeds_.reduce;
      work.reduced += bytes;
    }
    for (const Operand& dst : op.dst) seconds += secondsToPut(op, dst, bytesOf(dst), work, reduces);
    return seconds;
  }

  /// A source in shared memory is read where it lies; what is sealed, or attached, is copied first.
  double secondsToTake(const Op& op, const Operand& src, double bytes, Work& work) const {
    if (isChannel(src)) {
      work.moved += bytes;
      const bool passedOn = op.kind == OpKind::forward && std::ranges::all_of(op.dst, isChannel);
      if (!src.seal || passedOn) return how_.lines ? bytes / kLineShare / speeds_.copy : 0;
      work.opened += bytes;
      return bytes / speeds_.copy + bytes / speeds_.open;
    }
    if (src.rank == kSelf) return 0;
    work.moved += bytes;
    return how_.attached ? speeds_.attach + bytes / speeds_.copy : 0;
  }

  double secondsToPut(const Op& op, const Operand& dst, double bytes, Work& work,
                      bool reduces) const {
    if (!isChannel(dst)) {
      if (dst.rank != kSelf) work.moved += bytes;
      // The result of a reduction is written by it.
      return reduces ? 0 : bytes / speeds_.copy;
    }
    work.moved += bytes;
    ++work.messages;
    const double written = bytes / (how_.lines ? kLineShare : 1) / speeds_.copy;
    if (!dst.seal || op.kind == OpKind::forward) return written;
    work.sealed += bytes;
    return written + bytes / speeds_.seal;
  }

  const Schedule& schedule_;
  const Lowering& how_;
  const Speeds& speeds_;
  double chunk_;
  double turns_;
  std::vector<LaneState> lanes_;
  std::vector<Work> work_;  ///< by rank
  std::map<Channel, Fifo> fifos_;
  Gathering exposed_, released_;
};

/// Bytes of a block that one tile takes: as asked for, if no message is then too large for a slot.
double tileOf(const Schedule& schedule, double blockBytes, const Lowering& how) {
  if (schedule.exposes || how.tileBytes == 0) return blockBytes;
  std::uint32_t widest = 1;
  for (const Program& program : schedule.programs)
    for (const Lane& lane : program.lanes)
      for (const Op& op : lane)
        for (const Operand& dst : op.dst)
          if (isChannel(dst)) widest = std::max(widest, dst.range.chunks);
  auto tile = static_cast<double>(how.tileBytes);
  if (how.slotBytes > 0)
    tile =
        std::min(tile, static_cast<double>(how.slotBytes) * std::max(schedule.chunks, 1U) / widest);
  return std::min(tile, blockBytes);
}

}  // namespace

Cost predict(const Schedule& schedule, std::size_t blockBytes, const Lowering& how,
             const Speeds& speeds) {
  const auto all = static_cast<double>(blockBytes);
  const double bytes = tileOf(schedule, all, how);
  const double tiles = bytes > 0 ? all / bytes : 1;
  Tile tile(schedule, bytes, how, speeds);
  Cost cost;
  const double first = tile.play();
  cost.seconds = first + (tiles - 1) * std::max(tile.busiest(), first / how.depth);
  tile.addTo(cost, tiles);
  return cost;
}

}  // namespace lockstep::schedule
