#include "attack/stepped_world.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <stdexcept>

#include <fmt/format.h>

#include "cc_mode/secure_pass.hpp"
#include "support/stepped_rank.hpp"

namespace lockstep::testing {

using schedule::BufferName;
using shm::Protocol;

namespace {

constexpr std::uint32_t kUntouched = 0xdeadbeef;

std::uint32_t valueOf(int call, int rank, int block, std::size_t i) {
  std::uint64_t x = static_cast<std::uint64_t>(call) << 48 ^
                    static_cast<std::uint64_t>(rank) << 40 ^
                    static_cast<std::uint64_t>(block) << 32 ^ i;
  x = (x + 1) * 0x9e3779b97f4a7c15ULL;
  return static_cast<std::uint32_t>((x ^ x >> 29) * 0xbf58476d1ce4e5b9ULL >> 32);
}

std::array<std::byte, cc::kKeyBytes> keyOf(unsigned salt, int sender, int receiver) {
  return {static_cast<std::byte>(salt + 1), static_cast<std::byte>(sender),
          static_cast<std::byte>(receiver)};
}

/// More than half of what a key may seal, twice: the next use is of the next epoch.
void age(cc::LiveKey& key) {
  constexpr std::uint64_t kMost = 24'296'003'999;  // records of no data
  static_cast<void>(key.reserve(kMost, 0));
}

}  // namespace

std::string_view name(Protocol protocol) {
  constexpr std::array<std::string_view, shm::kProtocols> names{"slots", "lines", "short lines"};
  return names[static_cast<std::size_t>(protocol)];
}

std::string toString(const Scene& s) {
  return fmt::format("{}, {}, {} ranks, root {}, {}, {} u32 in tiles of {} bytes, {} in flight",
                     s.algorithm == nullptr
                         ? "transfers"
                         : fmt::format("{} {}", name(s.algorithm->collective), s.algorithm->name),
                     name(s.mode), s.world, s.root, name(s.protocol), s.count, s.tileBytes,
                     s.depth);
}

struct SteppedWorld::Rank : SteppedRank {
  Rank(Peers& peers, std::shared_ptr<const cc::Aead> cipher)
      : SteppedRank(peers, std::move(cipher)) {
    for (const Protocol p : kAllProtocols) {
      for (int r = schedule::kEveryone; r < peers.worldSize(); ++r)
        outs.push_back(fabric.out(r, p));
      for (int w = 0; w < peers.worldSize(); ++w)
        for (const bool everyone : {false, true}) ins.push_back(fabric.in(w, everyone, p));
    }
  }
  /// Channels as they were when they were made.
  void restoreChannels() {
    auto nextOut = outs.begin();
    auto nextIn = ins.begin();
    for (const Protocol p : kAllProtocols) {
      for (int r = schedule::kEveryone; r < fabric.worldSize(); ++r) fabric.out(r, p) = *nextOut++;
      for (int w = 0; w < fabric.worldSize(); ++w)
        for (const bool everyone : {false, true}) fabric.in(w, everyone, p) = *nextIn++;
    }
  }

  std::vector<shm::OutChannel> outs;
  std::vector<shm::InChannel> ins;
  std::optional<cc::KeyRing> keys;
  std::unique_ptr<const host::Plan> plan;
  std::optional<host::Transfers> transfers;
  host::Call call;
  std::array<host::Transfer, 2> transfer;
  std::vector<std::uint32_t> in, out;
  bool ended = false, waits = false;
  std::optional<Fate> fate;
};

SteppedWorld::SteppedWorld(int world)
    : aead_(std::make_shared<WitnessAead>(cc::createAead(), witness_)),
      ends_(joinThreads(world)),
      ranks_(makeRanks(ends_.size(), [this](std::size_t r) {
        return std::make_unique<Rank>(*ends_[r], aead_);
      })) {
  std::vector<std::byte*> segments;
  for (const auto& rank : ranks_)
    segments.push_back(reinterpret_cast<std::byte*>(&rank->fabric.mine()));
  view_.emplace(std::move(segments));
}

SteppedWorld::~SteppedWorld() = default;

// ---- beginning ----

/// Flags, credits and words of control; what lies in slots stays.
void SteppedWorld::clear() {
  const int world = view_->world();
  for (int rank = 0; rank < world; ++rank) {
    new (&view_->control(rank)) shm::ControlArea();
    view_->control(rank).status.presence.store(static_cast<std::uint64_t>(shm::Presence::here));
    for (int i = 0; i < 2 * world; ++i) new (&view_->in(rank, i)) shm::InArea();
    for (int channel = 0; channel <= world; ++channel)
      for (const Protocol protocol : kAllProtocols)
        for (std::size_t slot = 0; slot < shm::slotsOf(protocol); ++slot)
          view_->clearFlags({rank, channel, protocol, slot});
  }
}

void SteppedWorld::addKeys(Rank& rank, int me, Keys keys) const {
  rank.keys.emplace(aead_);
  const auto add = [&](int sender, int receiver) {
    rank.keys->add({sender, receiver}, keyOf(keys.salt, sender, receiver));
    if (keys.aged) age(rank.keys->at({sender, receiver}));
  };
  for (int peer = 0; peer < view_->world(); ++peer) {
    if (isMulticast(scene_.mode)) add(peer, schedule::kEveryone);
    if (peer == me) continue;
    add(me, peer);
    add(peer, me);
  }
}

void SteppedWorld::renew(const Scene& scene, Keys keys, TagCheck check) {
  scene_ = scene;
  witness_ = {.sealed = {}, .check = check};
  history_.clear();
  call_ = 0;
  clear();
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    Rank& rank = *ranks_[r];
    rank.restoreChannels();
    rank.transfers.reset();
    addKeys(rank, static_cast<int>(r), keys);
    if (scene.algorithm == nullptr) {
      rank.transfers.emplace(rank.run, &*rank.keys);
      continue;
    }
    host::PlanRequest request;
    request.algorithm = scene.algorithm;
    request.type = DataType::u32;
    request.mode = scene.mode;
    request.root = scene.root;
    request.protocol = scene.protocol;
    request.tileBytes = scene.tileBytes;
    request.depth = scene.depth;
    // Before the old one goes: a run knows its last plan by its address.
    rank.plan = std::make_unique<const host::Plan>(host::lower(request, rank.fabric, &*rank.keys));
  }
}

void SteppedWorld::begin() {
  ++call_;
  witness_.sealed.clear();
  errors_.clear();
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    Rank& rank = *ranks_[r];
    rank.ended = rank.waits = false;
    rank.fate.reset();
    if (rank.transfers)
      beginTransfers(rank, static_cast<int>(r));
    else
      beginCall(rank, static_cast<int>(r));
  }
}

namespace {

/// Blocks of a rank's buffers.
struct Blocks {
  std::size_t in = 0, out = 0;
};
Blocks blocksOf(const Scene& s, int rank) {
  const Contract& contract = contractOf(s.algorithm->collective);
  const auto world = static_cast<std::size_t>(s.world);
  const auto blocks = [&](bool perRank, bool atRoot) {
    return !contract.hasData || (atRoot && rank != s.root) ? 0 : perRank ? world : 1;
  };
  return {blocks(contract.inPerRank, contract.inAtRoot),
          blocks(contract.outPerRank, contract.outAtRoot)};
}

}  // namespace

void SteppedWorld::beginCall(Rank& rank, int me) const {
  const auto [ins, outs] = blocksOf(scene_, me);
  rank.in.resize(ins * scene_.count);
  for (std::size_t i = 0; i < rank.in.size(); ++i)
    rank.in[i] = valueOf(call_, me, static_cast<int>(i / scene_.count), i % scene_.count);
  rank.out.assign(outs * scene_.count, kUntouched);
  rank.call = {};
  rank.call.in = rank.in.data();
  rank.call.out = rank.out.data();
  rank.call.count = scene_.count;
  rank.call.what = {.sequence = static_cast<std::uint64_t>(call_),
                    .collective = scene_.algorithm->collective,
                    .type = DataType::u32,
                    .reduction = Reduction::sum,
                    .count = scene_.count,
                    .root = scene_.root};
  rank.call.fingerprint = shm::fingerprint(rank.call.what);
  shm::announce(rank.fabric.mine().call, rank.call.what);
  rank.run.begin(*rank.plan, rank.call, false);
}

void SteppedWorld::beginTransfers(Rank& rank, int me) const {
  const int world = view_->world();
  rank.in.resize(scene_.count);
  for (std::size_t i = 0; i < rank.in.size(); ++i) rank.in[i] = valueOf(call_, me, 0, i);
  rank.out.assign(scene_.count, kUntouched);
  rank.transfer[0] = {.direction = host::Transfer::Direction::send,
                      .peer = (me + 1) % world,
                      .data = rank.in.data(),
                      .count = scene_.count,
                      .type = DataType::u32};
  rank.transfer[1] = {.direction = host::Transfer::Direction::receive,
                      .peer = (me + world - 1) % world,
                      .data = rank.out.data(),
                      .count = scene_.count,
                      .type = DataType::u32};
  for (host::Transfer& t : rank.transfer) rank.transfers->add(t);
}

// ---- stepping ----

void SteppedWorld::step(int r) {
  Rank& rank = *ranks_[static_cast<std::size_t>(r)];
  try {
    if (rank.transfers) {
      rank.waits = !rank.transfers->step();
      rank.ended = rank.transfers->idle();
      rank.transfers->finished() = {};
    } else {
      const host::Progress progress = rank.run.step();
      rank.waits = progress == host::Progress::none;
      rank.ended = progress == host::Progress::done;
    }
    if (rank.ended) rank.fate = isRight(r) ? Fate::right : Fate::wrong;
  } catch (const Error& error) {
    rank.ended = true;
    rank.fate = isTainted(r) ? Fate::tainted : Fate::failed;
    errors_.push_back(error.code());
  }
}

std::vector<Fate> SteppedWorld::drive(std::mt19937& random, const Hook& hook) {
  std::vector<int> left;
  for (int r = 0; r < view_->world(); ++r)
    if (!ended(r)) left.push_back(r);
  std::size_t waiting = 0;  // all in a row, each asked in vain since anything happened
  for (std::size_t at = 0; !left.empty() && waiting < 2 * left.size();) {
    at = waiting == 0 ? random() % left.size() : (at + 1) % left.size();
    const int rank = left[at];
    step(rank);
    const bool idle = !ended(rank) && awaited(rank) != nullptr;
    waiting = idle ? waiting + 1 : 0;
    const std::vector<Message> written = look(rank);
    if (hook && hook(rank, written)) waiting = 0;
    std::erase_if(left, [this](int r) { return ended(r); });
  }
  std::vector<Fate> fates;
  for (const auto& rank : ranks_) fates.push_back(rank->fate.value_or(Fate::stalled));
  return fates;
}

void SteppedWorld::playUntouched(std::mt19937& random) {
  begin();
  for (const Fate fate : drive(random))
    if (fate != Fate::right)
      throw std::runtime_error(toString(scene_) + ": a call that nobody attacked went wrong");
}

const shm::Word* SteppedWorld::awaited(int r) const {
  const Rank& rank = *ranks_[static_cast<std::size_t>(r)];
  if (rank.ended || !rank.waits) return nullptr;
  return rank.transfers ? rank.transfers->awaited().word : rank.run.awaited().word;
}

bool SteppedWorld::ended(int rank) const {
  return ranks_[static_cast<std::size_t>(rank)]->ended;
}

/// Element `at` of a rank's `out`.
std::uint32_t SteppedWorld::wanted(int me, std::size_t at) const {
  const int world = view_->world();
  const std::size_t i = at % scene_.count;
  if (scene_.algorithm == nullptr) return valueOf(call_, (me + world - 1) % world, 0, i);
  const Contract& contract = contractOf(scene_.algorithm->collective);
  const int home = contract.inPerRank ? me : 0;
  const int block = static_cast<int>(at / scene_.count);
  if (!contract.reduces) return valueOf(call_, contract.outPerRank ? block : scene_.root, home, i);
  std::uint32_t sum = 0;
  for (int from = 0; from < world; ++from) sum += valueOf(call_, from, home, i);
  return sum;
}

bool SteppedWorld::isRight(int me) const {
  const auto& out = ranks_[static_cast<std::size_t>(me)]->out;
  for (std::size_t at = 0; at < out.size(); ++at)
    if (out[at] != wanted(me, at)) return false;
  return true;
}

/// Where nothing is reduced: an element is as it was, or zeroed, or right.
bool SteppedWorld::isTainted(int me) const {
  if (scene_.algorithm != nullptr && contractOf(scene_.algorithm->collective).reduces) return false;
  const auto& out = ranks_[static_cast<std::size_t>(me)]->out;
  for (std::size_t at = 0; at < out.size(); ++at)
    if (out[at] != kUntouched && out[at] != 0 && out[at] != wanted(me, at)) return true;
  return false;
}

// ---- what an attacker sees ----

/// What `writer` has written since it was last looked at.
std::vector<Message> SteppedWorld::look(int writer) {
  std::vector<Message> written;
  for (int channel = 0; channel <= view_->world(); ++channel)
    for (const Protocol protocol : kAllProtocols)
      for (std::size_t slot = 0; slot < shm::slotsOf(protocol); ++slot) {
        const Spot at{writer, channel, protocol, slot};
        const std::uint64_t flag = view_->flag(at).load();
        if (flag == 0) continue;
        const bool known = std::ranges::any_of(
            history_, [&](const Message& m) { return m.at == at && m.step + 1 == flag; });
        const auto plain = known ? std::nullopt : plainBytes(at);
        if (!plain) continue;
        written.push_back({.at = at,
                           .step = flag - 1,
                           .call = call_,
                           .plain = *plain,
                           .content = view_->read(at, host::sealedBytes(*plain))});
      }
  // One step may write several messages of a channel; their order is that of their numbers.
  std::ranges::sort(written, {}, &Message::step);
  history_.insert(history_.end(), written.begin(), written.end());
  return written;
}

/// Finds what lies there among what was sealed in this call; nothing if it is none of that.
std::optional<std::size_t> SteppedWorld::plainBytes(const Spot& at) const {
  const auto holds = [&](std::size_t offset, std::span<const std::byte> bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i)
      if (view_->at(at, offset + i) != bytes[i]) return false;
    return true;
  };
  for (const Witness::Sealed& first : witness_.sealed) {
    if (!holds(0, first.cipher)) continue;
    std::size_t bytes = first.cipher.size();
    if (bytes == host::kRecordBytes)
      for (const Witness::Sealed& more : witness_.sealed)
        if (!more.cipher.empty() && bytes % host::kRecordBytes == 0 && holds(bytes, more.cipher))
          bytes += more.cipher.size();
    if (holds(bytes, first.tag)) return bytes;
  }
  return std::nullopt;
}

std::vector<int> SteppedWorld::readersOf(const Spot& at) const {
  if (at.channel != view_->world()) return {at.channel};
  std::vector<int> readers;
  for (int r = 0; r < view_->world(); ++r)
    if (r != at.writer) readers.push_back(r);
  return readers;
}

bool SteppedWorld::isPending(const Message& m) const {
  return std::ranges::any_of(
      readersOf(m.at), [&](int reader) { return view_->credit(m.at, reader).load() < m.step + 1; });
}

shm::Step SteppedWorld::nextRead(const Spot& at, int reader) const {
  const std::uint64_t credit = view_->credit(at, reader).load();
  return credit == 0 ? at.slot : credit - 1 + shm::slotsOf(at.protocol);
}

std::optional<Spot> SteppedWorld::spotOf(const shm::Word* flag) const {
  for (int writer = 0; writer < view_->world(); ++writer)
    for (int channel = 0; channel <= view_->world(); ++channel)
      for (const Protocol protocol : kAllProtocols)
        for (std::size_t slot = 0; slot < shm::slotsOf(protocol); ++slot) {
          const Spot at{writer, channel, protocol, slot};
          if (flag == &view_->flag(at)) return at;
          if (!isLines(protocol)) continue;
          const auto lines = view_->lines(at);
          if (std::less_equal<>()(&lines.front().flag, flag) &&
              std::less_equal<>()(flag, &lines.back().flag))
            return at;
        }
  return std::nullopt;
}

}  // namespace lockstep::testing
