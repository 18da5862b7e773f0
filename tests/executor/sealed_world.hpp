// A world whose keys a test knows, whose segments it can look at, and whose ranks one thread
// plays, a step each: nothing happens in it that the test did not ask for.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "bootstrap/forwarding_peers.hpp"
#include "bootstrap/peers.hpp"
#include "cc_mode/secure_pass.hpp"
#include "executor/host/run.hpp"
#include "executor/host/transfer.hpp"

namespace lockstep::host {

/// Of 8 bytes, as the interpreter's.
inline constexpr DataType kType = DataType::i64;

/// A key that says whose it is: no secret.
inline std::array<std::byte, cc::kKeyBytes> keyOf(cc::KeyName name) {
  return {std::byte{1}, static_cast<std::byte>(name.sender), static_cast<std::byte>(name.receiver)};
}

/// One shape of call.
struct Case {
  const schedule::Algorithm* algorithm = nullptr;
  Mode mode = Mode::cc;
  int root = 0;
  shm::Protocol protocol = shm::Protocol::ll;
  std::size_t tileBytes = 0;
  Reduction reduction = Reduction::sum;
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
  /// What a rank seals and opens with, made of what it would otherwise use.
  using Cipher = std::function<std::shared_ptr<const cc::Aead>(
      int rank, std::shared_ptr<const cc::Aead> inner)>;

  explicit SealedWorld(int worldSize, const Cipher& cipher = {}) {
    std::vector<std::thread> threads;
    ends_ = joinThreads(worldSize);
    for (const auto& end : ends_) peers_.push_back(std::make_unique<SegmentPeers>(*end));
    ranks_.resize(ends_.size());
    for (std::size_t r = 0; r < ends_.size(); ++r)
      threads.emplace_back([&, r] {
        auto aead = cc::createAead();
        if (cipher) aead = cipher(static_cast<int>(r), std::move(aead));
        ranks_[r] = std::make_unique<Rank>(*peers_[r], std::move(aead));
      });
    for (std::thread& thread : threads) thread.join();
  }

  int size() const { return static_cast<int>(ranks_.size()); }
  std::span<std::byte> segment(int rank) const { return peers_[at(rank)]->segment(); }
  std::vector<std::int64_t>& in(int rank) { return ranks_[at(rank)]->in; }
  std::vector<std::int64_t>& out(int rank) { return ranks_[at(rank)]->out; }

  /// Makes ready for calls of this shape. Returns a rank's plan; in what ranks agree on, any one's.
  const Plan& prepare(const Case& c) {
    schedule_ = scheduleOf(c, size());
    case_ = c;
    for (const auto& rank : ranks_) {
      PlanRequest request;
      request.algorithm = c.algorithm;
      request.type = kType;
      request.reduction = c.reduction;
      request.mode = c.mode;
      request.root = c.root;
      request.protocol = c.protocol;
      request.tileBytes = c.tileBytes;
      request.depth = 3;
      rank->plans.push_back(
          std::make_unique<const Plan>(lower(request, rank->fabric, &rank->keys)));
    }
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
      Rank& rank = *ranks_[at(r)];
      rank.in.resize(schedule::blocksOf(schedule_, BufferName::in, r) * count);
      for (std::size_t i = 0; i < rank.in.size(); ++i) rank.in[i] = valueOf(r, i);
      rank.out.assign(schedule::blocksOf(schedule_, BufferName::out, r) * count, 0);
      rank.call = {};
      rank.call.in = rank.in.data();
      rank.call.out = rank.out.data();
      rank.call.count = count;
      rank.call.what = what;
      rank.call.fingerprint = shm::fingerprint(what);
      shm::announce(rank.fabric.mine().call, what);
      rank.run.begin(*rank.plans.back(), rank.call, false);
    }
    return what;
  }

  /// Steps all ranks until all are done; false if nobody can go on. `after` each step.
  bool drive(const std::function<void(int rank)>& after = {}) {
    std::vector<bool> done(ranks_.size());
    for (int idle = 0; idle < 3;) {
      ++idle;
      bool all = true;
      for (std::size_t r = 0; r < ranks_.size(); ++r) {
        if (done[r]) continue;
        const Progress progress = ranks_[r]->run.step();
        if (after) after(static_cast<int>(r));
        done[r] = progress == Progress::done;
        if (progress != Progress::none) idle = 0;
        all = all && done[r];
      }
      if (all) return true;
    }
    return false;
  }

  /// Sends from one rank to another; false if it does not arrive.
  bool transfer(int from, int to, std::vector<std::byte>& out, std::vector<std::byte>& in,
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
    Transfers& sender = ranks_[at(from)]->transfers;
    Transfers& receiver = ranks_[at(to)]->transfers;
    sender.add(send);
    receiver.add(receive);
    for (int idle = 0; idle < 3 && !(sender.idle() && receiver.idle()); ++idle)
      for (const int rank : {from, to}) {
        if (ranks_[at(rank)]->transfers.step()) idle = 0;
        if (after) after(rank);
      }
    const bool arrived = sender.idle() && receiver.idle();
    for (Transfers* transfers : {&sender, &receiver}) transfers->finished() = {};
    return arrived;
  }

 private:
  struct Rank {
    Rank(Peers& peers, std::shared_ptr<const cc::Aead> cipher)
        : aead(std::move(cipher)),
          fabric(peers, Deadline::in(std::chrono::seconds(20))),
          keys(aead),
          doorbell(fabric, false),
          run({.fabric = fabric,
               .regions = regions,
               .doorbell = doorbell,
               .pids = {},
               .pidfds = {},
               .sameProcess = true,
               .streamingBytes = 1 << 20,
               .aead = aead.get()}),
          transfers(withKeys(peers)) {}

    Transfers withKeys(const Peers& peers) {
      const int me = peers.rank();
      for (int peer = 0; peer < peers.worldSize(); ++peer) {
        const auto add = [&](cc::KeyName name) { keys.add(name, keyOf(name)); };
        add({peer, schedule::kEveryone});
        if (peer == me) continue;
        add({me, peer});
        add({peer, me});
      }
      return Transfers(run, &keys);
    }

    std::shared_ptr<const cc::Aead> aead;
    shm::Fabric fabric;
    shm::Regions regions;
    cc::KeyRing keys;
    Doorbell doorbell;
    Run run;
    Transfers transfers;
    std::vector<std::unique_ptr<const Plan>> plans;  ///< a run may know its last one by address
    Call call;
    std::vector<std::int64_t> in, out;
  };
  static std::size_t at(int rank) { return static_cast<std::size_t>(rank); }

  std::vector<std::unique_ptr<Peers>> ends_;
  std::vector<std::unique_ptr<SegmentPeers>> peers_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  schedule::Schedule schedule_;
  Case case_;
  std::uint64_t sequence_ = 0;
};

}  // namespace lockstep::host
