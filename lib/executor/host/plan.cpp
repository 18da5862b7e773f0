#include "executor/host/plan.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "base/fail.hpp"
#include "cc_mode/secure_pass.hpp"
#include "executor/host/plan_digest.hpp"
#include "executor/prepare.hpp"

namespace lockstep::host {

namespace {

using schedule::Operand;
using schedule::OpKind;

/// Builds one plan; its members are the plan so far and what has been counted.
class Lowering {
 public:
  Lowering(const PlanRequest& request, shm::Fabric& fabric, cc::KeyRing* keys)
      : request_(request), fabric_(fabric), keys_(keys) {}

  Plan build() {
    const schedule::Schedule schedule = prepareSchedule(
        *request_.algorithm, request_.mode, fabric_.worldSize(), request_.inPlace, request_.root);
    plan_.request = request_;
    plan_.algorithm = schedule.name;
    plan_.chunks = std::max(schedule.chunks, 1U);  // a barrier has none, of nothing
    plan_.scratchChunks = schedule.scratchChunks;
    plan_.exposes = schedule.exposes;
    plan_.sealed = isSealed(request_.mode);
    plan_.elementBytes = sizeOf(request_.type);
    plan_.divisor = request_.reduction == Reduction::avg ? fabric_.worldSize() : 1;
    plan_.reduce = reduceFunction(request_.type, request_.reduction);
    const Contract& contract = contractOf(schedule.collective);
    const auto perRank = static_cast<std::uint32_t>(fabric_.worldSize());
    plan_.blocks = {contract.inPerRank ? perRank : 1, contract.outPerRank ? perRank : 1};
    if (plan_.sealed) addKeys(schedule);
    addProgram(schedule.programs[static_cast<std::size_t>(fabric_.rank())]);
    plan_.hearsAll = everyRankHearsAll(schedule);
    messages_ = messagesOf(schedule);
    sizeTile();
    plan_.eager = isEager();
    if (plan_.sealed) plan_.digest = digestOf(plan_, schedule);
    return std::move(plan_);
  }

 private:
  /// Every holder of a key counts all its uses in the group, so that all counters stay equal.
  void addKeys(const schedule::Schedule& schedule) {
    const int me = fabric_.rank();
    for (const auto& [name, perTile] : cc::noncesPerTile(schedule)) {
      const bool group = name.receiver == schedule::kEveryone;
      if (!group && name.sender != me && name.receiver != me) continue;
      keyIndex_[name] = static_cast<std::uint32_t>(plan_.keys.size());
      plan_.keys.push_back({&keys_->at(name), perTile});
      lanes_.emplace_back(perTile);
    }
    for (const schedule::Program& program : schedule.programs)
      for (std::size_t lane = 0; lane < program.lanes.size(); ++lane)
        for (const schedule::Op& op : program.lanes[lane])
          if (op.kind == OpKind::move)
            for (const Operand& o : op.dst)
              if (o.seal) noteLane(o.seal, lane);
  }

  /// In which lane a message is sealed: bound to it, so its readers must know.
  void noteLane(const schedule::Seal& seal, std::size_t lane) {
    const auto key = keyIndex_.find({seal.sender, seal.receiver});
    if (key != keyIndex_.end())
      lanes_[key->second].at(seal.index) = static_cast<std::uint8_t>(lane);
  }

  void addProgram(const schedule::Program& program) {
    if (program.lanes.size() > kMaxLanes)
      fail(ErrorCode::internal, "{} has {} lanes, the host executor runs {}", plan_.algorithm,
           program.lanes.size(), kMaxLanes);
    for (const schedule::Lane& lane : program.lanes) {
      const auto first = static_cast<std::uint32_t>(plan_.ops.size());
      for (const schedule::Op& op : lane) addOp(op);
      plan_.lanes.push_back({first, static_cast<std::uint32_t>(plan_.ops.size())});
    }
  }

  void addOp(const schedule::Op& op) {
    PlanOp lowered;
    lowered.kind = op.kind;
    lowered.finish = op.finish;
    lowered.dst = static_cast<std::uint32_t>(plan_.terms.size());
    lowered.dsts = static_cast<std::uint32_t>(op.dst.size());
    for (const Operand& o : op.dst) plan_.terms.push_back(term(o, true));
    lowered.src = static_cast<std::uint32_t>(plan_.terms.size());
    lowered.srcs = static_cast<std::uint32_t>(op.src.size());
    for (const Operand& o : op.src) plan_.terms.push_back(term(o, false));
    lowered.range = rangeOf(op);
    lowered.blocks = blocksIn(lowered.range);
    lowered.range = withinBlock(lowered.range);
    plan_.ops.push_back(lowered);
  }

  /// Where a block is one chunk, a range may have several blocks.
  std::uint32_t blocksIn(const schedule::Range& range) const {
    return plan_.chunks == 1 ? range.chunks : 1;
  }
  schedule::Range withinBlock(const schedule::Range& range) const {
    return {range.chunk % plan_.chunks, plan_.chunks == 1 ? 1 : range.chunks};
  }

  /// One exchange by lines: whole blocks of memory go out, then what comes (and own memory) is
  /// reduced or copied into memory. At most one message to and from each peer.
  bool isEager() {
    if (!isLines(request_.protocol) || plan_.chunks != 1 || plan_.scratchChunks != 0 ||
        plan_.lanes.size() != 1 || plan_.ops.empty())
      return false;
    const auto once = [](const auto& port) { return port.perTile == 1; };
    if (!std::all_of(plan_.outs.begin(), plan_.outs.end(), once) ||
        !std::all_of(plan_.ins.begin(), plan_.ins.end(), once))
      return false;
    const auto is = [&](std::uint32_t first, std::uint32_t n, Term::Kind kind) {
      return n != 0 && std::all_of(plan_.terms.begin() + first, plan_.terms.begin() + first + n,
                                   [&](const Term& t) { return t.kind == kind; });
    };
    const auto sends = [&](const PlanOp& op) {
      return is(op.dst, op.dsts, Term::Kind::message) && op.srcs == 1 &&
             is(op.src, 1, Term::Kind::local);
    };
    const auto takes = [&](const PlanOp& op) {
      return op.dsts == 1 && is(op.dst, 1, Term::Kind::local);
    };
    // A barrier's messages carry nothing.
    const std::uint32_t blocks = contractOf(request_.algorithm->collective).hasData ? 1 : 0;
    const auto wholeBlocks = [&](const PlanOp& op) {
      return op.kind == OpKind::move && op.blocks == blocks && op.range.chunks == blocks;
    };
    const auto firstTake = std::find_if_not(plan_.ops.begin(), plan_.ops.end(), sends);
    plan_.sends = static_cast<std::uint32_t>(firstTake - plan_.ops.begin());
    return std::all_of(plan_.ops.begin(), plan_.ops.end(), wholeBlocks) &&
           std::all_of(firstTake, plan_.ops.end(), takes);
  }

  /// Every rank, not only this one, gets a message from each other: what they conclude together,
  /// they conclude alike.
  static bool everyRankHearsAll(const schedule::Schedule& schedule) {
    return std::all_of(schedule.programs.begin(), schedule.programs.end(),
                       [&](const schedule::Program& program) {
                         std::set<int> writers;
                         for (const schedule::Lane& lane : program.lanes)
                           for (const schedule::Op& op : lane)
                             for (const Operand& o : op.src)
                               if (o.kind == Operand::Kind::channel)
                                 writers.insert(o.channel.writer);
                         return static_cast<int>(writers.size()) == schedule.shape.worldSize - 1;
                       });
  }

  static schedule::Range rangeOf(const schedule::Op& op) {
    const auto exact = [](const Operand& o) {
      return o.kind == Operand::Kind::channel || o.buffer != schedule::BufferName::scratch;
    };
    for (const auto* operands : {&op.dst, &op.src})
      for (const Operand& o : *operands)
        if (exact(o)) return o.range;
    if (!op.src.empty()) return op.src[0].range;  // scratch of blocks of one chunk
    return {};                                    // a synchronisation
  }

  Term term(const Operand& operand, bool destination) {
    Term t;
    t.buffer = operand.buffer;
    t.chunk = operand.range.chunk;
    if (t.buffer != schedule::BufferName::scratch) {
      t.block = operand.range.chunk / plan_.chunks;
      t.chunk = operand.range.chunk % plan_.chunks;
    }
    if (operand.kind == Operand::Kind::memory) {
      t.kind = operand.rank == schedule::kSelf ? Term::Kind::local : Term::Kind::remote;
      t.rank = operand.rank;
      return t;
    }
    t.kind = Term::Kind::message;
    t.seal = operand.seal;
    const bool everyone = operand.channel.reader == schedule::kEveryone;
    if (destination) {
      t.port = portOf(plan_.outs, &fabric_.out(operand.channel.reader, request_.protocol));
      t.ordinal = plan_.outs[t.port].perTile++;
    } else {
      t.port = portOf(plan_.ins, &fabric_.in(operand.channel.writer, everyone, request_.protocol));
      t.ordinal = plan_.ins[t.port].perTile++;
    }
    if (plan_.sealed) {
      t.keyUse = keyIndex_.at({operand.seal.sender, operand.seal.receiver});
      t.key = plan_.keys[t.keyUse].key;
      t.lane = lanes_[t.keyUse].at(operand.seal.index);
    }
    return t;
  }

  template <class Channel>
  static std::uint32_t portOf(std::vector<Port<Channel>>& ports, Channel* channel) {
    const auto at = std::find_if(ports.begin(), ports.end(),
                                 [&](const auto& port) { return port.channel == channel; });
    if (at != ports.end()) return static_cast<std::uint32_t>(at - ports.begin());
    ports.push_back({channel, 0});
    return static_cast<std::uint32_t>(ports.size() - 1);
  }

  /// What messages of any rank carry. Tiles and nonces are sized by it, and must be the same
  /// everywhere: in a world of 3, halving-doubling sends messages of different sizes.
  static std::set<schedule::Range> messagesOf(const schedule::Schedule& schedule) {
    std::set<schedule::Range> ranges;
    for (const schedule::Program& program : schedule.programs)
      for (const schedule::Lane& lane : program.lanes)
        for (const schedule::Op& op : lane)
          for (const Operand& o : op.dst)
            if (o.kind == Operand::Kind::channel) ranges.insert(o.range);
    return ranges;
  }

  std::size_t largestMessage(std::size_t tileElements) const {
    std::size_t most = 0;
    for (const schedule::Range& range : messages_)
      most = std::max(most, schedule::elementsOf(withinBlock(range), plan_.chunks, tileElements,
                                                 plan_.elementBytes)
                                    .size() *
                                blocksIn(range) * plan_.elementBytes);
    return most;
  }

  /// What a slot of the protocol holds besides tags.
  std::size_t capacity() const {
    if (request_.protocol == shm::Protocol::simple) return shm::kSlotBytes;
    const std::size_t lines =
        request_.protocol == shm::Protocol::brief ? shm::kBriefBytes : shm::kLlBytes;
    return plan_.sealed ? lines - cc::kTagBytes : lines;  // a message in lines is one record
  }

  void sizeTile() {
    if (plan_.exposes) {
      plan_.tileElements = std::numeric_limits<std::size_t>::max();
      return;
    }
    std::size_t elements = std::max<std::size_t>(request_.tileBytes / plan_.elementBytes, 1);
    while (elements > 1 && largestMessage(elements) > capacity()) elements -= (elements + 7) / 8;
    plan_.tileElements = elements;
    plan_.recordsPerMessage = recordsOf(largestMessage(elements));
    const schedule::Range all{0, plan_.scratchChunks};
    if (plan_.scratchChunks != 0) plan_.scratchBytes = scratchFor(all, elements);
  }

  /// Scratch chunks all have the full chunk size, so scratch may name more chunks than the tile
  /// has.
  std::size_t scratchFor(schedule::Range all, std::size_t elements) const {
    const std::size_t chunk =
        schedule::elementsOf({0, 1}, plan_.chunks, elements, plan_.elementBytes).size();
    return all.chunks * chunk * plan_.elementBytes;
  }

  PlanRequest request_;
  shm::Fabric& fabric_;
  cc::KeyRing* keys_;
  Plan plan_;
  std::map<cc::KeyName, std::uint32_t> keyIndex_;
  std::vector<std::vector<std::uint8_t>> lanes_;  ///< by key and index
  std::set<schedule::Range> messages_;
};

}  // namespace

Plan lower(const PlanRequest& request, shm::Fabric& fabric, cc::KeyRing* keys) {
  return Lowering(request, fabric, keys).build();
}

}  // namespace lockstep::host
