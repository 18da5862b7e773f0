// Sealed floors of more than two ranks, under a key for each pair and direction: every record is
// sealed into private memory and copied out, copied in and opened there, as in sealed.cpp. Ranks
// that share a core yield to each other.
#include <algorithm>
#include <deque>

#include <fmt/format.h>

#include "bench/floors/floors.hpp"
#include "bench/floors/gcm.hpp"
#include "bench/floors/kernels.hpp"
#include "bench/floors/records.hpp"

namespace lockstep::floors {
namespace {

constexpr std::size_t kPerLine = kCacheLine / sizeof(float);

template <Write Slot>
struct Link {
  Link(const Team& team, int other, const Streams& streams)
      : peer(other), gcm(team, other), records(streams, other, gcm) {}
  int peer;
  Gcm gcm;
  Records<Slot, Waiting::yield> records;
};

/// To each peer. Every rank begins with the one after itself, so that not all wait for one.
template <Write Slot>
std::deque<Link<Slot>> linksOf(Team& team, std::size_t recordBytes, std::size_t depth) {
  const Streams streams(team, recordBytes, depth);
  std::deque<Link<Slot>> links;
  for (int i = 1; i < team.ranks(); ++i)
    links.emplace_back(team, (team.rank() + i) % team.ranks(), streams);
  return links;
}

/// Everyone sends everything to all. Two slots of each stream need no acknowledgement: who sends a
/// record has received the one before it from everybody.
template <Write Slot>
class TeamOneShot : public Loop {
 public:
  TeamOneShot(Team& team, std::size_t record)
      : record_(record), links_(linksOf<Slot>(team, record * sizeof(float), 2)) {}

  void run(const float* in, float* out, std::size_t count) override {
    for (std::size_t at = 0; at < count; at += record_) {
      const std::size_t size = std::min(record_, count - at);
      for (auto& link : links_) link.records.send(in + at, size);
      const float* sums = in + at;
      for (auto& link : links_) {
        sum(out + at, sums, link.records.receive(size), size);
        sums = out + at;
      }
    }
  }

 private:
  std::size_t record_;
  std::deque<Link<Slot>> links_;
};

/// Each rank reduces a part of the message and sends the sums to all. As SealedTwoShot, with every
/// peer at once: inputs and results alternate in each stream, results one record behind, so four
/// slots need no acknowledgement.
template <Write Slot>
class TeamTwoShot : public Loop {
 public:
  TeamTwoShot(Team& team, std::size_t record)
      : team_(team), record_(record), links_(linksOf<Slot>(team, record * sizeof(float), 4)) {}

  void run(const float* in, float* out, std::size_t count) override {
    part_ = roundUp((count + ranks() - 1) / ranks(), kPerLine);
    count_ = count;
    const std::size_t n = (std::min(part_, count) + record_ - 1) / record_;
    for (std::size_t t = 0; t <= n; ++t) {
      for (auto& link : links_) {
        if (t < n) link.records.send(in + begin(link.peer, t), size(link.peer, t));
        if (t > 0) link.records.send(out + begin(me(), t - 1), size(me(), t - 1));
      }
      if (t < n) reduce(in + begin(me(), t), out + begin(me(), t), size(me(), t));
      if (t > 0)
        for (auto& link : links_)
          link.records.receive(out + begin(link.peer, t - 1), size(link.peer, t - 1));
    }
  }

 private:
  std::size_t ranks() const { return static_cast<std::size_t>(team_.ranks()); }
  int me() const { return team_.rank(); }
  /// Record t of a rank's part.
  std::size_t begin(int rank, std::size_t t) const {
    return std::min(static_cast<std::size_t>(rank) * part_ + t * record_, count_);
  }
  std::size_t size(int rank, std::size_t t) const {
    const std::size_t end = std::min((static_cast<std::size_t>(rank) + 1) * part_, count_);
    return std::min(begin(rank, t) + record_, std::max(end, begin(rank, t))) - begin(rank, t);
  }
  void reduce(const float* in, float* out, std::size_t count) {
    const float* sums = in;
    for (auto& link : links_) {
      sum(out, sums, link.records.receive(count), count);
      sums = out;
    }
  }

  Team& team_;
  std::size_t record_;
  std::deque<Link<Slot>> links_;
  std::size_t part_ = 0, count_ = 0;
};

template <template <Write> class L, Write Slot>
TeamFloor floorOf(const char* name, std::size_t record, std::size_t minBytes,
                  std::size_t maxBytes) {
  return {
      fmt::format("{} {}K{}", name, record >> 10, Slot == Write::streaming ? ", streaming in" : ""),
      Group::sealed, minBytes, maxBytes, [=](Team& team, std::size_t) {
        return std::make_unique<L<Slot>>(team, record / sizeof(float));
      }};
}

}  // namespace

std::vector<TeamFloor> sealedTeamFloors() {
  constexpr std::size_t KiB = 1024, kAny = ~std::size_t{0};
  std::vector<TeamFloor> floors;
  for (const std::size_t record : {1 * KiB, 4 * KiB, 8 * KiB, 16 * KiB}) {
    const std::size_t most = record == 1 * KiB ? 64 * KiB : kAny;
    floors.push_back(floorOf<TeamOneShot, Write::normal>("one-shot records", record, 1, 64 * KiB));
    floors.push_back(floorOf<TeamTwoShot, Write::normal>("two-shot records", record, record, most));
    floors.push_back(
        floorOf<TeamTwoShot, Write::streaming>("two-shot records", record, 4 * record, most));
  }
  return floors;
}

}  // namespace lockstep::floors
