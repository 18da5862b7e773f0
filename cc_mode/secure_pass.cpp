#include "cc_mode/secure_pass.hpp"

#include <algorithm>
#include <vector>

#include "base/fail.hpp"
#include "collectives/verify/structure.hpp"
#include "collectives/verify/wiring.hpp"

namespace lockstep::cc {
namespace {

using namespace schedule;

bool isChannel(const Operand& o) {
  return o.kind == Operand::Kind::channel;
}

void refuseExposure(const Schedule& schedule) {
  bool exposes = schedule.exposes;
  for (const Program& program : schedule.programs)
    for (const Lane& lane : program.lanes)
      for (const Op& op : lane) exposes |= op.kind != OpKind::move && op.kind != OpKind::forward;
  if (exposes)
    fail(ErrorCode::invalidArgument,
         "{} exposes memory, so plaintext would cross the trust boundary; sealed modes need an "
         "algorithm that uses channels",
         schedule.name);
}

// ---- forwards, when no key is the group's ----

/// A lane in which each forward is a recv and a send. What passes through without a destination in
/// memory rests in scratch from `scratchBegin` on; returns how many chunks of it that takes: the
/// lane does one thing at a time, so as many as its widest such forward.
std::uint32_t splitForwards(Lane& lane, std::uint32_t scratchBegin) {
  std::uint32_t scratchChunks = 0;
  Lane split;
  for (Op& op : lane) {
    if (op.kind != OpKind::forward) {
      split.push_back(std::move(op));
      continue;
    }
    const auto memoryBegin = std::stable_partition(op.dst.begin(), op.dst.end(), isChannel);
    const std::vector<Operand> channels(op.dst.begin(), memoryBegin);
    std::vector<Operand> memory(memoryBegin, op.dst.end());
    if (memory.empty()) {
      const std::uint32_t chunks = op.src[0].range.chunks;
      memory.push_back(scratch({scratchBegin, chunks}));
      scratchChunks = std::max(scratchChunks, chunks);
    }
    split.push_back(move(memory, op.src));
    if (!channels.empty()) split.push_back(move(channels, {memory.front()}));
  }
  lane = std::move(split);
  return scratchChunks;
}

void splitForwards(Schedule& schedule) {
  const std::uint32_t own = schedule.scratchChunks;
  for (Program& program : schedule.programs) {
    std::uint32_t end = own;
    for (Lane& lane : program.lanes) end += splitForwards(lane, end);  // lanes run side by side
    schedule.scratchChunks = std::max(schedule.scratchChunks, end);
  }
}

// ---- keys ----

Wiring wireOrRefuse(const Schedule& schedule) {
  Faults faults;
  checkStructure(schedule, faults);
  Wiring wiring;
  if (faults.none()) wiring = wire(schedule, faults);
  if (!faults.none())
    fail(ErrorCode::invalidArgument, "cannot seal {}: {}", schedule.name, faults.list().front());
  return wiring;
}

/// Whether some reader passes the message on.
bool isForwarded(const Schedule& schedule, const Wiring& wiring, const Message& message) {
  return std::ranges::any_of(message.received, [&](const MessageEnd& end) {
    const Op& op = opAt(schedule, wiring.sites[end.site]);
    return op.kind == OpKind::forward && std::ranges::any_of(op.dst, isChannel);
  });
}

/// One seal per message that a move makes, in the order in which its rank emits them.
std::vector<Seal> makeSeals(const Schedule& schedule, const Wiring& wiring, bool groupKeys) {
  std::vector<Seal> seals(wiring.messages.size());
  std::map<KeyName, std::uint32_t> next;
  for (std::size_t site = 0; site < wiring.sites.size(); ++site) {
    if (opAt(schedule, wiring.sites[site]).kind == OpKind::forward) continue;
    for (const std::uint32_t m : wiring.sends[site]) {
      const Message& message = wiring.messages[m];
      const bool toGroup = groupKeys && isForwarded(schedule, wiring, message);
      const KeyName key{message.channel.writer, toGroup ? kEveryone : message.channel.reader};
      seals[m] = {key.sender, key.receiver, next[key]++};
    }
  }
  return seals;
}

}  // namespace

Schedule secure(Schedule schedule, bool groupKeys) {
  refuseExposure(schedule);
  if (!groupKeys) splitForwards(schedule);
  const Wiring wiring = wireOrRefuse(schedule);
  const std::vector<Seal> seals = makeSeals(schedule, wiring, groupKeys);
  for (const Message& message : wiring.messages) {
    const Seal& seal = seals[message.origin];
    opAt(schedule, wiring.sites[message.sent.site]).dst[message.sent.operand].seal = seal;
    for (const MessageEnd& end : message.received)
      opAt(schedule, wiring.sites[end.site]).src[end.operand].seal = seal;
  }
  return schedule;
}

std::map<KeyName, std::uint32_t> noncesPerTile(const Schedule& sealed) {
  std::map<KeyName, std::uint32_t> nonces;
  for (const Program& program : sealed.programs)
    for (const Lane& lane : program.lanes)
      for (const Op& op : lane)
        if (op.kind == OpKind::move)
          for (const Operand& dst : op.dst)
            if (dst.seal) ++nonces[{dst.seal.sender, dst.seal.receiver}];
  return nonces;
}

}  // namespace lockstep::cc
