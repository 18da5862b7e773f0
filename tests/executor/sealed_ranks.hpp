// Ranks with keys and ledgers that one thread plays.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "executor/host/transfer.hpp"
#include "support/recording_aead.hpp"
#include "support/stepped_rank.hpp"

namespace lockstep::host {

/// A key that says whose it is: no secret.
inline testing::KeyBytes keyOf(cc::KeyName name) {
  return {std::byte{1}, static_cast<std::byte>(name.sender), static_cast<std::byte>(name.receiver)};
}

/// What is sealed and opened with, made of what would otherwise be.
using Cipher =
    std::function<std::shared_ptr<const cc::Aead>(int rank, std::shared_ptr<const cc::Aead> inner)>;

/// What a rank's cipher writes into, which is made before the cipher.
struct WithLedger {
  testing::Ledger ledger;
};

struct SealedRank : WithLedger, testing::SteppedRank {
  SealedRank(Peers& peers, std::shared_ptr<const cc::Aead> cipher)
      : SteppedRank(peers, std::make_shared<testing::RecordingAead>(std::move(cipher), ledger)),
        keys(aead),
        transfers(withKeys(peers)) {}

  /// `request`, planned for this rank: what was planned before stays, since a run may know it.
  const Plan& plan(const PlanRequest& request) {
    plans.push_back(std::make_unique<const Plan>(lower(request, fabric, &keys)));
    return *plans.back();
  }

  /// Begins a call from `in` to `out`, and says so first, as communicators do.
  void begin(const Plan& plan, const shm::CallDescription& what) {
    call = {};
    call.in = in.data();
    call.out = out.data();
    call.count = what.count;
    call.what = what;
    call.fingerprint = shm::fingerprint(what);
    shm::announce(fabric.mine().call, what);
    run.begin(plan, call, false);
  }

  cc::KeyRing keys;
  Transfers transfers;
  std::vector<std::unique_ptr<const Plan>> plans;
  Call call;
  std::vector<std::int64_t> in, out;

 private:
  Transfers withKeys(const Peers& peers) {
    const int me = peers.rank();
    const auto add = [&](cc::KeyName name) { keys.add(name, keyOf(name)); };
    for (int peer = 0; peer < peers.worldSize(); ++peer) {
      add({peer, schedule::kEveryone});
      if (peer == me) continue;
      add({me, peer});
      add({peer, me});
    }
    return {run, &keys};
  }
};

using SealedRanks = std::vector<std::unique_ptr<SealedRank>>;

/// One for each of `ends`, which stay.
template <class SomePeers>
SealedRanks makeSealedRanks(const std::vector<std::unique_ptr<SomePeers>>& ends,
                            const Cipher& cipher = {}) {
  return testing::makeRanks(ends.size(), [&](std::size_t r) {
    auto aead = cc::createAead();
    if (cipher) aead = cipher(static_cast<int>(r), std::move(aead));
    return std::make_unique<SealedRank>(*ends[r], std::move(aead));
  });
}

/// Steps all until all are done; false if nobody can go on. `after` each step.
inline bool driveAll(const SealedRanks& ranks, const std::function<void(int rank)>& after = {}) {
  std::vector<bool> done(ranks.size());
  for (int idle = 0; idle < 3;) {
    ++idle;
    bool all = true;
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      if (done[r]) continue;
      const Progress progress = ranks[r]->run.step();
      if (after) after(static_cast<int>(r));
      done[r] = progress == Progress::done;
      if (progress != Progress::none) idle = 0;
      all = all && done[r];
    }
    if (all) return true;
  }
  return false;
}

}  // namespace lockstep::host
