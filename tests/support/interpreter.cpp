#include "support/interpreter.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace lockstep::test {
namespace {

using namespace schedule;

void require(bool holds, const Op& op, int rank, std::string_view why) {
  if (!holds) throw std::logic_error(fmt::format("rank {}: {}: {}", rank, toString(op), why));
}

/// Where one lane of one rank is.
struct Cursor {
  int rank = 0;
  std::size_t lane = 0, tile = 0, op = 0;
};

template <class T>
class Interpreter {
 public:
  Interpreter(const Schedule& schedule, const std::vector<std::vector<T>>& inputs,
              const InterpretOptions& options)
      : schedule_(schedule),
        options_(options),
        world_(schedule.shape.worldSize),
        chunks_(std::max(schedule.chunks, 1U)),  // a barrier has none, of nothing
        count_(countOf(schedule, inputs)),
        tiles_(schedule.exposes ? 1 : options.tiles),
        tileElements_((count_ + tiles_ - 1) / tiles_),
        exposed_(inputs.size()),
        released_(inputs.size()) {
    result_.sent.resize(inputs.size());
    result_.received.resize(inputs.size());
    const std::size_t scratchElements = schedule.scratchChunks * chunkElements(tileElements_);
    for (int rank = 0; rank < world_; ++rank) {
      memory_.push_back({std::vector<T>(sizeOf(BufferName::in, rank), kStale),
                         std::vector<T>(sizeOf(BufferName::out, rank), kStale),
                         std::vector<T>(scratchElements, kStale)});
      const auto& input = inputs.at(static_cast<std::size_t>(rank));
      if (!input.empty()) std::ranges::copy(input, callers(rank, BufferName::in));
      const Program& program = schedule.programs.at(static_cast<std::size_t>(rank));
      for (std::size_t lane = 0; lane < program.lanes.size(); ++lane)
        if (!program.lanes[lane].empty()) cursors_.push_back({.rank = rank, .lane = lane});
    }
  }

  Interpreted<T> run() {
    std::mt19937 random(options_.seed);
    std::vector<std::size_t> order(cursors_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (bool moved = true; moved;) {
      if (options_.seed != 0) std::ranges::shuffle(order, random);
      moved = false;
      for (const std::size_t i : order) moved |= step(cursors_[i]);
    }
    for (const Cursor& cursor : cursors_)
      if (!done(cursor))
        result_.deadlock += fmt::format("rank {}, tile {}: {}\n", cursor.rank, cursor.tile,
                                        toString(operation(cursor)));
    for (const auto& [channel, queue] : queues_) result_.undelivered += queue.size();
    for (int rank = 0; rank < world_; ++rank) {
      const std::size_t size = sizeOf(BufferName::out, rank);
      if (size == 0)
        result_.out.emplace_back();
      else
        result_.out.emplace_back(callers(rank, BufferName::out),
                                 callers(rank, BufferName::out) + std::ptrdiff_t(size));
    }
    return std::move(result_);
  }

 private:
  using Message = std::vector<T>;
  using Memory = std::array<std::vector<T>, 3>;  ///< by BufferName

  /// What nobody has written yet holds this.
  static constexpr T kStale = -77;

  /// Elements of a block: every rank that has an input says the same.
  static std::size_t countOf(const Schedule& schedule, const std::vector<std::vector<T>>& inputs) {
    std::optional<std::size_t> count;
    for (int rank = 0; rank < schedule.shape.worldSize; ++rank) {
      const std::size_t blocks = blocksOf(schedule, BufferName::in, rank);
      const std::size_t size = inputs.at(static_cast<std::size_t>(rank)).size();
      if (blocks == 0 ? size != 0
                      : size % blocks != 0 || count.value_or(size / blocks) != size / blocks)
        throw std::logic_error(fmt::format("the input of rank {} has {} elements", rank, size));
      if (blocks != 0) count = size / blocks;
    }
    return count.value_or(0);
  }

  // ---- where things lie ----

  /// Elements of a whole buffer, of all tiles.
  std::size_t sizeOf(BufferName buffer, int rank) const {
    return blocksOf(schedule_, buffer, rank) * count_;
  }

  /// Where a rank's buffer begins: in place, that may be within the other one.
  auto callers(int rank, BufferName buffer) {
    const Cell cell = cellOf(schedule_, rank, buffer, 0);
    std::vector<T>& whole = memory_[static_cast<std::size_t>(rank)][std::size_t(cell.buffer)];
    return whole.begin() + std::ptrdiff_t(cell.chunk / chunks_ * count_);
  }

  std::size_t chunkElements(std::size_t tile) const {
    return elementsOf({0, 1}, chunks_, tile, sizeof(T)).size();
  }

  /// The cursor's tile, within every block.
  Span tileOf(const Cursor& cursor) const {
    const std::size_t begin = std::min(count_, cursor.tile * tileElements_);
    return {begin, begin + std::min(tileElements_, count_ - begin)};
  }

  /// Elements of an operation's operands. Chunks of scratch are never short, so another operand
  /// says; where a block is one chunk, all chunks are equal.
  std::size_t elementsIn(const Cursor& cursor, const Op& op) const {
    const std::size_t tile = tileOf(cursor).size();
    if (chunks_ == 1) return op.src[0].range.chunks * tile;
    for (const auto* operands : {&op.src, &op.dst})
      for (const Operand& o : *operands)
        if (o.kind == Operand::Kind::channel || o.buffer != BufferName::scratch)
          return elementsOf(inBlock(o.range), chunks_, tile, sizeof(T)).size();
    require(false, op, cursor.rank, "nothing says how many elements its chunks have");
    return 0;
  }

  Range inBlock(const Range& range) const { return {range.chunk % chunks_, range.chunks}; }

  /// An operand in memory.
  std::span<T> memoryOf(const Cursor& cursor, const Op& op, const Operand& o, std::size_t size) {
    const int owner = o.rank == kSelf ? cursor.rank : o.rank;
    const auto at = static_cast<std::size_t>(owner);
    require(owner == cursor.rank || lent(at, cursor), op, cursor.rank,
            "touches a peer's memory that is not lent to it");
    const Span tile = tileOf(cursor);
    if (o.buffer == BufferName::scratch) {
      auto& scratch = memory_.at(at)[std::size_t(BufferName::scratch)];
      const std::size_t begin = o.range.chunk * chunkElements(tile.size());
      require(begin + size <= scratch.size(), op, cursor.rank, "has no such scratch");
      return std::span(scratch).subspan(begin, size);
    }
    const std::uint32_t blocks = blocksOf(schedule_, o.buffer, owner);
    require(o.range.chunk + o.range.chunks <= blocks * chunks_, op, cursor.rank,
            "there is no such block");
    require(inBlock(o.range).chunk + o.range.chunks <= chunks_, op, cursor.rank,
            "crosses from one block into the next");
    if (size == 0) return {};
    const Cell cell = cellOf(schedule_, owner, o.buffer, o.range.chunk);
    const Span part =
        elementsOf({cell.chunk % chunks_, o.range.chunks}, chunks_, tile.size(), sizeof(T));
    const std::size_t begin = cell.chunk / chunks_ * count_ + tile.begin + part.begin;
    return std::span(memory_.at(at)[std::size_t(cell.buffer)]).subspan(begin, part.size());
  }

  bool lent(std::size_t owner, const Cursor& borrower) const {
    return exposed_.at(owner) > borrower.tile &&
           released_[static_cast<std::size_t>(borrower.rank)] <= borrower.tile;
  }

  // ---- steps ----

  const Op& operation(const Cursor& cursor) const {
    return schedule_.programs[static_cast<std::size_t>(cursor.rank)].lanes[cursor.lane][cursor.op];
  }

  bool done(const Cursor& cursor) const { return cursor.tile == tiles_; }

  /// Does the lane's next operation if it need not wait.
  bool step(Cursor& cursor) {
    if (done(cursor)) return false;
    const Op& op = operation(cursor);
    if (!ready(cursor, op)) return false;
    perform(cursor, op);
    const Program& program = schedule_.programs[static_cast<std::size_t>(cursor.rank)];
    if (++cursor.op == program.lanes[cursor.lane].size()) {
      cursor.op = 0;
      ++cursor.tile;
    }
    return true;
  }

  bool ready(const Cursor& cursor, const Op& op) {
    if (op.kind == OpKind::acquire) return all(exposed_, cursor.tile + 1);
    if (op.kind == OpKind::close) return all(released_, cursor.tile + 1);
    return std::ranges::all_of(op.src, [&](const Operand& o) { return arrived(cursor, op, o); }) &&
           std::ranges::all_of(op.dst, [&](const Operand& o) { return roomFor(cursor, op, o); });
  }

  static bool all(const std::vector<std::size_t>& counters, std::size_t least) {
    return std::ranges::all_of(counters, [&](std::size_t c) { return c >= least; });
  }

  bool arrived(const Cursor& cursor, const Op& op, const Operand& src) {
    if (src.kind != Operand::Kind::channel) return true;
    const auto [writer, reader] = src.channel;
    require(writer != cursor.rank && (reader == cursor.rank || reader == kEveryone), op,
            cursor.rank, "reads a channel of others");
    return !queue(src.channel, cursor.rank).empty();
  }

  bool roomFor(const Cursor& cursor, const Op& op, const Operand& dst) {
    if (dst.kind != Operand::Kind::channel) return true;
    require(dst.channel.writer == cursor.rank && dst.channel.reader != cursor.rank, op, cursor.rank,
            "writes to a channel of others");
    return options_.slots == 0 || std::ranges::all_of(readersOf(dst.channel), [&](int reader) {
             return queue(dst.channel, reader).size() < options_.slots;
           });
  }

  void perform(const Cursor& cursor, const Op& op) {
    const auto rank = static_cast<std::size_t>(cursor.rank);
    switch (op.kind) {
      case OpKind::expose:
        ++exposed_[rank];
        return;
      case OpKind::release:
        ++released_[rank];
        return;
      case OpKind::acquire:
      case OpKind::close:
        return;
      case OpKind::forward:
        require(op.src.size() == 1 && op.src[0].kind == Operand::Kind::channel, op, cursor.rank,
                "forwards what is not one message");
        break;
      case OpKind::move:
        break;
    }
    require(!op.src.empty() && !op.dst.empty(), op, cursor.rank, "has no source or no destination");
    const std::size_t size = elementsIn(cursor, op);
    Message value;
    for (const Operand& src : op.src) {
      const Taken next = take(cursor, op, src, size);
      require(next.elements.size() == size, op, cursor.rank, "a source has another length");
      if (&src == &op.src.front())
        value.assign(next.elements.begin(), next.elements.end());
      else
        std::ranges::transform(value, next.elements, value.begin(), std::plus<>{});
    }
    if (op.finish)
      for (T& element : value) element /= static_cast<T>(options_.divisor);
    put(cursor, op, std::move(value));
  }

  /// A source's elements; those of a message live as long as this.
  struct Taken {
    std::shared_ptr<const Message> message;
    std::span<const T> elements;
  };

  Taken take(const Cursor& cursor, const Op& op, const Operand& src, std::size_t size) {
    if (src.kind == Operand::Kind::memory) return {nullptr, memoryOf(cursor, op, src, size)};
    auto& waiting = queue(src.channel, cursor.rank);
    const std::shared_ptr<const Message> message = std::move(waiting.front());
    waiting.pop_front();
    count(result_.received[static_cast<std::size_t>(cursor.rank)], *message);
    return {message, *message};
  }

  void put(const Cursor& cursor, const Op& op, Message value) {
    const auto shared = std::make_shared<const Message>(std::move(value));
    for (const Operand& dst : op.dst) {
      if (dst.kind == Operand::Kind::memory) {
        const std::span<T> memory = memoryOf(cursor, op, dst, shared->size());
        require(memory.size() == shared->size(), op, cursor.rank,
                "the destination has another length");
        std::ranges::copy(*shared, memory.begin());
        continue;
      }
      for (const int reader : readersOf(dst.channel)) queue(dst.channel, reader).push_back(shared);
      count(result_.sent[static_cast<std::size_t>(cursor.rank)], *shared);
      if (options_.onSend)
        options_.onSend({.rank = cursor.rank,
                         .lane = cursor.lane,
                         .op = cursor.op,
                         .dst = static_cast<std::size_t>(&dst - op.dst.data()),
                         .tile = cursor.tile,
                         .payload = std::as_bytes(std::span(*shared))});
    }
  }

  static void count(Traffic& traffic, const Message& message) {
    ++traffic.messages;
    traffic.elements += message.size();
  }

  std::vector<int> readersOf(const Channel& channel) const {
    if (channel.reader != kEveryone) return {channel.reader};
    std::vector<int> readers;
    for (int rank = 0; rank < world_; ++rank)
      if (rank != channel.writer) readers.push_back(rank);
    return readers;
  }

  /// What `reader` has still to take from the channel.
  std::deque<std::shared_ptr<const Message>>& queue(const Channel& channel, int reader) {
    return queues_[{channel, reader}];
  }

  const Schedule& schedule_;
  const InterpretOptions options_;
  const int world_;
  const std::uint32_t chunks_;
  const std::size_t count_, tiles_, tileElements_;
  std::vector<Memory> memory_;  ///< by rank; in place, one of `in` and `out` is used
  std::vector<Cursor> cursors_;
  std::map<std::pair<Channel, int>, std::deque<std::shared_ptr<const Message>>> queues_;
  std::vector<std::size_t> exposed_, released_;  ///< tiles, by rank
  Interpreted<T> result_;
};

}  // namespace

template <class T>
Interpreted<T> interpret(const Schedule& schedule, const std::vector<std::vector<T>>& inputs,
                         const InterpretOptions& options) {
  return Interpreter<T>(schedule, inputs, options).run();
}

template Interpreted<double> interpret(const Schedule&, const std::vector<std::vector<double>>&,
                                       const InterpretOptions&);
template Interpreted<std::int64_t> interpret(const Schedule&,
                                             const std::vector<std::vector<std::int64_t>>&,
                                             const InterpretOptions&);

}  // namespace lockstep::test
