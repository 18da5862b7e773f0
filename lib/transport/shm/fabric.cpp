#include "transport/shm/fabric.hpp"

#include "base/fail.hpp"

namespace lockstep::shm {

Fabric::Fabric(Peers& peers, Deadline deadline)
    : rank_(peers.rank()), worldSize_(peers.worldSize()), layout_(worldSize_) {
  segments_.resize(index(worldSize_));
  const Fd file = createSharedMemory("lockstep", layout_.bytes());
  segments_[index(rank_)] =
      std::make_shared<Mapping>(Mapping::ofFile(file, layout_.bytes(), Mapping::Access::readWrite));
  mine_ = reinterpret_cast<ControlArea*>(baseOf(rank_));
  if (peers.sameProcess())
    shareSegments(peers, deadline);
  else
    mapSegments(peers, file, deadline);
  for (int r = 0; r < worldSize_; ++r)
    controls_.push_back(reinterpret_cast<const ControlArea*>(baseOf(r)));
  connectChannels();
  mine_->status.presence.store(static_cast<std::uint64_t>(Presence::here),
                               std::memory_order_release);
}

/// Processes: each maps the others' files, read-only.
void Fabric::mapSegments(Peers& peers, const Fd& mine, Deadline deadline) {
  const std::vector<Fd> files = peers.exchangeFds(mine, deadline);
  for (int r = 0; r < worldSize_; ++r) {
    if (r == rank_) continue;
    checkSharedMemory(files[index(r)], layout_.bytes());
    segments_[index(r)] = std::make_shared<Mapping>(
        Mapping::ofFile(files[index(r)], layout_.bytes(), Mapping::Access::read));
  }
}

/// Threads: one mapping of each segment serves all, at one address, as a race detector wants it.
void Fabric::shareSegments(Peers& peers, Deadline deadline) {
  const auto all = peers.share(segments_[index(rank_)], deadline);
  for (int r = 0; r < worldSize_; ++r)
    segments_[index(r)] = std::static_pointer_cast<Mapping>(all[index(r)]);
}

void Fabric::connectChannels() {
  const int world = worldSize_;  // number of the channel to everyone
  const auto credits = [](InArea* area, Protocol p) {
    if (p == Protocol::brief) return area->brief.credit.data();
    return p == Protocol::simple ? area->simple.credit.data() : area->ll.credit.data();
  };

  for (const Protocol protocol : {Protocol::simple, Protocol::ll, Protocol::brief}) {
    auto& outs = out_[static_cast<std::size_t>(protocol)];
    for (int r = 0; r <= world; ++r) outs.emplace_back(outArea(rank_, r), protocol);
    for (int r = 0; r < world; ++r) {
      if (r == rank_) continue;
      outs[index(r)].addReader(r, credits(inArea(r, rank_), protocol));
      outs[index(world)].addReader(r, credits(inArea(r, world + rank_), protocol));
    }
    auto& ins = in_[static_cast<std::size_t>(protocol)];
    for (int w = 0; w < world; ++w)
      ins.emplace_back(outArea(w, rank_), credits(inArea(rank_, w), protocol), protocol, w);
    for (int w = 0; w < world; ++w)
      ins.emplace_back(outArea(w, world), credits(inArea(rank_, world + w), protocol), protocol, w);
  }
}

OutChannel& Fabric::out(int reader, Protocol protocol) {
  return out_[static_cast<std::size_t>(protocol)][index(reader < 0 ? worldSize_ : reader)];
}

InChannel& Fabric::in(int writer, bool toEveryone, Protocol protocol) {
  return in_[static_cast<std::size_t>(protocol)][index(writer + (toEveryone ? worldSize_ : 0))];
}

}  // namespace lockstep::shm
