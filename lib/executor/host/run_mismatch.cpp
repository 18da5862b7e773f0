// A record that does not verify: was it made in another call than mine, or by somebody else? What a
// peer says it calls is anybody's word, so it only says what to try: if the record opens under the
// name that it would have in that call, whoever holds the key made that call. Either way nothing of
// it is released, and opening a record again uses no nonce.
#include <algorithm>
#include <array>

#include "base/clock.hpp"
#include "base/cpu.hpp"
#include "base/fail.hpp"
#include "base/secret.hpp"
#include "executor/host/run.hpp"

namespace lockstep::host {

namespace {

/// A message of another length than mine may still be on its way when mine would be complete.
constexpr auto kStillComing = std::chrono::milliseconds(10);

/// Where a plan has the message that comes as number `offset` of a call on a channel.
struct Place {
  const PlanOp* op = nullptr;
  const Term* term = nullptr;
  std::uint64_t tile = 0;
};

Place placeOf(const Plan& plan, const shm::InChannel& channel, std::uint64_t offset) {
  for (const PlanOp& op : plan.ops)
    for (std::uint32_t i = op.src; i < op.src + op.srcs; ++i) {
      const Term& term = plan.terms[i];
      if (term.kind != Term::Kind::message) continue;
      const auto& port = plan.ins[term.port];
      if (port.channel == &channel && offset % port.perTile == term.ordinal)
        return {&op, &term, offset / port.perTile};
    }
  return {};
}

/// Bytes that a slot of the channel has.
std::size_t roomOf(const shm::InChannel& channel) {
  switch (channel.protocol()) {
    case shm::Protocol::simple:
      return shm::kSlotStride;
    case shm::Protocol::ll:
      return shm::kLlBytes;
    case shm::Protocol::brief:
      return shm::kBriefBytes;
  }
  return 0;
}

}  // namespace

/// Throws mismatch or integrity.
void Run::refuse(const Context& c, const Term& term, std::uint32_t record) {
  shm::CallDescription theirs;
  if (const auto other = otherCallOf(c, term, theirs))
    throw Error(ErrorCode::mismatch, *other, shm::toString(call_->what),
                shm::mismatchText(*other, theirs, env_.fabric.rank(), call_->what));
  const int sender = term.seal.sender;
  const auto claimed = shm::read(env_.fabric.of(sender).call);
  throw Error(
      ErrorCode::integrity, sender, shm::toString(call_->what),
      fmt::format(
          "{}: a record from rank {} (tile {}, record {}) did not verify on rank {}: shared "
          "memory was tampered with or is faulty, or this call or an earlier one differed "
          "between ranks (count, type, root?){}. Nothing of it was released; create a new "
          "communicator to go on",
          shm::toString(call_->what), sender, c.tile, record, env_.fabric.rank(),
          claimed && !(*claimed == call_->what)
              ? fmt::format("; rank {} is said to be in {}", sender, shm::toString(*claimed))
              : ""));
}

/// The rank whose other call the record that failed is of, and that call. One is tried: of whoever
/// sealed the record, or else of whoever passed it on.
std::optional<int> Run::otherCallOf(const Context& c, const Term& term,
                                    shm::CallDescription& theirs) {
  const shm::InChannel& channel = *plan_->ins[term.port].channel;
  const auto nonces = [this](cc::LiveKey& key) {
    for (std::size_t i = 0; i < plan_->keys.size(); ++i)
      if (plan_->keys[i].key == &key) return nonceBase_[i];
    return key.nextNonce();
  };
  for (const int rank : {term.seal.sender, channel.writer()}) {
    const auto said = shm::read(env_.fabric.of(rank).call);
    if (!said || *said == call_->what) continue;
    if (!wasSealedIn(*said, channel, inStep(c, term), inBase_[term.port], nonces)) break;
    theirs = *said;
    return rank;
  }
  return std::nullopt;
}

bool Run::wasSealedIn(const shm::CallDescription& theirs, const shm::InChannel& channel,
                      shm::Step step, shm::Step first,
                      const std::function<std::uint64_t(cc::LiveKey&)>& nonces) try {
  const Plan* plan = env_.planOf ? env_.planOf(theirs) : nullptr;
  if (plan == nullptr) return false;
  const Place at = placeOf(*plan, channel, step - first);
  if (at.term == nullptr || at.tile >= plan->tilesOf(theirs.count)) return false;
  Context c;
  c.tile = at.tile;
  c.elements = std::min(theirs.count - at.tile * plan->tileElements, plan->tileElements);
  c.chunkElements =
      schedule::elementsOf({0, 1}, plan->chunks, c.elements, plan->elementBytes).size();
  const Term& term = *at.term;
  const std::uint64_t message = at.tile * plan->keys[term.keyUse].perTile + term.seal.index;
  return opens(channel, step, bytesOf(*plan, c, *at.op), *term.key,
               nonces(*term.key) + message * plan->recordsPerMessage,
               {.digest = plan->digest,
                .sequence = theirs.sequence,
                .count = theirs.count,
                .tile = static_cast<std::uint32_t>(at.tile),
                .index = term.seal.index,
                .epoch = term.key->epoch(),
                .record = 0,
                .lane = term.lane,
                .sender = static_cast<std::int8_t>(term.seal.sender),
                .receiver = static_cast<std::int8_t>(term.seal.receiver)});
} catch (const Error&) {
  return false;  // nobody can make such a call
}

bool Run::opens(const shm::InChannel& channel, shm::Step step, std::size_t bytes, cc::LiveKey& key,
                std::uint64_t nonce, const RecordName& name) {
  const std::size_t onWire = sealedBytes(bytes);
  if (onWire > roomOf(channel)) return false;
  for (const Deadline deadline = Deadline::in(kStillComing); !channel.ready(step, onWire);) {
    if (deadline.passed()) return false;
    cpuRelax();
  }
  const std::size_t n = sizeOfRecord(bytes, 0);
  if (channel.protocol() == shm::Protocol::simple)
    copyRecordIn(sealer_, channel.payload(step), bytes, 0);
  else
    channel.readLines(step, sealer_.copyIn(), onWire);
  std::byte* plain = sealer_.plain(0);
  const bool opened = sealer_.open(key.expanded(), nonce, name, n, plain);
  wipe(plain, n);
  return opened;
}

}  // namespace lockstep::host
