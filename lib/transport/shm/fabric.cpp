#include "transport/shm/fabric.hpp"

#include "base/fail.hpp"

namespace lockstep::shm {

Fabric::Fabric(Peers& peers, Deadline deadline)
    : rank_(peers.rank()), worldSize_(peers.worldSize()), layout_(worldSize_) {
  const Fd file = createSharedMemory("lockstep", layout_.bytes());
  own_ = Mapping::ofFile(file, layout_.bytes(), Mapping::Access::readWrite);
  mine_ = reinterpret_cast<ControlArea*>(own_.data());

  std::vector<Fd> files = peers.exchangeFds(file, deadline);
  theirs_.resize(index(worldSize_));
  controls_.resize(index(worldSize_));
  for (int r = 0; r < worldSize_; ++r) {
    if (r == rank_) {
      controls_[index(r)] = mine_;
      continue;
    }
    checkSharedMemory(files[index(r)], layout_.bytes());
    theirs_[index(r)] = Mapping::ofFile(files[index(r)], layout_.bytes(), Mapping::Access::read);
    controls_[index(r)] = reinterpret_cast<const ControlArea*>(theirs_[index(r)].data());
  }
  connectChannels();
  mine_->status.presence.store(static_cast<std::uint64_t>(Presence::here),
                               std::memory_order_release);
}

void Fabric::connectChannels() {
  const std::size_t world = index(worldSize_);
  const auto outArea = [&](std::byte* base, std::size_t i) {
    return reinterpret_cast<OutArea*>(base + layout_.outArea(i));
  };
  const auto inArea = [&](std::byte* base, std::size_t i) {
    return reinterpret_cast<InArea*>(base + layout_.inArea(i));
  };
  const auto baseOf = [&](int r) { return r == rank_ ? own_.data() : theirs_[index(r)].data(); };
  const auto credits = [](InArea* area, Protocol p) {
    return p == Protocol::simple ? &area->simple : &area->ll;
  };

  for (const Protocol protocol : {Protocol::simple, Protocol::ll}) {
    auto& outs = out_[static_cast<std::size_t>(protocol)];
    for (int r = 0; r <= worldSize_; ++r)
      outs.emplace_back(outArea(own_.data(), index(r)), protocol);
    for (int r = 0; r < worldSize_; ++r) {
      if (r == rank_) continue;
      outs[index(r)].addReader(r, credits(inArea(baseOf(r), index(rank_)), protocol));
      outs[world].addReader(r, credits(inArea(baseOf(r), world + index(rank_)), protocol));
    }
    auto& ins = in_[static_cast<std::size_t>(protocol)];
    for (int w = 0; w < worldSize_; ++w)
      ins.emplace_back(outArea(baseOf(w), index(rank_)),
                       credits(inArea(own_.data(), index(w)), protocol), protocol, w);
    for (int w = 0; w < worldSize_; ++w)
      ins.emplace_back(outArea(baseOf(w), world),
                       credits(inArea(own_.data(), world + index(w)), protocol), protocol, w);
  }
}

OutChannel& Fabric::out(int reader, Protocol protocol) {
  return out_[static_cast<std::size_t>(protocol)][index(reader < 0 ? worldSize_ : reader)];
}

InChannel& Fabric::in(int writer, bool toEveryone, Protocol protocol) {
  return in_[static_cast<std::size_t>(protocol)][index(writer + (toEveryone ? worldSize_ : 0))];
}

}  // namespace lockstep::shm
