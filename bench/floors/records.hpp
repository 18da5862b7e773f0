// Sealed records between two ranks, through slots in shared memory.
#pragma once

#include <cstring>

#include "bench/floors/gcm.hpp"
#include "bench/floors/kernels.hpp"
#include "bench/floors/team.hpp"

namespace lockstep::floors {

/// Where the ranks of a team find the records they send each other: a stream of `depth` slots from
/// everyone to everyone.
class Streams {
 public:
  /// All ranks at once.
  Streams(Team& team, std::size_t recordBytes, std::size_t depth)
      : team_(team),
        depth_(depth),
        slotBytes_(roundUp(recordBytes + kTag, kCacheLine)),
        room_(depth * (sizeof(Flag) + slotBytes_)),
        mine_(team.takeShared(static_cast<std::size_t>(team.ranks()) * room_)) {}

  struct Stream {
    Flag* flags;
    std::byte* slots;
  };
  Stream to(int peer) const { return at(mine_, peer); }
  Stream from(int peer) const { return at(team_.at(peer, mine_), team_.rank()); }
  std::size_t depth() const { return depth_; }
  std::size_t slotBytes() const { return slotBytes_; }

 private:
  Stream at(std::byte* side, int receiver) const {
    std::byte* begin = side + static_cast<std::size_t>(receiver) * room_;
    return {reinterpret_cast<Flag*>(begin), begin + depth_ * sizeof(Flag)};
  }
  const Team& team_;
  std::size_t depth_, slotBytes_, room_;
  std::byte* mine_;
};

/// The records to one peer and those from it. The user sees to it that a slot is free: number n is
/// sent after the peer has received number n - depth. Streaming into the slots: see SlotOneShot.
template <Write Slot, Waiting How = Waiting::spin>
class Records {
 public:
  Records(const Streams& streams, int peer, Gcm& gcm)
      : gcm_(gcm),
        depth_(streams.depth()),
        slotBytes_(streams.slotBytes()),
        to_(streams.to(peer)),
        from_(streams.from(peer)),
        sealing_(Mapping::anonymous(slotBytes_)),
        opening_(Mapping::anonymous(slotBytes_)) {}

  void send(const float* plain, std::size_t count) {
    const std::size_t bytes = count * sizeof(float), slot = sent_ % depth_;
    gcm_.seal(plain, sealing_.data(), bytes);
    // Whole lines, so that none is written half past the cache and half through it.
    copy<Slot>(reinterpret_cast<float*>(to_.slots + slot * slotBytes_),
               reinterpret_cast<const float*>(sealing_.data()),
               roundUp(bytes + kTag, kCacheLine) / sizeof(float));
    to_.flags[slot].raise(++sent_);
  }
  /// The plaintext of the next record, valid until the next call.
  const float* receive(std::size_t count) {
    auto* plain = reinterpret_cast<float*>(opening_.data());
    receive(plain, count);
    return plain;
  }
  /// Opens the next record to private memory.
  void receive(float* plain, std::size_t count) {
    const std::size_t bytes = count * sizeof(float), slot = received_ % depth_;
    await<How>(from_.flags[slot], ++received_);
    std::memcpy(opening_.data(), from_.slots + slot * slotBytes_, bytes + kTag);
    gcm_.open(opening_.data(), reinterpret_cast<std::byte*>(plain), bytes);
  }

 private:
  Gcm& gcm_;
  std::size_t depth_, slotBytes_;
  Streams::Stream to_, from_;
  Mapping sealing_, opening_;
  std::uint64_t sent_ = 0, received_ = 0;
};

}  // namespace lockstep::floors
