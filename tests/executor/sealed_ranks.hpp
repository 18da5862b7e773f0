// Ranks with keys and ledgers, played by one thread: a step here and a step there.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "bootstrap/peers.hpp"
#include "executor/host/run.hpp"
#include "support/recording_aead.hpp"
#include <lockstep/error.hpp>

namespace lockstep::host {

/// A key that says whose it is: no secret.
inline testing::KeyBytes keyOf(int sender, int receiver) {
  return {std::byte{1}, static_cast<std::byte>(sender), static_cast<std::byte>(receiver)};
}

/// One rank with keys, and a ledger of its own.
struct SealedRank {
  SealedRank(Peers& peers, Deadline deadline)
      : fabric(peers, deadline),
        aead(std::make_shared<testing::RecordingAead>(cc::createAead(), ledger)),
        keys(aead),
        doorbell(fabric, false),
        run({.fabric = fabric,
             .regions = regions,
             .doorbell = doorbell,
             .pids = {},
             .pidfds = {},
             .sameProcess = true,
             .streamingBytes = 1 << 20,
             .aead = aead.get(),
             .planOf = [this](const shm::CallDescription& theirs) {
               ++plansAsked;
               return planOf ? planOf(theirs) : nullptr;
             }}) {
    const int me = peers.rank();
    for (int peer = 0; peer < peers.worldSize(); ++peer) {
      keys.add({peer, schedule::kEveryone}, keyOf(peer, schedule::kEveryone));
      if (peer == me) continue;
      keys.add({me, peer}, keyOf(me, peer));
      keys.add({peer, me}, keyOf(peer, me));
    }
  }

  shm::Fabric fabric;
  shm::Regions regions;
  testing::Ledger ledger;
  std::shared_ptr<const cc::Aead> aead;
  cc::KeyRing keys;
  Doorbell doorbell;
  /// What the run is told of calls that its peers are said to make.
  std::function<const Plan*(const shm::CallDescription&)> planOf;
  int plansAsked = 0;
  Run run;
  std::vector<std::unique_ptr<const Plan>> plans;
  Call call;
  std::vector<std::int32_t> in, out;
};

using SealedRanks = std::vector<std::unique_ptr<SealedRank>>;

inline SealedRanks makeWorld(int world, std::vector<std::unique_ptr<Peers>>& ends) {
  ends = joinThreads(world);
  SealedRanks ranks(ends.size());
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < ends.size(); ++r)
    threads.emplace_back([&, r] {
      ranks[r] = std::make_unique<SealedRank>(*ends[r], Deadline::in(std::chrono::seconds(20)));
    });
  for (std::thread& thread : threads) thread.join();
  return ranks;
}

/// One thread steps all until all are done; false if nobody can go on.
template <class Ranks, class Step>
bool driveAll(Ranks& ranks, Step step) {
  std::vector<bool> done(ranks.size());
  for (int idle = 0; idle < 100; ++idle) {
    bool all = true;
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      if (done[r]) continue;
      const Progress progress = step(*ranks[r]);
      done[r] = progress == Progress::done;
      if (progress != Progress::none) idle = 0;
      all = all && done[r];
    }
    if (all) return true;
  }
  return false;
}

}  // namespace lockstep::host
