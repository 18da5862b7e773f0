#include "executor/host/plan_digest.hpp"

#include <algorithm>
#include <concepts>
#include <string>
#include <string_view>

#include "cc_mode/digest.hpp"

namespace lockstep::host {

namespace {

using schedule::Operand;

/// Bytes that two different plans never have in common: every list and every text is preceded by
/// its length, all else has a size of its own.
class Canonical {
 public:
  template <std::unsigned_integral T>
  void number(T value) {
    for (std::size_t i = 0; i < sizeof value; ++i)
      bytes_.push_back(static_cast<char>(value >> 8 * i));
  }
  /// Ranks, and -1.
  void rank(int value) { number(static_cast<std::uint8_t>(value)); }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    bytes_ += value;
  }
  template <class Enum>
  void name(Enum value) {
    number(static_cast<std::uint8_t>(value));
  }

  void operand(const Operand& o) {
    name(o.kind);
    number(o.range.chunk);
    number(o.range.chunks);
    if (o.kind == Operand::Kind::memory) {
      name(o.buffer);
      return rank(o.rank);
    }
    rank(o.channel.writer);
    rank(o.channel.reader);
    rank(o.seal.sender);
    rank(o.seal.receiver);
    number(o.seal.index);
  }
  void operands(const std::vector<Operand>& list) {
    number(static_cast<std::uint32_t>(list.size()));
    for (const Operand& o : list) operand(o);
  }
  void lane(const schedule::Lane& lane) {
    for (const schedule::Op& op : lane) {
      if (!touchesAMessage(op)) continue;
      number(std::uint8_t{1});  // another one
      name(op.kind);
      name(op.finish);
      operands(op.dst);
      operands(op.src);
    }
    number(std::uint8_t{0});
  }

  const std::string& bytes() const { return bytes_; }

 private:
  static bool touchesAMessage(const schedule::Op& op) {
    const auto isMessage = [](const Operand& o) { return o.kind == Operand::Kind::channel; };
    return std::ranges::any_of(op.dst, isMessage) || std::ranges::any_of(op.src, isMessage);
  }

  std::string bytes_;
};

static_assert(schedule::kMaxWorld < 255, "a rank, and -1, is one byte");

}  // namespace

std::array<std::byte, 16> digestOf(const Plan& plan, const schedule::Schedule& schedule) {
  Canonical c;
  c.text("lockstep plan 3");
  c.text(schedule.name);
  c.name(schedule.collective);
  c.name(plan.request.type);
  c.name(plan.request.reduction);
  c.name(plan.request.mode);
  c.name(plan.request.protocol);
  c.rank(schedule.shape.worldSize);
  c.rank(schedule.shape.root);
  c.number(std::uint64_t{plan.tileElements});
  c.number(std::uint64_t{kRecordBytes});
  c.number(schedule.chunks);
  c.number(schedule.scratchChunks);
  for (const schedule::Program& program : schedule.programs) {
    c.number(static_cast<std::uint32_t>(program.lanes.size()));
    for (const schedule::Lane& lane : program.lanes) c.lane(lane);
  }
  return cc::digest16(c.bytes());
}

}  // namespace lockstep::host
