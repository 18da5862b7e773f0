// The data operation of a run: sources, reduced in order, into every destination.
#include <algorithm>
#include <cstring>

#include "base/fail.hpp"
#include "executor/host/copy.hpp"
#include "executor/host/run.hpp"
#include "transport/cma/cma.hpp"

namespace lockstep::host {

namespace {

using schedule::BufferName;

/// Operands of one move: all ranks and one more.
constexpr std::size_t kMaxTerms = schedule::kMaxWorld + 1;
/// Places in Run::staging: one per source, then the result, then a message with its tags.
constexpr std::size_t kResult = kMaxTerms, kMessage = kMaxTerms + 1;

// Cross-memory attach goes through pieces of this size, so that what was copied in is still in the
// L2 cache when it is reduced.
// Less is done within microseconds of the peer's last word, in which no process dies and has its
// number come around: only larger operations ask, for each block, whether it is still the same.
constexpr std::size_t kBlockBytes = std::size_t{512} << 10;

}  // namespace

// ---- where things are ----

/// Byte offset of a term in its buffer.
std::size_t Run::begins(const Context& c, const Term& term) const {
  const std::size_t chunk = term.chunk * c.chunkElements;
  if (term.buffer == BufferName::scratch) return chunk * plan_->elementBytes;
  return (term.block * call_->count + c.firstElement + std::min(chunk, c.elements)) *
         plan_->elementBytes;
}

/// Every operand of an operation has this size.
std::size_t Run::bytesOf(const Plan& plan, const Context& c, const PlanOp& op) {
  const std::size_t begin = std::min(op.range.chunk * c.chunkElements, c.elements);
  const std::size_t end =
      std::min((std::size_t{op.range.chunk} + op.range.chunks) * c.chunkElements, c.elements);
  return (end - begin) * op.blocks * plan.elementBytes;
}

std::byte* Run::local(const Context& c, const Term& term) const {
  switch (term.buffer) {
    case BufferName::in:  // only ever read
      return static_cast<std::byte*>(const_cast<void*>(call_->in)) + begins(c, term);  // NOLINT
    case BufferName::out:
      return static_cast<std::byte*>(call_->out) + begins(c, term);
    case BufferName::scratch:
      return c.scratch + begins(c, term);
  }
  return nullptr;
}

/// nullptr: only by cross-memory attach.
std::byte* Run::remote(const Context& c, const Term& term) const {
  const View& view = views_[static_cast<std::size_t>(term.rank)];
  std::byte* base = term.buffer == BufferName::in ? view.in : view.out;
  return base == nullptr ? nullptr : base + begins(c, term);
}

shm::Step Run::inStep(const Context& c, const Term& term) const {
  return inBase_[term.port] + c.tile * plan_->ins[term.port].perTile + term.ordinal;
}

shm::Step Run::outStep(const Context& c, const Term& term) const {
  return outBase_[term.port] + c.tile * plan_->outs[term.port].perTile + term.ordinal;
}

/// Private memory of at least `bytes`, kept for later calls.
std::byte* Run::staging(std::size_t place, std::size_t bytes) {
  if (staging_.size() <= place) staging_.resize(kMessage + 1);
  if (staging_[place].size() < bytes) staging_[place] = Mapping::anonymous(bytes);
  return staging_[place].data();
}

/// The bytes of a message that has arrived, where they lie or copied together out of their lines.
shm::ConstSharedBytes Run::arrived(const Context& c, const Term& term, std::size_t bytes,
                                   std::size_t place) {
  const shm::InChannel& channel = *plan_->ins[term.port].channel;
  const shm::Step step = inStep(c, term);
  if (channel.protocol() == shm::Protocol::simple) return channel.payload(step);
  if (bytes <= shm::kFirstLineBytes) return channel.firstLine(step);
  std::byte* together = staging(place, bytes);
  channel.readLines(step, together, bytes);
  return shm::ConstSharedBytes(together);  // private by now, but not always
}

// ---- before and after ----

/// Is an arrived message of this call, and what does its sender say of its buffers?
void Run::checkStamp(const shm::InChannel& channel, shm::Step step) {
  const std::uint64_t stamp = channel.fingerprint(step);
  allDirect_ = allDirect_ && (stamp & shm::kDirect) != 0;
  if ((stamp & ~shm::kDirect) == call_->fingerprint) return;
  throw Error(ErrorCode::mismatch, channel.writer(), shm::toString(call_->what),
              mismatchWith(channel.writer(), stamp));
}

/// Have all messages come, and is there room for all that will go?
bool Run::ready(const Context& c, const PlanOp& op) {
  const std::size_t plain = bytesOf(c, op);
  const std::size_t bytes = plan_->sealed ? sealedBytes(plain) : plain;
  for (std::uint32_t i = op.src; i < op.src + op.srcs; ++i) {
    const Term& term = plan_->terms[i];
    if (term.kind != Term::Kind::message) continue;
    const shm::InChannel& channel = *plan_->ins[term.port].channel;
    const shm::Step step = inStep(c, term);
    if (!channel.ready(step, bytes)) {
      awaited_ = channel.awaited(step, bytes);
      return false;
    }
    if (plan_->sealed) continue;
    checkStamp(channel, step);
  }
  for (std::uint32_t i = op.dst; i < op.dst + op.dsts; ++i) {
    const Term& term = plan_->terms[i];
    if (term.kind != Term::Kind::message) continue;
    shm::OutChannel& channel = *plan_->outs[term.port].channel;
    if (!channel.hasCredit(outStep(c, term))) {
      awaited_ = channel.lacking();
      return false;
    }
  }
  return true;
}

/// Publishes what was written and gives back what was read. (Lines have been published as they were
/// written.)
void Run::complete(Context& c, const PlanOp& op, std::size_t bytes) {
  const std::size_t onWire = plan_->sealed ? sealedBytes(bytes) : bytes;
  for (std::uint32_t i = op.dst; i < op.dst + op.dsts; ++i) {
    const Term& term = plan_->terms[i];
    if (term.kind != Term::Kind::message) continue;
    shm::OutChannel& channel = *plan_->outs[term.port].channel;
    const shm::Step step = outStep(c, term);
    if (channel.protocol() == shm::Protocol::simple) channel.publishPayload(step, stamp_);
    counters_.moved += onWire;
    if (env_.doorbell.armed()) channel.ring(env_.doorbell, step, onWire);
  }
  for (std::uint32_t i = op.src; i < op.src + op.srcs; ++i) {
    const Term& term = plan_->terms[i];
    if (term.kind != Term::Kind::message) continue;
    shm::InChannel& channel = *plan_->ins[term.port].channel;
    const shm::Step step = inStep(c, term);
    channel.consumed(step);
    env_.doorbell.ring(channel.credit(step), channel.writer());
  }
}

// ---- in the clear ----

void Run::move(Context& c, const PlanOp& op, std::size_t bytes) {
  std::array<const void*, kMaxTerms> src;
  for (std::uint32_t k = 0; k < op.srcs; ++k) {
    const Term& term = plan_->terms[op.src + k];
    switch (term.kind) {
      case Term::Kind::local:
        src[k] = local(c, term);
        break;
      case Term::Kind::message:
        src[k] = arrived(c, term, bytes, k).inTheClear();
        break;
      case Term::Kind::remote:
        src[k] = remote(c, term);
        if (src[k] == nullptr) return moveInBlocks(c, op, bytes);
        break;
    }
  }
  // Memory first, then slots: what goes into a slot may go past the cache, what goes into memory
  // stays in it.
  std::array<void*, kMaxTerms> dst;
  std::array<void*, kMaxTerms> slots;
  std::size_t dsts = 0, toSlots = 0;
  bool toLines = false;
  for (std::uint32_t k = 0; k < op.dsts; ++k) {
    const Term& term = plan_->terms[op.dst + k];
    switch (term.kind) {
      case Term::Kind::local:
        dst[dsts++] = local(c, term);
        break;
      case Term::Kind::message: {
        const shm::OutChannel& channel = *plan_->outs[term.port].channel;
        if (isLines(channel.protocol()))
          toLines = true;
        else
          slots[toSlots++] = channel.payload(outStep(c, term)).inTheClear();
        break;
      }
      case Term::Kind::remote:
        dst[dsts] = remote(c, term);
        if (dst[dsts++] == nullptr) return moveInBlocks(c, op, bytes);
        break;
    }
  }
  counters_.moved += bytes * remoteTerms(op);
  const bool asItIs = op.srcs == 1 && divisorOf(op) == 1;
  if (toLines && dsts == 0 && !asItIs) dst[dsts++] = staging(kResult, bytes);
  if (dsts != 0)
    reduceInto(op, dst.data(), dsts, src.data(), bytes,
               plan_->exposes && bytes >= env_.streamingBytes);
  if (toSlots != 0) {
    const bool streaming = bytes >= env_.slotStreamingBytes;
    if (dsts == 0)
      reduceInto(op, slots.data(), toSlots, src.data(), bytes, streaming);
    else
      for (std::size_t k = 0; k < toSlots; ++k) copyBytes(slots[k], dst[0], bytes, streaming);
  }
  if (toLines) writeLines(c, op, static_cast<const std::byte*>(asItIs ? src[0] : dst[0]), bytes);
}

void Run::reduceInto(const PlanOp& op, void* const* dst, std::size_t dsts, const void* const* src,
                     std::size_t bytes, bool streaming) const {
  if (bytes == 0) return;
  plan_->reduce({.dst = dst,
                 .dsts = static_cast<int>(dsts),
                 .src = src,
                 .srcs = static_cast<int>(op.srcs),
                 .count = bytes / plan_->elementBytes,
                 .divisor = divisorOf(op),
                 .streaming = streaming,
                 .oneNan = plan_->request.oneNan});
}

void Run::writeLines(const Context& c, const PlanOp& op, const std::byte* data, std::size_t bytes) {
  for (std::uint32_t k = 0; k < op.dsts; ++k) {
    const Term& term = plan_->terms[op.dst + k];
    if (term.kind == Term::Kind::message)
      plan_->outs[term.port].channel->writeLines(outStep(c, term), stamp_, data, bytes);
  }
}

/// Operands in peers' memory.
std::uint64_t Run::remoteTerms(const PlanOp& op) const {
  std::uint64_t n = 0;
  for (std::uint32_t i = op.dst; i < op.src + op.srcs; ++i)
    if (plan_->terms[i].kind == Term::Kind::remote) ++n;
  return n;
}

/// A local destination that is no source: what is fetched may wait there to be reduced, which
/// spares the cache a buffer.
std::byte* Run::freshDestination(const Context& c, const PlanOp& op) const {
  for (std::uint32_t i = op.dst; i < op.dst + op.dsts; ++i) {
    if (plan_->terms[i].kind != Term::Kind::local) continue;
    std::byte* candidate = local(c, plan_->terms[i]);
    bool fresh = true;
    for (std::uint32_t k = op.src; k < op.src + op.srcs; ++k)
      if (plan_->terms[k].kind == Term::Kind::local && local(c, plan_->terms[k]) == candidate)
        fresh = false;
    if (fresh) return candidate;
  }
  return nullptr;
}

/// As move, when some peer's memory can only be copied by the kernel.
void Run::moveInBlocks(Context& c, const PlanOp& op, std::size_t bytes) {
  const auto address = [&](const Term& term) {
    const View& view = views_[static_cast<std::size_t>(term.rank)];
    return (term.buffer == BufferName::in ? view.inAt : view.outAt).offset + begins(c, term);
  };
  const auto process = [&](const Term& term) {
    const auto r = static_cast<std::size_t>(term.rank);
    return cma::Process{env_.pids[r], term.rank, bytes > kBlockBytes ? env_.pidfds[r] : -1};
  };
  counters_.moved += bytes * remoteTerms(op);
  for (std::size_t at = 0; at < bytes; at += kBlockBytes) {
    const std::size_t n = std::min(kBlockBytes, bytes - at);
    std::array<const void*, kMaxTerms> src;
    std::array<void*, kMaxTerms> dst;
    std::size_t dsts = 0;
    std::byte* room = freshDestination(c, op);
    for (std::uint32_t k = 0; k < op.srcs; ++k) {
      const Term& term = plan_->terms[op.src + k];
      std::byte* here = term.kind == Term::Kind::local ? local(c, term) : remote(c, term);
      if (here == nullptr) {
        std::byte* copy = room != nullptr ? room + at : staging(k, kBlockBytes);
        room = nullptr;
        cma::read(process(term), address(term) + at, copy, n);
        src[k] = copy;
      } else {
        src[k] = here + at;
      }
    }
    bool elsewhere = false;
    for (std::uint32_t k = 0; k < op.dsts; ++k) {
      const Term& term = plan_->terms[op.dst + k];
      std::byte* here = term.kind == Term::Kind::local ? local(c, term) : remote(c, term);
      if (here == nullptr)
        elsewhere = true;
      else
        dst[dsts++] = here + at;
    }
    if (dsts == 0) dst[dsts++] = staging(kResult, kBlockBytes);
    reduceInto(op, dst.data(), dsts, src.data(), n, false);
    if (!elsewhere) continue;
    for (std::uint32_t k = 0; k < op.dsts; ++k) {
      const Term& term = plan_->terms[op.dst + k];
      if (term.kind == Term::Kind::remote && remote(c, term) == nullptr)
        cma::write(process(term), address(term) + at, dst[0], n);
    }
  }
}

// ---- sealed ----

RecordName Run::recordName(const Context& c, const Term& term, std::uint32_t record) const {
  return {.digest = plan_->digest,
          .sequence = call_->what.sequence,
          .count = call_->count,
          .tile = static_cast<std::uint32_t>(c.tile),
          .index = term.seal.index,
          .epoch = term.key->epochOf(c.tile),
          .record = static_cast<std::uint8_t>(record),
          .lane = term.lane,
          .sender = static_cast<std::int8_t>(term.seal.sender),
          .receiver = static_cast<std::int8_t>(term.seal.receiver)};
}

/// base + (tile * K + index) * records per message + record
std::uint64_t Run::nonce(const Context& c, const Term& term, std::uint32_t record) const {
  if (record >= plan_->recordsPerMessage)  // it would take the nonce of the next message: never
    fail(ErrorCode::internal, "{}: record {} of a message in a plan for {}", plan_->algorithm,
         record, plan_->recordsPerMessage);
  const std::uint64_t message = c.tile * plan_->keys[term.keyUse].perTile + term.seal.index;
  return nonceBase_[term.keyUse] + message * plan_->recordsPerMessage + record;
}

/// Valid until the next record is sealed or opened.
const std::byte* Run::sealRecord(const Context& c, const Term& term, std::uint32_t record,
                                 const std::byte* plain, std::size_t bytes) {
  counters_.sealed += bytes;
  ++counters_.records;
  return sealer_.seal(term.key->of(c.tile), nonce(c, term, record), recordName(c, term, record),
                      plain, bytes);
}

/// Opens what has been copied into the sealer.
void Run::openRecord(const Context& c, const Term& term, std::uint32_t record, std::size_t bytes,
                     std::byte* plain) {
  counters_.opened += bytes;
  ++counters_.records;
  if (sealer_.open(term.key->of(c.tile), nonce(c, term, record), recordName(c, term, record), bytes,
                   plain))
    return;
  refuse(c, term, record);
}

/// Record by record, so that a record stays in the cache from seal to copy-out, and from copy-in to
/// reduction.
void Run::moveSealed(Context& c, const PlanOp& op, std::size_t bytes) {
  const auto records = static_cast<std::uint32_t>(recordsOf(bytes));
  const std::size_t onWire = sealedBytes(bytes);
  const bool asItIs = op.srcs == 1 && divisorOf(op) == 1;
  std::array<shm::ConstSharedBytes, kMaxTerms> messages;  // ciphertext
  for (std::uint32_t k = 0; k < op.srcs; ++k) {
    const Term& term = plan_->terms[op.src + k];
    if (term.kind == Term::Kind::message) messages[k] = arrived(c, term, onWire, k);
  }
  std::array<std::byte*, kMaxTerms> to;  // local destinations
  std::size_t tos = 0;
  for (std::uint32_t k = 0; k < op.dsts; ++k) {
    const Term& term = plan_->terms[op.dst + k];
    if (term.kind == Term::Kind::local) to[tos++] = local(c, term);
  }
  for (std::uint32_t record = 0; record < records; ++record) {
    const std::size_t at = std::size_t{record} * kRecordBytes;
    const std::size_t n = sizeOfRecord(bytes, record);
    std::array<const void*, kMaxTerms> src;
    for (std::uint32_t k = 0; k < op.srcs; ++k) {
      const Term& term = plan_->terms[op.src + k];
      if (term.kind == Term::Kind::local) {
        src[k] = local(c, term) + at;
        continue;
      }
      std::byte* plain = asItIs && tos != 0 ? to[0] + at : sealer_.plain(k);
      copyRecordIn(sealer_, messages[k], bytes, record);
      openRecord(c, term, record, n, plain);
      src[k] = plain;
    }
    std::array<void*, kMaxTerms> dst;
    for (std::size_t k = 0; k < tos; ++k) dst[k] = to[k] + at;
    std::size_t dsts = tos;
    if (dsts == 0 && !asItIs) dst[dsts++] = sealer_.plain(kMaxTerms - 1);
    const bool inPlaceAlready = asItIs && dsts == 1 && dst[0] == src[0];
    if (dsts != 0 && !inPlaceAlready) reduceInto(op, dst.data(), dsts, src.data(), n, false);
    const auto* result = static_cast<const std::byte*>(asItIs ? src[0] : dst[0]);
    for (std::uint32_t k = 0; k < op.dsts; ++k) {
      const Term& term = plan_->terms[op.dst + k];
      if (term.kind != Term::Kind::message) continue;
      shm::OutChannel& channel = *plan_->outs[term.port].channel;
      const std::byte* sealed = sealRecord(c, term, record, result, n);
      if (isLines(channel.protocol()))  // one record: lowering sees to it
        channel.writeLines(outStep(c, term), stamp_, sealed, onWire);
      else
        copyRecordOut(channel.payload(outStep(c, term)), bytes, record, sealed,
                      env_.slotStreamingBytes);
    }
  }
}

/// Passes a message on unopened: copied in once, and from there out to every channel and, opened,
/// into memory.
void Run::forwardSealed(Context& c, const PlanOp& op, std::size_t bytes) {
  const auto records = static_cast<std::uint32_t>(recordsOf(bytes));
  const std::size_t onWire = sealedBytes(bytes);
  const Term& source = plan_->terms[op.src];
  std::byte* message = staging(kMessage, onWire);
  arrived(c, source, onWire, 0).copyOut(0, message, onWire);
  for (std::uint32_t k = 0; k < op.dsts; ++k) {
    const Term& term = plan_->terms[op.dst + k];
    if (term.kind == Term::Kind::message) {
      shm::OutChannel& channel = *plan_->outs[term.port].channel;
      if (isLines(channel.protocol()))
        channel.writeLines(outStep(c, term), stamp_, message, onWire);
      else
        channel.payload(outStep(c, term)).copyIn(0, message, onWire);
      continue;
    }
    std::byte* plain = local(c, term);
    for (std::uint32_t record = 0; record < records; ++record) {
      copyRecordIn(sealer_, shm::ConstSharedBytes(message), bytes, record);
      openRecord(c, source, record, sizeOfRecord(bytes, record),
                 plain + std::size_t{record} * kRecordBytes);
    }
  }
}

}  // namespace lockstep::host
