// A record that does not verify: was it made in another call than mine, or by somebody else? What a
// peer says it calls, and has called, is anybody's word, so it only says what to try: if the record
// opens under the name that it would have in that call, whoever holds the key made that call.
// Either way nothing of it is released, and opening a record again uses no nonce.
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
/// Each takes a plan, and perhaps that time.
constexpr std::uint64_t kCallsTried = 3;

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
  shm::InChannel& channel = *plan_->ins[term.port].channel;
  const int sender = term.seal.sender, me = env_.fabric.rank();
  const std::string call = shm::toString(call_->what);
  const auto nonces = [this](cc::LiveKey& key) { return firstNonce(key); };
  // Of whoever sealed the record, or else of whoever passed it on.
  for (const int rank : {sender, channel.writer()}) {
    const auto theirs = sealedInCallOf(rank, channel, inStep(c, term), firstStep(channel), nonces);
    if (theirs)
      throw Error(ErrorCode::mismatch, rank, call,
                  shm::mismatchText(rank, theirs, me, mineLike(*theirs)));
    if (sender == channel.writer()) break;
  }
  if (const auto sent = sentBy_ ? sentBy_(channel.writer()) : std::nullopt)
    throw Error(ErrorCode::mismatch, channel.writer(), call, meetsSend(channel.writer(), *sent));
  const auto claimed = shm::read(env_.fabric.of(sender).call);
  throw Error(
      ErrorCode::integrity, sender, call,
      fmt::format(
          "{}: a record from rank {} (tile {}, record {}) did not verify on rank {}: shared "
          "memory was tampered with or is faulty, or this call or an earlier one differed "
          "between ranks (count, type, root?){}. Nothing of it was released",
          call, sender, c.tile, record, me,
          claimed && !(*claimed == call_->what)
              ? fmt::format("; rank {} is said to be in {}", sender, shm::toString(*claimed))
              : ""));
}

/// Without a record: what a rank seems to have called. `stamp`: of its message, 0 if there is none.
std::string Run::mismatchWith(int rank, std::uint64_t stamp) const {
  const shm::CallLine &theirs = env_.fabric.of(rank).call, &mine = env_.fabric.mine().call;
  const auto sent = shm::transferOf(stamp);
  const std::string text =
      sent && !shm::firstDifference(theirs, mine)
          ? meetsSend(rank, *sent)
          : shm::mismatchText(rank, theirs, env_.fabric.rank(), mine, call_->what);
  return env_.aead == nullptr ? text : text + std::string(shm::kHearsay);
}

std::string Run::meetsSend(int rank, const shm::TransferDescription& sent) const {
  return fmt::format(
      "rank {} sends {} {}, rank {} called {}: what is sent between two calls must be received "
      "between the same two",
      rank, sent.count, name(sent.type), env_.fabric.rank(), shm::toString(call_->what));
}

shm::Step Run::firstStep(shm::InChannel& channel) {
  for (std::size_t i = 0; i < plan_->ins.size(); ++i)
    if (plan_->ins[i].channel == &channel) return inBase_[i];
  return channel.take(0);
}

std::uint64_t Run::firstNonce(const cc::LiveKey& key) const {
  for (std::size_t i = 0; i < plan_->keys.size(); ++i)
    if (plan_->keys[i].key == &key) return nonceBase_[i];
  return key.nextNonce();
}

/// What I called when somebody made the call `theirs`; if that is not told, what I call.
shm::CallDescription Run::mineLike(const shm::CallDescription& theirs) const {
  const auto mine = shm::read(env_.fabric.mine().call, theirs.sequence);
  return mine && *mine != theirs ? *mine : call_->what;
}

/// Whoever only sent has gone on, and what went to others shows in a later call. So some are tried,
/// from the first in which the lines differ.
std::optional<shm::CallDescription> Run::sealedInCallOf(
    int rank, const shm::InChannel& channel, shm::Step step, shm::Step first,
    const std::function<std::uint64_t(cc::LiveKey&)>& nonces) {
  const shm::CallLine &theirs = env_.fabric.of(rank).call, &mine = env_.fabric.mine().call;
  const auto different = shm::firstDifference(theirs, mine);
  const auto latest = shm::read(mine);
  std::uint64_t sequence = different ? different->theirs.sequence
                           : latest  ? latest->sequence + 1
                                     : 1;
  for (const std::uint64_t end = sequence + kCallsTried; sequence != end; ++sequence) {
    const auto said = shm::read(theirs, sequence);
    if (said && shm::read(mine, sequence) != said &&
        wasSealedIn(*said, channel, step, first, nonces))
      return said;
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
