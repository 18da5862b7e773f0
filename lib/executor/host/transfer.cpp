#include "executor/host/transfer.hpp"

#include <algorithm>
#include <cstring>

#include "base/fail.hpp"
#include "cc_mode/digest.hpp"
#include "executor/host/copy.hpp"

namespace lockstep::host {

namespace {

using Direction = Transfer::Direction;

/// Payload of one slot. Smaller ones overlap the two ranks better, larger ones cost fewer flags.
constexpr std::size_t kTileBytes = std::size_t{32} << 10;
static_assert(kTileBytes <= shm::kSlotBytes && kTileBytes % kRecordBytes == 0);

constexpr std::size_t kTileRecords = kTileBytes / kRecordBytes;
/// No lane of a program has this number: no record of a transfer passes for one of a schedule's.
constexpr std::uint8_t kTransferLane = 255;
static_assert(kTransferLane >= kMaxLanes);

constexpr std::size_t kHereBytes = sizeof(shm::Location);  ///< a message that says where
static_assert(kHereBytes <= shm::kFirstLineBytes);

/// The sender and the receiver of a lane.
struct Ends {
  int sender = 0, receiver = 0;
};
Ends endsOf(Direction direction, int me, int peer) {
  return direction == Direction::send ? Ends{me, peer} : Ends{peer, me};
}

bool differs(const Transfer& t, const shm::TransferDescription& theirs) {
  return t.count != theirs.count || t.type != theirs.type;
}

}  // namespace

std::string toString(const Transfer& t) {
  return t.direction == Direction::send
             ? fmt::format("send of {} {} to rank {}", t.count, name(t.type), t.peer)
             : fmt::format("receive of {} {} from rank {}", t.count, name(t.type), t.peer);
}

Transfers::Transfers(Run& run, cc::KeyRing* keys)
    : run_(run),
      env_(run.surroundings()),
      sealer_(run.sealer()),
      counters_(run.counters()),
      keys_(keys) {
  for (std::size_t type = 0; type < kDataTypes && sealed(); ++type)
    digests_[type] =
        cc::digest16(fmt::format("lockstep transfer of {}", name(static_cast<DataType>(type))));
  const int world = env_.fabric.worldSize();
  for (const Direction direction : {Direction::send, Direction::receive})
    for (int peer = 0; peer < world; ++peer) {
      Lane lane;
      lane.direction = direction;
      lane.peer = peer;
      lane.awaited.rank = peer;
      const auto [sender, receiver] = endsOf(direction, rank(), peer);
      if (sealed() && peer != rank()) lane.key = &keys_->at({sender, receiver});
      lanes_.push_back(lane);
    }
  active_.reserve(lanes_.size());
  if (sealed()) run_.askOfSends([this](int peer) { return sentBy(peer); });
}

Transfers::Lane& Transfers::laneOf(Direction direction, int peer) {
  const int world = env_.fabric.worldSize();
  return lanes_[static_cast<std::size_t>(direction == Direction::send ? peer : world + peer)];
}

void Transfers::add(Transfer& transfer) {
  Lane& lane = laneOf(transfer.direction, transfer.peer);
  if (lane.queue.empty()) {
    if (active_.empty()) env_.fabric.mine().call.transfers.store(1, std::memory_order_relaxed);
    if (std::find(active_.begin(), active_.end(), &lane) == active_.end()) active_.push_back(&lane);
  }
  lane.queue.push(transfer);
}

bool Transfers::step() {
  bool moved = false;
  for (Lane* lane : active_)
    while (!lane->queue.empty() && attempt(*lane)) moved = true;
  // Who has nothing of its own to do helps those who fetch from it.
  for (std::size_t i = 0; !moved && i < active_.size(); ++i)
    moved = active_[i]->stage == Stage::lent && help(*active_[i]);
  if (!moved) return false;
  std::erase_if(active_, [](const Lane* lane) { return lane->queue.empty(); });
  if (active_.empty()) env_.fabric.mine().call.transfers.store(0, std::memory_order_relaxed);
  return true;
}

void Transfers::close() {
  for (Lane* lane : active_)
    if (lane->stage == Stage::fetch) closeFetch(*lane);
}

TransferList Transfers::abandon() {
  TransferList all = finished_;
  finished_ = {};
  for (Lane* lane : active_)
    while (!lane->queue.empty()) all.push(lane->queue.pop());
  active_.clear();
  return all;
}

/// Brings the first transfer of a lane one stage further, if nothing is missing.
bool Transfers::attempt(Lane& lane) {
  if (lane.peer == rank()) return lane.direction == Direction::receive && matchSelf(lane);
  const bool sends = lane.direction == Direction::send;
  switch (lane.stage) {
    case Stage::begin:
      begin(lane);
      return true;
    case Stage::head:
      return sends ? sendHead(lane) : receiveHead(lane);
    case Stage::body:
      return sends ? sendTile(lane) : receiveTile(lane);
    case Stage::lent:
      return awaitReturn(lane);
    case Stage::fetch:
      return fetch(lane);
  }
  return false;
}

/// A rank's send to itself and the receive it is for.
bool Transfers::matchSelf(Lane& receives) {
  Lane& sends = laneOf(Direction::send, rank());
  if (sends.queue.empty()) return false;
  const Transfer &from = *sends.queue.first(), &to = *receives.queue.first();
  if (from.count != to.count || from.type != to.type)
    throw Error(ErrorCode::mismatch, rank(), toString(to),
                fmt::format("rank {}: {} meets {}", rank(), toString(to), toString(from)));
  if (from.data != to.data && to.bytes() != 0) std::memcpy(to.data, from.data, to.bytes());
  finish(sends);
  finish(receives);
  return true;
}

void Transfers::finish(Lane& lane) {
  lane.stage = Stage::begin;
  finished_.push(lane.queue.pop());
}

/// Both ends take the same steps and nonces, in the same order.
void Transfers::begin(Lane& lane) {
  const Transfer& t = *lane.queue.first();
  const std::size_t bytes = t.bytes();
  lane.stamp = shm::stampOf({.sequence = ++lane.sequence, .count = t.count, .type = t.type});
  lane.whole = isWhole(bytes);
  lane.tile = 0;
  lane.tiles = static_cast<std::uint32_t>((bytes + kTileBytes - 1) / kTileBytes);
  lane.stage = Stage::head;
  if (sealed()) takeNonces(lane, bytes);
  lane.headStep = lane.direction == Direction::send
                      ? env_.fabric.out(lane.peer, shm::Protocol::ll).take(1)
                      : env_.fabric.in(lane.peer, false, shm::Protocol::ll).take(1);
}

/// A unit for the first message and one for each tile, of as many nonces as a tile has records.
void Transfers::takeNonces(Lane& lane, std::size_t bytes) const {
  if (lane.whole)
    lane.nonce = lane.key->reserve(1, bytes);
  else
    lane.nonce = lane.key->reserve(1 + std::uint64_t{lane.tiles}, kTileRecords, kRecordBytes);
}

// ---- sending ----

bool Transfers::sendHead(Lane& lane) {
  shm::OutChannel& out = env_.fabric.out(lane.peer, shm::Protocol::ll);
  if (!out.hasCredit(lane.headStep)) {
    lane.awaited = out.lacking();
    return false;
  }
  const Transfer& t = *lane.queue.first();
  const auto* payload = static_cast<const std::byte*>(t.data);
  const shm::Location here = env_.regions.locate(t.data, t.bytes());
  const bool lent = canLend(t, here);
  std::size_t bytes = lent ? kHereBytes : lane.whole ? t.bytes() : 0;
  const std::byte* message = lent ? reinterpret_cast<const std::byte*>(&here) : payload;
  if (sealed()) {
    message = seal(lane, true, 0, message, bytes);
    bytes += cc::kTagBytes;
  }
  out.writeLines(lane.headStep, lane.stamp | (lent ? shm::kDirect : 0), message, bytes);
  counters_.moved += bytes;
  if (env_.doorbell.armed()) out.ring(env_.doorbell, lane.headStep, bytes);
  if (lent) {
    lend(lane, here);
    lane.stage = Stage::lent;
  } else if (lane.whole) {
    finish(lane);
  } else {
    lane.bodyStep = env_.fabric.out(lane.peer, shm::Protocol::simple).take(lane.tiles);
    lane.stage = Stage::body;
  }
  return true;
}

/// Bytes of payload in the tile that is next.
std::size_t Transfers::tileBytes(const Lane& lane) const {
  return std::min(kTileBytes, lane.queue.first()->bytes() - lane.tile * kTileBytes);
}

bool Transfers::sendTile(Lane& lane) {
  shm::OutChannel& out = env_.fabric.out(lane.peer, shm::Protocol::simple);
  const shm::Step step = lane.bodyStep + lane.tile;
  if (!out.hasCredit(step)) {
    lane.awaited = out.lacking();
    return false;
  }
  const std::size_t bytes = tileBytes(lane);
  const auto* from =
      static_cast<const std::byte*>(lane.queue.first()->data) + lane.tile * kTileBytes;
  const shm::SharedBytes slot = out.payload(step);
  if (!sealed()) copyBytes(slot.inTheClear(), from, bytes, bytes >= env_.slotStreamingBytes);
  for (std::uint32_t record = 0; sealed() && record < recordsOf(bytes); ++record) {
    const std::byte* cipher =
        seal(lane, false, record, from + record * kRecordBytes, sizeOfRecord(bytes, record));
    copyRecordOut(slot, bytes, record, cipher, env_.slotStreamingBytes);
  }
  out.publishPayload(step, lane.stamp);
  const std::size_t onWire = sealed() ? sealedBytes(bytes) : bytes;
  counters_.moved += onWire;
  if (env_.doorbell.armed()) out.ring(env_.doorbell, step, onWire);
  nextTile(lane);
  return true;
}

void Transfers::nextTile(Lane& lane) {
  if (++lane.tile == lane.tiles) return finish(lane);
  if (sealed()) lane.key->done(unitOf(lane, false));
}

// ---- receiving ----

bool Transfers::receiveHead(Lane& lane) {
  shm::InChannel& in = env_.fabric.in(lane.peer, false, shm::Protocol::ll);
  const shm::Step step = lane.headStep;
  if (!in.ready(step, 0)) {  // the first line, whatever its message is
    lane.awaited = in.awaited(step, 0);
    return false;
  }
  const std::uint64_t stamp = in.fingerprint(step);
  checkStamp(lane, stamp);
  const Transfer& t = *lane.queue.first();
  const bool lent = (stamp & shm::kDirect) != 0;
  const std::size_t plain = lent ? kHereBytes : lane.whole ? t.bytes() : 0;
  const std::size_t bytes = sealed() ? plain + cc::kTagBytes : plain;
  if (!in.ready(step, bytes)) {
    lane.awaited = in.awaited(step, bytes);
    return false;
  }
  auto* to = static_cast<std::byte*>(t.data);
  shm::Location where;
  if (sealed()) {
    in.readLines(step, sealer_.copyIn(), bytes);
    open(lane, true, 0, plain, to);
  } else if (lent) {
    in.readLines(step, reinterpret_cast<std::byte*>(&where), kHereBytes);
  } else {
    in.readLines(step, to, bytes);
  }
  if (lent) {
    openFetch(lane, where);
    return true;
  }
  finishHead(lane);
  if (lane.whole) {
    finish(lane);
  } else {
    lane.bodyStep = env_.fabric.in(lane.peer, false, shm::Protocol::simple).take(lane.tiles);
    lane.stage = Stage::body;
  }
  return true;
}

/// The first message is no longer needed, and what it lent neither.
void Transfers::finishHead(Lane& lane) {
  shm::InChannel& in = env_.fabric.in(lane.peer, false, shm::Protocol::ll);
  in.consumed(lane.headStep);
  env_.doorbell.ring(in.credit(lane.headStep), lane.peer);
}

void Transfers::checkStamp(const Lane& lane, std::uint64_t stamp) {
  if ((sealed() ? stamp : stamp & ~shm::kDirect) != lane.stamp) [[unlikely]]
    refuseStamp(lane, stamp);
}

/// In sealed modes the stamp, and the line that says what the peer calls, are anybody's words: it
/// is a mismatch if the record was sealed as they say.
void Transfers::refuseStamp(const Lane& lane, std::uint64_t stamp) {
  const Transfer& t = *lane.queue.first();
  auto theirs = shm::transferOf(stamp);
  if (theirs && sealed() && !(differs(t, *theirs) && wasSealedAs(lane, *theirs))) theirs.reset();
  std::optional<shm::CallDescription> call;
  if (!theirs) call = sealed() ? wasSealedInCall(lane) : calledInstead(lane.peer);
  if (sealed() && !theirs && !call) refuseRecord(lane);
  throw Error(ErrorCode::mismatch, lane.peer, toString(t),
              fmt::format("{} (number {} between them) on rank {}, but rank {} {}: each send "
                          "must meet a receive of the same count and type, in the same order",
                          toString(t), lane.sequence, rank(), lane.peer,
                          theirs ? fmt::format("sends {} {}", theirs->count, name(theirs->type))
                          : call ? fmt::format("called {}", shm::toString(*call))
                                 : "calls something else"));
}

/// By its line, the call that a peer has made where I send or receive.
std::optional<shm::CallDescription> Transfers::calledInstead(int peer) const {
  const shm::CallLine &theirs = env_.fabric.of(peer).call, &mine = env_.fabric.mine().call;
  if (const auto different = shm::firstDifference(theirs, mine)) return different->theirs;
  const auto latest = shm::read(mine);
  return latest ? shm::read(theirs, latest->sequence + 1) : std::nullopt;
}

/// Is the first message that of a send like this?
bool Transfers::wasSealedAs(const Lane& lane, const shm::TransferDescription& theirs) {
  Transfer other;
  other.count = theirs.count;
  other.type = theirs.type;
  const std::size_t bytes = isWhole(other.bytes()) ? other.bytes() : 0;
  return run_.opens(env_.fabric.in(lane.peer, false, shm::Protocol::ll), lane.headStep, bytes,
                    *lane.key, lane.nonce, recordName(lane, other, true, 0));
}

/// Is it one of a collective?
std::optional<shm::CallDescription> Transfers::wasSealedInCall(const Lane& lane) {
  const auto nonces = [&](const cc::LiveKey& key) {
    return &key == lane.key ? lane.nonce : key.nextNonce();
  };
  return run_.sealedInCallOf(lane.peer, env_.fabric.in(lane.peer, false, shm::Protocol::ll),
                             lane.headStep, lane.headStep, nonces);
}

/// For a collective in which a record of this rank did not verify. Nothing is taken: neither step
/// nor nonce.
std::optional<shm::TransferDescription> Transfers::sentBy(int peer) {
  shm::InChannel& in = env_.fabric.in(peer, false, shm::Protocol::ll);
  Lane lane = laneOf(Direction::receive, peer);
  lane.headStep = run_.firstStep(in);
  lane.nonce = run_.firstNonce(*lane.key);
  lane.tile = 0;
  ++lane.sequence;
  if (!in.ready(lane.headStep, 0)) return std::nullopt;
  const auto sent = shm::transferOf(in.fingerprint(lane.headStep));
  return sent && wasSealedAs(lane, *sent) ? sent : std::nullopt;
}

bool Transfers::receiveTile(Lane& lane) {
  shm::InChannel& in = env_.fabric.in(lane.peer, false, shm::Protocol::simple);
  const shm::Step step = lane.bodyStep + lane.tile;
  const std::size_t bytes = tileBytes(lane);
  const std::size_t onWire = sealed() ? sealedBytes(bytes) : bytes;
  if (!in.ready(step, onWire)) {
    lane.awaited = in.awaited(step, onWire);
    return false;
  }
  auto* to = static_cast<std::byte*>(lane.queue.first()->data) + lane.tile * kTileBytes;
  const shm::ConstSharedBytes slot = in.payload(step);
  if (!sealed()) slot.copyOut(0, to, bytes);
  for (std::uint32_t record = 0; sealed() && record < recordsOf(bytes); ++record) {
    copyRecordIn(sealer_, slot, bytes, record);
    open(lane, false, record, sizeOfRecord(bytes, record), to + record * kRecordBytes);
  }
  in.consumed(step);
  env_.doorbell.ring(in.credit(step), lane.peer);
  nextTile(lane);
  return true;
}

// ---- sealed ----

RecordName Transfers::recordName(const Lane& lane, const Transfer& t, bool head,
                                 std::uint32_t record) const {
  const auto [sender, receiver] = endsOf(lane.direction, rank(), lane.peer);
  return {.digest = digests_[static_cast<std::size_t>(t.type)],
          .sequence = lane.sequence,
          .count = t.count,
          .tile = lane.tile,
          .index = head ? 0U : 1U,
          .epoch = lane.key->epochOf(unitOf(lane, head)),
          .record = static_cast<std::uint8_t>(record),
          .lane = kTransferLane,
          .sender = static_cast<std::int8_t>(sender),
          .receiver = static_cast<std::int8_t>(receiver)};
}

std::uint64_t Transfers::nonceOf(const Lane& lane, bool head, std::uint32_t record) {
  return lane.nonce + unitOf(lane, head) * kTileRecords + record;
}

const std::byte* Transfers::seal(Lane& lane, bool head, std::uint32_t record,
                                 const std::byte* plain, std::size_t bytes) {
  counters_.sealed += bytes;
  ++counters_.records;
  return sealer_.seal(lane.key->of(unitOf(lane, head)), nonceOf(lane, head, record),
                      recordName(lane, *lane.queue.first(), head, record), plain, bytes);
}

void Transfers::open(Lane& lane, bool head, std::uint32_t record, std::size_t bytes,
                     std::byte* plain) {
  counters_.opened += bytes;
  ++counters_.records;
  if (sealer_.open(lane.key->of(unitOf(lane, head)), nonceOf(lane, head, record),
                   recordName(lane, *lane.queue.first(), head, record), bytes, plain))
    return;
  refuseRecord(lane);
}

void Transfers::refuseRecord(const Lane& lane) const {
  const Transfer& t = *lane.queue.first();
  throw Error(ErrorCode::integrity, lane.peer, toString(t),
              fmt::format("{} (number {} between them): a record did not verify on rank {}: shared "
                          "memory was tampered with or is faulty. Create a new communicator to go "
                          "on",
                          toString(t), lane.sequence, rank()));
}

}  // namespace lockstep::host
