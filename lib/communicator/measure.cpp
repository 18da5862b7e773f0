// What no table can know of this machine and these ranks, measured when a communicator is created,
// by running the real plans: whether slots are better written past the cache, and from which size
// process_vm_readv is better than slots. Takes well under a millisecond for ranks with a core each.
#include "communicator/measure.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "base/mapping.hpp"
#include "communicator/communicator_impl.hpp"

namespace lockstep {

namespace {

constexpr std::size_t KiB = 1024;
constexpr int kRounds = 12;     // the fastest counts, so the first may warm up
constexpr int kMostRanks = 16;  // more of them take too long to measure for what it brings
/// Slots are streamed from here, if at all: below, fences cost more than misses.
constexpr std::size_t kStreamFrom = 1 * KiB;
/// A fact about one moment does not turn over the default for a few percent.
constexpr double kClearly = 0.9;

using Times = SlotTimes;
constexpr auto& kSizes = SlotTimes::kSizes;
constexpr std::size_t kWays = SlotTimes::kWays;

/// The slowest rank's times: the same on every rank.
Times slowest(Peers& peers, const Times& mine, Deadline deadline) {
  Times all = mine;
  for (const auto& bytes : peers.allGather(std::as_bytes(std::span(&mine, 1)), deadline)) {
    Times theirs;
    if (bytes.size() != sizeof theirs) continue;
    std::memcpy(&theirs, bytes.data(), sizeof theirs);
    for (std::size_t s = 0; s < kSizes.size(); ++s)
      for (std::size_t w = 0; w < kWays; ++w)
        all.seconds[s][w] = std::max(all.seconds[s][w], theirs.seconds[s][w]);
  }
  return all;
}

}  // namespace

SlotFacts conclude(const SlotTimes& times) {
  double through = 0, past = 0;
  for (const auto& row : times.seconds) {
    through += row[SlotTimes::throughCache];
    past += row[SlotTimes::pastCache];
  }
  SlotFacts facts;
  if (past < kClearly * through) facts.streamFrom = kStreamFrom;
  const auto slots = past < kClearly * through ? SlotTimes::pastCache : SlotTimes::throughCache;
  for (std::size_t s = kSizes.size(); s-- > 0;) {
    if (times.seconds[s][SlotTimes::attached] >= times.seconds[s][slots]) break;
    facts.attachAbove = s == 0 ? kSizes[0] / 2 : kSizes[s - 1];
  }
  return facts;
}

/// Runs one plan once. Returns seconds.
double CommunicatorImpl::timeOnce(const host::Plan& plan, void* in, void* out, std::size_t bytes) {
  call_.in = in;
  call_.out = out;
  call_.count = bytes / plan.elementBytes;
  call_.inAt = regions_.locate(in, bytes);
  call_.outAt = regions_.locate(out, bytes);
  ++call_.what.sequence;
  call_.what.count = call_.count;
  call_.fingerprint = shm::fingerprint(call_.what);
  shm::announce(fabric_.mine().call, call_.what);
  watch_.begin(call_.what, options_.timeout);
  const auto start = Clock::now();
  run_.begin(plan, call_, false);
  drive();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void CommunicatorImpl::measure() {
  if (worldSize() == 1 || worldSize() > kMostRanks || peers_->sameProcess()) return;
  const bool attach = !isSealed(options_.mode) && crossMemoryAttach_;
  const auto plan = [&](schedule::Edges edges, HostProtocol protocol) {
    const Choice choice{schedule::findAlgorithm(Collective::allReduce, "two_shot", edges), protocol,
                        128 * KiB, 4};
    return planOf(choice, {.bytes = kSizes.back()}, planMode());
  };
  const host::Plan* slots = plan(schedule::Edges::channels, HostProtocol::simple);
  const host::Plan* exposed =
      attach ? plan(schedule::Edges::exposure, HostProtocol::zeroCopy) : nullptr;
  const Mapping memory = Mapping::anonymous(2 * kSizes.back());
  std::byte *in = memory.data(), *out = in + kSizes.back();

  Times times;
  for (auto& row : times.seconds) row.fill(std::numeric_limits<double>::infinity());
  try {
    for (int round = 0; round < kRounds; ++round)
      for (std::size_t s = 0; s < kSizes.size(); ++s)
        for (std::size_t way = 0; way < kWays; ++way) {
          const bool attached = way == SlotTimes::attached;
          if (attached && !attach) continue;
          run_.streamSlotsFrom(way == SlotTimes::pastCache ? kStreamFrom
                                                           : host::Surroundings::kNeverStream);
          double& fastest = times.seconds[s][way];
          fastest = std::min(fastest, timeOnce(attached ? *exposed : *slots, in, out, kSizes[s]));
        }
    // The caller's first call is the first. No rank comes out of the exchange below before all have
    // taken their lines back: what is seen there later is of calls.
    run_.forgetCounters();
    call_ = {};
    shm::announce(fabric_.mine().call, call_.what);
    Control sealed = control("measure");
    times = slowest(sealed, times, Deadline::in(options_.timeout));
  } catch (const Error& error) {
    poison(error.code(), error.rank());
    throw;
  }
  const SlotFacts facts = conclude(times);
  run_.streamSlotsFrom(facts.streamFrom);
  attachAbove_ = facts.attachAbove;
  tuning_.attachPaysAbove(facts.attachAbove);
  if (attach) transfers_->attachFrom(facts.attachAbove + 1);
}

}  // namespace lockstep
