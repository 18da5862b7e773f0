#include "support/interpreter.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
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
        count_(inputs.at(0).size()),
        tiles_(schedule.exposes ? 1 : options.tiles),
        tileElements_((count_ + tiles_ - 1) / tiles_),
        exposed_(inputs.size()),
        released_(inputs.size()) {
    result_.sent.resize(inputs.size());
    result_.received.resize(inputs.size());
    for (int rank = 0; rank < world_; ++rank) {
      const auto& input = inputs.at(static_cast<std::size_t>(rank));
      if (input.size() != count_) throw std::logic_error("inputs differ in length");
      in_.push_back(input);
      out_.push_back(input);
      const auto scratch =
          elementsOf({0, schedule.scratchChunks}, schedule.chunks, count_, sizeof(T));
      scratch_.emplace_back(scratch.size());
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
    result_.out = std::move(schedule_.shape.inPlace ? in_ : out_);
    return std::move(result_);
  }

 private:
  using Message = std::vector<T>;

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
    Message value;
    for (const Operand& src : op.src) {
      const Taken next = take(cursor, op, src);
      if (&src == &op.src.front()) {
        value.assign(next.elements.begin(), next.elements.end());
        continue;
      }
      require(next.elements.size() == value.size(), op, cursor.rank, "sources differ in length");
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

  Taken take(const Cursor& cursor, const Op& op, const Operand& src) {
    const Span span = spanOf(cursor, src);
    if (src.kind == Operand::Kind::memory)
      return {nullptr, std::span(memoryOf(cursor, op, src)).subspan(span.begin, span.size())};
    auto& waiting = queue(src.channel, cursor.rank);
    const std::shared_ptr<const Message> message = std::move(waiting.front());
    waiting.pop_front();
    require(message->size() == span.size(), op, cursor.rank, "the message has another length");
    count(result_.received[static_cast<std::size_t>(cursor.rank)], *message);
    return {message, *message};
  }

  void put(const Cursor& cursor, const Op& op, Message value) {
    const auto shared = std::make_shared<const Message>(std::move(value));
    for (const Operand& dst : op.dst) {
      const Span span = spanOf(cursor, dst);
      require(span.size() == shared->size(), op, cursor.rank, "the destination has another length");
      if (dst.kind == Operand::Kind::memory) {
        std::ranges::copy(*shared, memoryOf(cursor, op, dst).begin() + std::ptrdiff_t(span.begin));
        continue;
      }
      for (const int reader : readersOf(dst.channel)) queue(dst.channel, reader).push_back(shared);
      count(result_.sent[static_cast<std::size_t>(cursor.rank)], *shared);
    }
  }

  static void count(Traffic& traffic, const Message& message) {
    ++traffic.messages;
    traffic.elements += message.size();
  }

  /// Where the operand's chunks lie in its buffer. Scratch is of one tile, the others of all.
  Span spanOf(const Cursor& cursor, const Operand& operand) const {
    const std::size_t begin = std::min(count_, cursor.tile * tileElements_);
    const std::size_t size = std::min(tileElements_, count_ - begin);
    const Span chunk = elementsOf(operand.range, schedule_.chunks, size, sizeof(T));
    const bool inTile =
        operand.kind == Operand::Kind::memory && operand.buffer == BufferName::scratch;
    const std::size_t offset = inTile ? 0 : begin;
    return {offset + chunk.begin, offset + chunk.end};
  }

  std::vector<T>& memoryOf(const Cursor& cursor, const Op& op, const Operand& operand) {
    const auto owner = static_cast<std::size_t>(operand.rank == kSelf ? cursor.rank : operand.rank);
    require(operand.rank == kSelf || lent(owner, cursor), op, cursor.rank,
            "touches a peer's memory that is not lent to it");
    if (operand.buffer == BufferName::scratch) return scratch_.at(owner);
    if (operand.buffer == BufferName::in || schedule_.shape.inPlace) return in_.at(owner);
    return out_.at(owner);
  }

  bool lent(std::size_t owner, const Cursor& borrower) const {
    return exposed_.at(owner) > borrower.tile &&
           released_[static_cast<std::size_t>(borrower.rank)] <= borrower.tile;
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
  const std::size_t count_, tiles_, tileElements_;
  std::vector<std::vector<T>> in_, out_, scratch_;
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
