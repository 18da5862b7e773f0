#include "collectives/verify/replay.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "collectives/verify/access_log.hpp"
#include "collectives/verify/clocks.hpp"
#include "collectives/verify/expressions.hpp"

namespace lockstep::schedule {
namespace {

using Value = Expressions::Value;
using Home = Expressions::Home;

/// A chunk of someone's memory: what it holds, and who touched it.
struct Held {
  Value value = Expressions::kUndefined;
  AccessLog log;
};

/// How far a rank is with exposing, in one call.
struct Exposure {
  std::array<std::optional<Stamp>, 4> phases;  ///< expose, acquire, release, close
  std::vector<Stamp> touches;                  ///< of peers' memory
};

constexpr std::size_t phaseOf(OpKind kind) {
  return static_cast<std::size_t>(kind) - static_cast<std::size_t>(OpKind::expose);
}
constexpr std::array<const char*, 4> kPhaseNames{"expose", "acquire", "release", "close"};

bool touchesPeers(const Op& op) {
  const auto isRemote = [](const Operand& o) {
    return o.kind == Operand::Kind::memory && o.rank != kSelf;
  };
  return std::ranges::any_of(op.src, isRemote) || std::ranges::any_of(op.dst, isRemote);
}

class Replay {
 public:
  Replay(const Schedule& schedule, const Wiring& wiring, const EventGraph& graph, Faults& faults)
      : schedule_(schedule),
        wiring_(wiring),
        graph_(graph),
        extent_(graph.extent()),
        faults_(faults),
        clocks_(wiring, graph),
        cells_(std::size_t{graph.world()} * cellsPerRank()),
        exposures_(std::size_t{graph.world()} * extent_.calls),
        arrivals_(std::size_t{graph.world()} * (extent_.calls + 1)) {
    for (const Message& message : wiring.messages) {
      payloadAt_.push_back(payloadPerTile_);
      payloadPerTile_ += sentOperand(message).range.chunks;
    }
    payloads_.resize(std::size_t{payloadPerTile_} * extent_.calls * extent_.tiles);
  }

  Findings run() {
    for (const std::uint32_t id : graph_.order()) {
      if (faults_.full()) break;
      event_ = graph_.event(id);
      now_ = clocks_.visit(id);
      if (event_.kind == Event::Kind::op) op(opAt(schedule_, wiring_.sites[event_.site]));
      if (event_.kind == Event::Kind::done) forgetScratch();
      if (event_.kind == Event::Kind::boundary) boundary();
      clocks_.leave();
    }
    return std::move(findings_);
  }

 private:
  // ---- the caller ----

  /// Outside of calls both buffers are the caller's: it reads the results and writes all of it.
  void boundary() {
    if (event_.call > 0) checkResults();
    if (!contract().hasData) checkBarrier();
    for (std::uint32_t tile = 0; tile < extent_.tiles; ++tile) {
      for (std::uint32_t chunk = 0; chunk < chunksOf(BufferName::out); ++chunk)
        write(BufferName::out, event_.rank, tile, chunk, Expressions::kUndefined);
      for (std::uint32_t chunk = 0; chunk < chunksOf(BufferName::in); ++chunk)
        write(BufferName::in, event_.rank, tile, chunk,
              expressions_.input(event_.rank, {chunk, tile, event_.call}));
    }
  }

  const Contract& contract() const { return contractOf(schedule_.collective); }

  /// Chunks of the caller's buffer at the rank of the event.
  std::uint32_t chunksOf(BufferName buffer) const {
    return schedule_.chunks * blocksOf(schedule_, buffer, event_.rank);
  }

  void checkResults() {
    for (std::uint32_t tile = 0; tile < extent_.tiles; ++tile)
      for (std::uint32_t chunk = 0; chunk < chunksOf(BufferName::out); ++chunk) {
        const Value value = read(BufferName::out, event_.rank, tile, chunk);
        const Wanted wanted = wantedOf(chunk, tile);
        checkResult(value, chunk, wanted);
        findings_.rankOrder &= isRankOrder(value, wanted);
        if (event_.rank == 0 && tile == 0 && event_.call == 1)
          findings_.expressions.push_back(expressions_.text(value, wanted.home));
      }
  }

  /// Whose inputs a chunk of `out` must hold, and of which of their chunks.
  struct Wanted {
    std::uint64_t ranks = 0;
    Home home;
  };
  Wanted wantedOf(std::uint32_t chunk, std::uint32_t tile) const {
    const std::uint32_t block = chunk / schedule_.chunks;
    const int source = contract().outPerRank ? static_cast<int>(block) : schedule_.shape.root;
    const auto sourceBlock = contract().inPerRank ? static_cast<std::uint32_t>(event_.rank) : 0U;
    return {
        .ranks = contract().reduces ? everyone() : std::uint64_t{1} << source,
        .home = {sourceBlock * schedule_.chunks + chunk % schedule_.chunks, tile, event_.call - 1}};
  }

  void checkResult(Value value, std::uint32_t chunk, const Wanted& wanted) {
    const auto wrong = [&](const std::string& what) {
      faults_.add("wrong result: out[{}] of rank {} {}: it is {}", chunk, event_.rank, what,
                  expressions_.text(value, wanted.home));
    };
    if (value == Expressions::kUndefined) return wrong("is never written");
    const auto& facts = expressions_.facts(value);
    if (facts.mixed || facts.home != wanted.home) return wrong("has inputs of other chunks");
    if (facts.doubled != 0)
      wrong(
          fmt::format("has the input of rank {} more than once", std::countr_zero(facts.doubled)));
    if (const std::uint64_t missing = wanted.ranks & ~facts.ranks; missing != 0)
      wrong(fmt::format("lacks the input of rank {}", std::countr_zero(missing)));
    if (const std::uint64_t extra = facts.ranks & ~wanted.ranks; extra != 0)
      wrong(fmt::format("has the input of rank {}, which does not belong there",
                        std::countr_zero(extra)));
    if (contract().reduces && facts.finishes == 0 && graph_.world() > 1) wrong("is never finished");
  }

  bool isRankOrder(Value value, const Wanted& wanted) const {
    if (!contract().reduces) return true;
    const auto& facts = expressions_.facts(value);
    return value != Expressions::kUndefined && facts.inRankOrder && facts.ranks == wanted.ranks;
  }

  /// No rank leaves before all have entered.
  void checkBarrier() {
    const std::size_t world = graph_.world();
    arrivals_[event_.call * world + static_cast<std::size_t>(event_.rank)] = now_;
    if (event_.call == 0) return;
    for (std::size_t rank = 0; rank < world; ++rank) {
      const std::optional<Stamp>& arrival = arrivals_[(event_.call - 1) * world + rank];
      if (!arrival || !clocks_.before(*arrival))
        faults_.add("no barrier: rank {} may leave before rank {} has come", event_.rank, rank);
    }
  }

  /// Scratch of a tile means nothing to the next one that uses its place.
  void forgetScratch() {
    for (std::uint32_t chunk = 0; chunk < schedule_.scratchChunks; ++chunk)
      held(BufferName::scratch, event_.rank, event_.tile, chunk).value = Expressions::kUndefined;
  }

  // ---- operations ----

  void op(const Op& op) {
    if (op.kind == OpKind::move || op.kind == OpKind::forward)
      data(op);
    else
      phase(op.kind);
  }

  /// First reads all there is, then writes: an operation is no order in itself.
  void data(const Op& op) {
    const std::uint32_t chunks = op.src[0].range.chunks;
    if (touchesPeers(op)) touch();

    std::vector<std::vector<Value>> terms(chunks);
    std::size_t received = 0;
    for (const Operand& src : op.src) {
      const bool isMessage = src.kind == Operand::Kind::channel;
      const std::uint32_t message =
          isMessage ? wiring_.receives[event_.site][received++] : std::uint32_t{0};
      for (std::uint32_t k = 0; k < chunks; ++k)
        terms[k].push_back(isMessage ? payload(message, k) : load(src, k));
    }

    std::vector<Value> results;
    for (std::uint32_t k = 0; k < chunks; ++k) {
      if (op.finish) checkFinish(terms[k]);
      results.push_back(expressions_.reduce(terms[k], op.finish));
    }

    std::size_t sent = 0;
    for (const Operand& dst : op.dst) {
      const bool isMessage = dst.kind == Operand::Kind::channel;
      const std::uint32_t message =
          isMessage ? wiring_.sends[event_.site][sent++] : std::uint32_t{0};
      for (std::uint32_t k = 0; k < chunks; ++k) {
        if (isMessage)
          payload(message, k) = results[k];
        else
          store(dst, k, results[k]);
      }
    }
  }

  /// An average divides once: where the reduction is complete, before its rounding.
  void checkFinish(const std::vector<Value>& terms) {
    if (graph_.world() == 1) return;
    std::uint64_t ranks = 0;
    for (const Value term : terms) {
      if (term == Expressions::kUndefined) return;
      const auto& facts = expressions_.facts(term);
      ranks |= facts.ranks;
      if (facts.finishes > 0) return faults_.add("{} finishes what is finished", here());
    }
    if (ranks != everyone()) return faults_.add("{} finishes an incomplete reduction", here());
    if (terms.size() == 1) faults_.add("{} finishes what is already rounded", here());
  }

  Value load(const Operand& o, std::uint32_t k) {
    const std::uint32_t chunk = o.range.chunk + k;
    const Value value = read(o.buffer, ownerOf(o), event_.tile, chunk);
    if (value == Expressions::kUndefined)
      faults_.add("{} reads {} before it is written", here(), nameOf(o.buffer, ownerOf(o), chunk));
    return value;
  }

  void store(const Operand& o, std::uint32_t k, Value value) {
    write(o.buffer, ownerOf(o), event_.tile, o.range.chunk + k, value);
  }

  int ownerOf(const Operand& o) const { return o.rank == kSelf ? event_.rank : o.rank; }

  Value& payload(std::uint32_t message, std::uint32_t k) {
    const std::size_t instance = std::size_t{event_.call} * extent_.tiles + event_.tile;
    return payloads_[instance * payloadPerTile_ + payloadAt_[message] + k];
  }

  // ---- exposure ----

  Exposure& exposure() {
    return exposures_[event_.call * graph_.world() + static_cast<std::size_t>(event_.rank)];
  }

  void phase(OpKind kind) {
    const std::size_t phase = phaseOf(kind);
    Exposure& mine = exposure();
    if (phase > 0 && !happened(phase - 1))
      faults_.add("{} is not after this rank's {}", here(), kPhaseNames[phase - 1]);
    if (kind == OpKind::release)
      for (const Stamp& touched : mine.touches)
        if (!clocks_.before(touched))
          faults_.add("{} may come before {}", here(), graph_.describe(touched.event));
    mine.phases[phase] = now_;
  }

  bool happened(std::size_t phase) {
    const auto& stamp = exposure().phases[phase];
    return stamp && clocks_.before(*stamp);
  }

  void touch() {
    if (!happened(phaseOf(OpKind::acquire)))
      faults_.add("{} touches a peer's memory before acquire", here());
    if (exposure().phases[phaseOf(OpKind::release)])
      faults_.add("{} touches a peer's memory after release", here());
    exposure().touches.push_back(now_);
  }

  // ---- memory ----

  /// Chunks of a tile in the larger buffer of the larger rank.
  std::size_t widest() const {
    const bool perRank = contract().inPerRank || contract().outPerRank;
    return schedule_.chunks * (perRank ? std::size_t{graph_.world()} : 1);
  }

  /// Per rank: in and out of all tiles; then scratch of the tiles in flight.
  std::size_t cellsPerRank() const {
    return 2 * extent_.tiles * widest() + std::size_t{extent_.depth} * schedule_.scratchChunks;
  }

  Held& held(BufferName name, int rank, std::uint32_t tile, std::uint32_t chunk) {
    const Cell cell = cellOf(schedule_, rank, name, chunk);
    std::size_t at = static_cast<std::size_t>(rank) * cellsPerRank();
    if (cell.buffer == BufferName::scratch)
      at += 2 * extent_.tiles * widest() +
            std::size_t{tile % extent_.depth} * schedule_.scratchChunks + cell.chunk;
    else
      at += (cell.buffer == BufferName::in ? 0 : extent_.tiles * widest()) +
            std::size_t{tile} * widest() + cell.chunk;
    return cells_[at];
  }

  Value read(BufferName name, int rank, std::uint32_t tile, std::uint32_t chunk) {
    Held& c = held(name, rank, tile, chunk);
    if (const auto other = c.log.read(clocks_, now_)) race(name, rank, chunk, *other);
    return c.value;
  }

  void write(BufferName name, int rank, std::uint32_t tile, std::uint32_t chunk, Value value) {
    Held& c = held(name, rank, tile, chunk);
    if (const auto other = c.log.write(clocks_, now_)) race(name, rank, chunk, *other);
    c.value = value;
  }

  void race(BufferName name, int rank, std::uint32_t chunk, const Stamp& other) {
    const Event before = graph_.event(other.event);
    const bool nextCall = before.kind == Event::Kind::op && event_.kind == Event::Kind::op &&
                          before.call != event_.call;
    faults_.add("race on {}: {} and {}{} are not ordered", nameOf(name, rank, chunk),
                graph_.describe(other.event), here(), nextCall ? " of the next call" : "");
  }

  std::string nameOf(BufferName name, int rank, std::uint32_t chunk) const {
    static constexpr std::array names{"in", "out", "scratch"};
    const Cell cell = cellOf(schedule_, rank, name, chunk);
    return fmt::format("{}[{}] of rank {}", names[static_cast<std::size_t>(cell.buffer)],
                       cell.chunk, rank);
  }

  std::string here() const { return graph_.describe(now_.event); }

  std::uint64_t everyone() const { return ~std::uint64_t{0} >> (64 - graph_.world()); }

  const Operand& sentOperand(const Message& message) const {
    return opAt(schedule_, wiring_.sites[message.sent.site]).dst[message.sent.operand];
  }

  const Schedule& schedule_;
  const Wiring& wiring_;
  const EventGraph& graph_;
  Extent extent_;
  Faults& faults_;
  Findings findings_;
  Clocks clocks_;
  Expressions expressions_;
  std::vector<Held> cells_;
  std::vector<Exposure> exposures_;             ///< by call, rank
  std::vector<std::optional<Stamp>> arrivals_;  ///< at a barrier, by call, rank
  std::vector<std::uint32_t> payloadAt_;  ///< by message: its first chunk in a tile's payloads
  std::uint32_t payloadPerTile_ = 0;
  std::vector<Value> payloads_;  ///< by instance, message, chunk
  Event event_;                  ///< at hand
  Stamp now_;
};

}  // namespace

Findings replay(const Schedule& schedule, const Wiring& wiring, const EventGraph& graph,
                Faults& faults) {
  return Replay(schedule, wiring, graph, faults).run();
}

}  // namespace lockstep::schedule
