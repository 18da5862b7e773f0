// A world whose keys a test knows, whose segments it can look at, and whose ranks one thread
// plays, a step each: nothing happens in it that the test did not ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bootstrap/forwarding_peers.hpp"
#include "bootstrap/peers.hpp"
#include "cc_mode/secure_pass.hpp"
#include "executor/sealed_ranks.hpp"

namespace lockstep::host {

/// Of 8 bytes, as the interpreter's.
inline constexpr DataType kType = DataType::i64;

/// One shape of call.
struct Case {
  const schedule::Algorithm* algorithm = nullptr;
  Mode mode = Mode::cc;
  int root = 0;
  shm::Protocol protocol = shm::Protocol::ll;
  std::size_t tileBytes = 0;
  Reduction reduction = Reduction::sum;
  int depth = 3;
};

inline std::string describe(const Case& c, int world) {
  return fmt::format("{} {}, {}, {} ranks, root {}, {}, tiles of {} bytes",
                     name(c.algorithm->collective), c.algorithm->name, name(c.mode), world, c.root,
                     c.protocol == shm::Protocol::simple ? "simple"
                     : c.protocol == shm::Protocol::ll   ? "ll"
                                                         : "brief",
                     c.tileBytes);
}

inline schedule::Schedule scheduleOf(const Case& c, int world) {
  const bool multicast = isMulticast(c.mode);
  schedule::Schedule s = schedule::generate(
      *c.algorithm, {.worldSize = world, .multicast = multicast, .root = c.root});
  if (!multicast) s = schedule::deliverUnicast(std::move(s));
  return isSealed(c.mode) ? cc::secure(std::move(s), multicast) : s;
}

/// Remembers the segment that its rank shares with the others.
class SegmentPeers final : public ForwardingPeers {
 public:
  using ForwardingPeers::ForwardingPeers;
  std::vector<std::shared_ptr<void>> share(std::shared_ptr<void> mine, Deadline deadline) override {
    segment_ = std::static_pointer_cast<Mapping>(mine);
    return ForwardingPeers::share(std::move(mine), deadline);
  }
  std::span<std::byte> segment() const { return {segment_->data(), segment_->size()}; }

 private:
  std::shared_ptr<Mapping> segment_;
};

class SealedWorld {
 public:
  explicit SealedWorld(int worldSize, const Cipher& cipher = {}) : ends_(joinThreads(worldSize)) {
    for (const auto& end : ends_) peers_.push_back(std::make_unique<SegmentPeers>(*end));
    ranks_ = makeSealedRanks(peers_, cipher);
  }

  int size() const { return static_cast<int>(ranks_.size()); }
  SealedRank& rank(int r) const { return *ranks_[at(r)]; }
  std::span<std::byte> segment(int rank) const { return peers_[at(rank)]->segment(); }
  /// What has been sealed and opened since the last time, rank after rank.
  std::vector<testing::Use> takeUses() {
    std::vector<testing::Use> all;
    for (const auto& rank : ranks_) {
      const auto uses = rank->ledger.uses();
      all.insert(all.end(), uses.begin(), uses.end());
      rank->ledger.clear();
    }
    return all;
  }

  /// Makes ready for calls of this shape. Returns a rank's plan; in what ranks agree on, any one's.
  const Plan& prepare(const Case& c) {
    schedule_ = scheduleOf(c, size());
    case_ = c;
    PlanRequest request;
    request.algorithm = c.algorithm;
    request.type = kType;
    request.reduction = c.reduction;
    request.mode = c.mode;
    request.root = c.root;
    request.protocol = c.protocol;
    request.tileBytes = c.tileBytes;
    request.depth = c.depth;
    for (const auto& rank : ranks_) rank->plan(request);
    return *ranks_[0]->plans.back();
  }
  const schedule::Schedule& schedule() const { return schedule_; }

  /// Begins a call on every rank, which says so first, as communicators do. `valueOf`: an input's
  /// element.
  using Value = std::function<std::int64_t(int rank, std::size_t element)>;
  shm::CallDescription begin(std::size_t count, const Value& valueOf) {
    using schedule::BufferName;
    const shm::CallDescription what{.sequence = ++sequence_,
                                    .collective = case_.algorithm->collective,
                                    .type = kType,
                                    .reduction = case_.reduction,
                                    .count = count,
                                    .root = case_.root};
    for (int r = 0; r < size(); ++r) {
      SealedRank& mine = rank(r);
      mine.in.resize(schedule::blocksOf(schedule_, BufferName::in, r) * count);
      for (std::size_t i = 0; i < mine.in.size(); ++i) mine.in[i] = valueOf(r, i);
      mine.out.assign(schedule::blocksOf(schedule_, BufferName::out, r) * count, 0);
      mine.begin(*mine.plans.back(), what);
    }
    return what;
  }

  /// As driveAll.
  bool drive(const std::function<void(int rank)>& after = {}) { return driveAll(ranks_, after); }

  /// Sends from one rank to another; false if it does not arrive.
  template <class Byte>
  bool transfer(int from, int to, std::vector<Byte>& out, std::vector<Byte>& in,
                const std::function<void(int rank)>& after = {}) {
    using Direction = Transfer::Direction;
    Transfer send{.direction = Direction::send,
                  .peer = to,
                  .data = out.data(),
                  .count = out.size(),
                  .type = DataType::u8};
    Transfer receive{.direction = Direction::receive,
                     .peer = from,
                     .data = in.data(),
                     .count = in.size(),
                     .type = DataType::u8};
    Transfers &sender = rank(from).transfers, &receiver = rank(to).transfers;
    // What ends here stays in no list.
    const Forgets both{sender, receiver};
    sender.add(send);
    receiver.add(receive);
    for (int idle = 0; idle < 3 && !(sender.idle() && receiver.idle()); ++idle)
      for (const int who : {from, to}) {
        if (rank(who).transfers.step()) idle = 0;
        if (after) after(who);
      }
    return sender.idle() && receiver.idle();
  }

 private:
  struct Forgets {
    Transfers &sender, &receiver;
    ~Forgets() {
      sender.abandon();
      receiver.abandon();
    }
  };
  static std::size_t at(int rank) { return static_cast<std::size_t>(rank); }

  std::vector<std::unique_ptr<Peers>> ends_;
  std::vector<std::unique_ptr<SegmentPeers>> peers_;
  SealedRanks ranks_;
  schedule::Schedule schedule_;
  Case case_;
  std::uint64_t sequence_ = 0;
};

}  // namespace lockstep::host
