#include "collectives/verify/event_graph.hpp"

#include <algorithm>

namespace lockstep::schedule {

EventGraph::EventGraph(const Schedule& schedule, const Wiring& wiring, Extent extent)
    : schedule_(schedule),
      wiring_(wiring),
      extent_(extent),
      world_(static_cast<std::uint32_t>(schedule.shape.worldSize)),
      instances_(extent.calls * extent.tiles) {
  size_ = boundaryId(extent.calls, static_cast<int>(world_));
  const std::vector<Edge> all = edges();
  offsets_.assign(size_ + 1, 0);
  for (const auto& [from, to] : all) ++offsets_[from + 1];
  for (std::uint32_t id = 0; id < size_; ++id) offsets_[id + 1] += offsets_[id];
  successors_.resize(all.size());
  std::vector<std::uint32_t> next(offsets_.begin(), offsets_.end() - 1);
  for (const auto& [from, to] : all) successors_[next[from]++] = to;
}

// Numbering: instance by instance its operations, then its ends by rank; at last the boundaries.

std::uint32_t EventGraph::opId(std::uint32_t instance, std::uint32_t site) const {
  return instance * (static_cast<std::uint32_t>(wiring_.sites.size()) + world_) + site;
}

std::uint32_t EventGraph::doneId(std::uint32_t instance, int rank) const {
  return opId(instance, static_cast<std::uint32_t>(wiring_.sites.size())) +
         static_cast<std::uint32_t>(rank);
}

std::uint32_t EventGraph::boundaryId(std::uint32_t call, int rank) const {
  return opId(instances_, 0) + call * world_ + static_cast<std::uint32_t>(rank);
}

Event EventGraph::event(std::uint32_t id) const {
  const auto sites = static_cast<std::uint32_t>(wiring_.sites.size());
  const std::uint32_t boundaries = opId(instances_, 0);
  if (id >= boundaries)
    return {.kind = Event::Kind::boundary,
            .call = (id - boundaries) / world_,
            .tile = 0,
            .site = 0,
            .rank = static_cast<int>((id - boundaries) % world_)};
  const std::uint32_t instance = id / (sites + world_);
  const std::uint32_t within = id % (sites + world_);
  const bool isOp = within < sites;
  return {.kind = isOp ? Event::Kind::op : Event::Kind::done,
          .call = instance / extent_.tiles,
          .tile = instance % extent_.tiles,
          .site = isOp ? within : 0,
          .rank = isOp ? wiring_.sites[within].rank : static_cast<int>(within - sites)};
}

std::vector<EventGraph::Edge> EventGraph::edges() const {
  std::vector<Edge> edges;
  edges.reserve(size_ * std::size_t{4});
  addPrograms(edges);
  addMessages(edges);
  if (schedule_.exposes) addExposures(edges);
  return edges;
}

void EventGraph::addPrograms(std::vector<Edge>& edges) const {
  for (std::uint32_t instance = 0; instance < instances_; ++instance) {
    const std::uint32_t call = instance / extent_.tiles;
    const std::uint32_t tile = instance % extent_.tiles;
    const auto start = [&](int rank) {
      return tile < extent_.depth ? boundaryId(call, rank) : doneId(instance - extent_.depth, rank);
    };
    for (int rank = 0; rank < static_cast<int>(world_); ++rank) {
      edges.emplace_back(start(rank), doneId(instance, rank));
      edges.emplace_back(doneId(instance, rank), boundaryId(call + 1, rank));
    }
    for (std::uint32_t site = 0; site < wiring_.sites.size(); ++site) {
      const auto& at = wiring_.sites[site];
      const bool isLast =
          site + 1 == wiring_.sites.size() || wiring_.sites[site + 1].chain != at.chain;
      if (at.index == 0) edges.emplace_back(start(at.rank), opId(instance, site));
      edges.emplace_back(opId(instance, site),
                         isLast ? doneId(instance, at.rank) : opId(instance, site + 1));
    }
  }
}

void EventGraph::addMessages(std::vector<Edge>& edges) const {
  for (const Message& message : wiring_.messages)
    for (std::uint32_t instance = 0; instance < instances_; ++instance) {
      const std::uint32_t sent = opId(instance, message.sent.site);
      for (const MessageEnd& end : message.received)
        edges.emplace_back(sent, opId(instance, end.site));

      const std::uint32_t step = instance * message.perTile + message.index;
      if (extent_.slots == kEndless || step < extent_.slots) continue;
      const std::uint32_t freed = step - extent_.slots;  // its slot is the one that `step` takes
      const Message& before = wiring_.messages[message.first + freed % message.perTile];
      for (const MessageEnd& end : before.received)
        edges.emplace_back(opId(freed / message.perTile, end.site), sent);
    }
}

void EventGraph::addExposures(std::vector<Edge>& edges) const {
  std::vector<std::uint32_t> exposes, acquires, releases, closes;
  for (std::uint32_t site = 0; site < wiring_.sites.size(); ++site) {
    const OpKind kind = opAt(schedule_, wiring_.sites[site]).kind;
    if (kind == OpKind::expose) exposes.push_back(site);
    if (kind == OpKind::acquire) acquires.push_back(site);
    if (kind == OpKind::release) releases.push_back(site);
    if (kind == OpKind::close) closes.push_back(site);
  }
  const auto everyOther = [&](const auto& firsts, const auto& thens) {
    for (std::uint32_t instance = 0; instance < instances_; ++instance)
      for (const std::uint32_t first : firsts)
        for (const std::uint32_t then : thens)
          if (wiring_.sites[first].rank != wiring_.sites[then].rank)
            edges.emplace_back(opId(instance, first), opId(instance, then));
  };
  everyOther(exposes, acquires);
  everyOther(releases, closes);
}

std::vector<std::uint32_t> EventGraph::waits() const {
  std::vector<std::uint32_t> waits(size_, 0);
  for (const std::uint32_t to : successors_) ++waits[to];
  return waits;
}

std::vector<std::uint32_t> EventGraph::order() const {
  std::vector<std::uint32_t> waiting = waits();
  std::vector<std::uint32_t> order;
  order.reserve(size_);
  for (std::uint32_t id = 0; id < size_; ++id)
    if (waiting[id] == 0) order.push_back(id);
  for (std::size_t next = 0; next < order.size(); ++next)
    for (const std::uint32_t to : after(order[next]))
      if (--waiting[to] == 0) order.push_back(to);
  return order;
}

std::vector<std::uint32_t> EventGraph::circle() const {
  constexpr std::uint32_t kNone = ~0U;
  std::vector<bool> stuck(size_, true);
  for (const std::uint32_t id : order()) stuck[id] = false;
  // Whatever is stuck waits for something that is stuck: following that must come back.
  std::vector<std::uint32_t> waitsFor(size_, kNone);
  for (std::uint32_t id = 0; id < size_; ++id)
    if (stuck[id])
      for (const std::uint32_t to : after(id)) waitsFor[to] = id;
  const auto first = std::find(stuck.begin(), stuck.end(), true);
  if (first == stuck.end()) return {};

  std::vector<std::uint32_t> walked, place(size_, kNone);
  auto at = static_cast<std::uint32_t>(first - stuck.begin());
  while (place[at] == kNone) {
    place[at] = static_cast<std::uint32_t>(walked.size());
    walked.push_back(at);
    at = waitsFor[at];
  }
  return {walked.begin() + place[at], walked.end()};
}

std::string EventGraph::describe(std::uint32_t id) const {
  const Event e = event(id);
  switch (e.kind) {
    case Event::Kind::op:
      return schedule::describe(schedule_, wiring_.sites[e.site]);
    case Event::Kind::done:
      return fmt::format("the end of a tile on rank {}", e.rank);
    case Event::Kind::boundary:
      break;
  }
  return fmt::format("the caller of rank {}", e.rank);
}

}  // namespace lockstep::schedule
