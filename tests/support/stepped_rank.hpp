// Ranks that one thread plays, a step here and a step there: what each has of the executor.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "bootstrap/peers.hpp"
#include "cc_mode/aead/aead.hpp"
#include "executor/host/run.hpp"

namespace lockstep::testing {

/// A rank's end of the fabric, and what runs on it.
struct SteppedRank {
  /// `cipher`: of sealed modes, else null.
  explicit SteppedRank(Peers& peers, std::shared_ptr<const cc::Aead> cipher = nullptr)
      : aead(std::move(cipher)),
        fabric(peers, Deadline::in(std::chrono::seconds(60))),
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
             }}) {}

  std::shared_ptr<const cc::Aead> aead;
  shm::Fabric fabric;
  shm::Regions regions;
  host::Doorbell doorbell;
  /// What the run is told of calls that its peers are said to make: nothing, unless a test does.
  std::function<const host::Plan*(const shm::CallDescription&)> planOf;
  int plansAsked = 0;
  host::Run run;
};

/// `make(rank)` for each, a unique_ptr: side by side, since whoever makes a fabric waits for the
/// others. Nothing after it needs a thread for each.
template <class Make>
auto makeRanks(std::size_t world, const Make& make) {
  std::vector<decltype(make(world))> ranks(world);
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < world; ++r) threads.emplace_back([&, r] { ranks[r] = make(r); });
  for (std::thread& thread : threads) thread.join();
  return ranks;
}

}  // namespace lockstep::testing
