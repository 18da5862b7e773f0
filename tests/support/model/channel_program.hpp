// Ranks that send messages over channels, as the host executor does: an operation waits until what
// it takes has arrived and what it sends has credit, moves the payload, publishes, and gives the
// credit back. The protocol is the library's own code.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/model/explorer.hpp"
#include "transport/shm/protocol.hpp"

namespace lockstep::model {

/// What a mutant gets wrong.
enum class ChannelBug : std::uint8_t {
  none,
  flagStoreRelaxed,
  flagLoadRelaxed,
  creditStoreRelaxed,
  creditLoadRelaxed,
  publishBeforePayload,
  consumeBeforeReading,
  creditNeededOneTooFew,
  creditUnchecked,
  creditOfOneReader,
  arrivedByOrder,  ///< >= where == should be
  flagOfNextSlot,
  creditOfNextSlot,
  fingerprintAfterFlag,
  firstLineOnly,
};

struct ChannelEnds {
  std::size_t writer;
  std::vector<std::size_t> readers;
};

/// One operation on a tile: takes message number `message` of a tile from channel `from`, sends
/// that of `to`, or both.
struct Transfer {
  int from = -1, fromMessage = 0;
  int to = -1, toMessage = 0;
};

/// `tiles` tiles of the same program, `depth` of them in flight. By rank; a rank sends `perTile`
/// messages per tile on each of its channels.
struct ChannelCall {
  std::size_t tiles, depth, perTile;
  std::vector<std::vector<Transfer>> ranks;
};

struct ChannelWorld {
  std::string name{};
  std::size_t slots = 1;
  std::vector<ChannelEnds> channels{};
  std::vector<ChannelCall> calls{};
  /// Empty: protocol simple. Else LL: lines of message `step` are lines[step % size].
  std::vector<std::size_t> lines{};
  bool remember = true;  ///< credits as OutChannel::hasCredit remembers them
  unsigned modulo = 0;   ///< flags are kept modulo this; 0: whole
  ChannelBug bug = ChannelBug::none;
};

/// Turns a world into a program. It must outlive the program.
class ChannelProgram {
 public:
  explicit ChannelProgram(const ChannelWorld& world) : world_(world) {
    for (const std::size_t lines : world.lines) maxLines_ = std::max(maxLines_, lines);
    addWords();
    program_.threads.resize(world.calls.at(0).ranks.size());
    std::size_t base = 0;
    for (const ChannelCall& call : world.calls) {
      for (std::size_t rank = 0; rank < call.ranks.size(); ++rank)
        program_.threads[rank].push_back(phaseOf(call, rank, base));
      base += call.tiles * call.perTile;
    }
  }
  ChannelProgram(const ChannelProgram&) = delete;
  ChannelProgram& operator=(const ChannelProgram&) = delete;
  const Program& program() const { return program_; }

 private:
  bool has(ChannelBug bug) const { return world_.bug == bug; }
  std::size_t linesOf(shm::Step step) const {
    return world_.lines.empty() ? 1 : world_.lines[step % world_.lines.size()];
  }
  bool simple() const { return world_.lines.empty(); }

  // ---- where things are ----

  struct Places {
    std::size_t flags, prints, credits, cells, seen;  ///< first of each channel
  };

  void addWords() {
    std::size_t cells = 0, seen = 0;
    for (std::size_t c = 0; c < world_.channels.size(); ++c) {
      const ChannelEnds& ends = world_.channels[c];
      const std::string name = "channel " + std::to_string(c);
      Places at{
          .flags = program_.words.size(), .prints = 0, .credits = 0, .cells = cells, .seen = seen};
      for (std::size_t i = 0; i < world_.slots * maxLines_; ++i)
        program_.words.push_back({.name = name + " flag",
                                  .writer = ends.writer,
                                  .readers = ends.readers,
                                  .relaxedStores = has(ChannelBug::flagStoreRelaxed),
                                  .relaxedLoads = has(ChannelBug::flagLoadRelaxed),
                                  .modulo = world_.modulo});
      at.prints = program_.words.size();
      for (std::size_t i = 0; simple() && i < world_.slots; ++i)
        program_.words.push_back(
            {.name = name + " fingerprint", .writer = ends.writer, .readers = ends.readers});
      at.credits = program_.words.size();
      for (const std::size_t reader : ends.readers)
        for (std::size_t i = 0; i < world_.slots; ++i)
          program_.words.push_back({.name = name + " credit",
                                    .writer = reader,
                                    .readers = {ends.writer},
                                    .relaxedStores = has(ChannelBug::creditStoreRelaxed),
                                    .relaxedLoads = has(ChannelBug::creditLoadRelaxed)});
      cells += world_.slots * maxLines_;
      seen += world_.slots * ends.readers.size();
      places_.push_back(at);
    }
    if (program_.words.size() > kMaxWords || cells > kMaxCells || seen > kMaxLocals)
      throw std::length_error("more channels, slots or readers than a state has room for");
  }

  std::size_t slotOf(shm::Step step) const { return step % world_.slots; }
  Word flag(Machine& m, int channel, std::size_t slot, std::size_t line) const {
    return m.word(places_[channel].flags + slot * maxLines_ + line);
  }
  Word print(Machine& m, int channel, shm::Step step) const {
    return m.word(places_[channel].prints + slotOf(step));
  }
  Word credit(Machine& m, int channel, std::size_t reader, std::size_t slot) const {
    return m.word(places_[channel].credits + reader * world_.slots + slot);
  }
  std::size_t cell(int channel, shm::Step step, std::size_t line) const {
    return places_[channel].cells + slotOf(step) * maxLines_ + line;
  }
  static std::uint64_t payloadOf(shm::Step step) { return step + 1; }
  static std::uint64_t fingerprintOf(shm::Step step) { return step + 101; }

  // ---- the program of a rank ----

  /// Tile t runs in lane t % depth.
  Phase phaseOf(const ChannelCall& call, std::size_t rank, std::size_t base) const {
    Phase phase(call.depth);
    for (std::size_t tile = 0; tile < call.tiles; ++tile)
      for (const Transfer& transfer : call.ranks[rank]) {
        const shm::Step in = base + tile * call.perTile + transfer.fromMessage;
        const shm::Step out = base + tile * call.perTile + transfer.toMessage;
        addStep(phase[tile % call.depth], rank, transfer, in, out, mayStart(call, rank, tile));
      }
    return phase;
  }

  using Condition = std::function<bool(Machine&)>;

  /// A tile starts when all but the `depth` - 1 tiles before it are finished (Run::step).
  static Condition mayStart(const ChannelCall& call, std::size_t rank, std::size_t tile) {
    const std::size_t perTile = call.ranks[rank].size(), round = tile / call.depth;
    return [=, depth = call.depth](Machine& m) {
      for (std::size_t lane = 0; lane < depth && round > 0; ++lane)
        if (m.at(lane) < (lane <= tile % depth ? round : round - 1) * perTile) return false;
      return true;
    };
  }

  void addStep(Lane& lane, std::size_t rank, const Transfer& transfer, shm::Step in, shm::Step out,
               const Condition& started) const {
    std::string name;
    if (transfer.from >= 0)
      name +=
          "takes message " + std::to_string(in) + " of channel " + std::to_string(transfer.from);
    if (transfer.to >= 0)
      name += (name.empty() ? "sends message " : ", sends message ") + std::to_string(out) +
              " on channel " + std::to_string(transfer.to);
    const std::size_t reader = transfer.from >= 0 ? indexOfReader(transfer.from, rank) : 0;
    lane.push_back({name, [=, this](Machine& m) {
                      if (!started(m)) return Outcome::blocked;
                      return attempt(m, transfer, reader, in, out);
                    }});
  }

  std::size_t indexOfReader(int channel, std::size_t rank) const {
    const std::vector<std::size_t>& readers = world_.channels[channel].readers;
    for (std::size_t i = 0; i < readers.size(); ++i)
      if (readers[i] == rank) return i;
    throw std::logic_error("a rank takes messages of a channel that it does not read");
  }

  Outcome attempt(Machine& m, const Transfer& transfer, std::size_t reader, shm::Step in,
                  shm::Step out) const {
    if (transfer.from >= 0 && !ready(m, transfer.from, in)) return Outcome::blocked;
    if (transfer.to >= 0 && !hasCredit(m, transfer.to, out))
      return world_.remember ? Outcome::again : Outcome::blocked;
    if (transfer.from >= 0 && !has(ChannelBug::consumeBeforeReading)) take(m, transfer.from, in);
    if (transfer.to >= 0) send(m, transfer.to, out);
    if (transfer.from >= 0) giveBack(m, transfer.from, reader, in);
    return Outcome::done;
  }

  /// As InChannel::ready, and then the fingerprint.
  bool ready(Machine& m, int channel, shm::Step step) const {
    const std::size_t lines = has(ChannelBug::firstLineOnly) ? 1 : linesOf(step);
    for (std::size_t line = 0; line < lines; ++line) {
      const Word word = flag(m, channel, slotOf(step), line);
      if (has(ChannelBug::arrivedByOrder) ? !arrivedByOrder(word, step) : !shm::arrived(word, step))
        return false;
    }
    if (simple())
      Machine::check(print(m, channel, step).load(std::memory_order_relaxed) == fingerprintOf(step),
                     "read the fingerprint of another message");
    return true;
  }
  bool arrivedByOrder(const Word& word, shm::Step step) const {
    const std::uint64_t expected = world_.modulo == 0 ? step + 1 : (step + 1) % world_.modulo;
    return std::uint64_t{word.load(std::memory_order_acquire)} >= expected;
  }

  /// As OutChannel::hasCredit.
  bool hasCredit(Machine& m, int channel, shm::Step step) const {
    if (has(ChannelBug::creditUnchecked)) return true;
    const std::size_t slot = (step + (has(ChannelBug::creditOfNextSlot) ? 1 : 0)) % world_.slots;
    std::uint64_t needed = shm::creditNeeded(step, world_.slots);
    if (has(ChannelBug::creditNeededOneTooFew) && needed > 0) --needed;
    const std::size_t readers =
        has(ChannelBug::creditOfOneReader) ? 1 : world_.channels[channel].readers.size();
    for (std::size_t reader = 0; reader < readers; ++reader) {
      if (!world_.remember) {
        if (needed > 0 && shm::readCredit(credit(m, channel, reader, slot)) < needed) return false;
        continue;
      }
      const std::size_t seen = places_[channel].seen + reader * world_.slots;
      if (m.local(seen + slot) >= needed) continue;
      for (std::size_t s = 0; s < world_.slots; ++s)
        m.local(seen + s) = static_cast<Byte>(shm::readCredit(credit(m, channel, reader, s)));
      if (m.local(seen + slot) < needed) return false;
    }
    return true;
  }

  void take(Machine& m, int channel, shm::Step step) const {
    for (std::size_t line = 0; line < linesOf(step); ++line)
      Machine::check(m.read(cell(channel, step, line)) == payloadOf(step),
                     "read the payload of another message");
  }

  /// As OutChannel::publishPayload or writeLines.
  void send(Machine& m, int channel, shm::Step step) const {
    const std::size_t slot = has(ChannelBug::flagOfNextSlot) ? slotOf(step + 1) : slotOf(step);
    const auto storeFingerprint = [&] {
      if (simple()) print(m, channel, step).store(fingerprintOf(step), std::memory_order_relaxed);
    };
    if (!has(ChannelBug::fingerprintAfterFlag)) storeFingerprint();
    for (std::size_t line = 0; line < linesOf(step); ++line) {
      Word word = flag(m, channel, slot, line);
      if (has(ChannelBug::publishBeforePayload)) shm::publish(word, step);
      m.write(cell(channel, step, line), payloadOf(step));
      if (!has(ChannelBug::publishBeforePayload)) shm::publish(word, step);
    }
    if (has(ChannelBug::fingerprintAfterFlag)) storeFingerprint();
  }

  void giveBack(Machine& m, int channel, std::size_t reader, shm::Step step) const {
    Word word = credit(m, channel, reader, slotOf(step));
    shm::consume(word, step);
    if (has(ChannelBug::consumeBeforeReading)) take(m, channel, step);
  }

  const ChannelWorld& world_;
  std::size_t maxLines_ = 1;
  std::vector<Places> places_;
  Program program_;
};

inline Report explore(const ChannelWorld& world) {
  return explore(ChannelProgram(world).program());
}

}  // namespace lockstep::model
