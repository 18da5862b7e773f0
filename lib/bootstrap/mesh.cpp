#include "bootstrap/mesh.hpp"

#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include "base/fail.hpp"
#include "bootstrap/mesh_gather.hpp"
#include "bootstrap/mesh_group.hpp"
#include "bootstrap/mesh_shrink.hpp"

namespace lockstep {

Mesh::Mesh(std::vector<Link> links, int rank)
    : links_(std::move(links)), rank_(rank), owner_(::getpid()) {
  links_[static_cast<std::size_t>(rank)].pid = owner_;
}

Mesh::~Mesh() {
  if (::getpid() != owner_) return;
  for (const Link& link : links_)
    if (link.socket) ::shutdown(link.socket.get(), SHUT_RDWR);
}

std::vector<Bytes> Mesh::allGather(std::span<const std::byte> mine, const Look& look,
                                   Deadline deadline) {
  return gatherOverLinks(links_, rank_, exchanges_++, mine, look, deadline);
}

std::vector<Fd> Mesh::exchangeFds(const Fd& mine, const Look& look, Deadline deadline) {
  return lockstep::exchangeFds(links_, rank_, exchanges_++, mine, look, deadline);
}

std::unique_ptr<Peers> Mesh::group(std::span<const int> members, const Look& look,
                                   Deadline deadline) {
  const std::uint32_t number = exchanges_++;
  if (members.empty()) return nullptr;
  return peersOver(connectGroup(links_, rank_, members, number, look, deadline),
                   placeIn(members, rank_));
}

void Mesh::shrink(const Peers::Build& build, const Look& look, Deadline deadline) {
  shrinkOverLinks(
      links_, rank_, shrinks_,
      [&](std::vector<Link> links, std::span<const int> members) {
        build(peersOver(std::move(links), placeIn(members, rank_)), members);
      },
      look, deadline);
}

namespace {

class MeshPeers final : public Peers {
 public:
  MeshPeers(std::vector<Link> links, int rank) : mesh_(std::move(links), rank) {}

  int rank() const override { return mesh_.rank(); }
  int worldSize() const override { return mesh_.worldSize(); }
  bool sameProcess() const override { return false; }
  pid_t pidOf(int rank) const override { return mesh_.pidOf(rank); }
  int pidfdOf(int rank) const override { return mesh_.pidfdOf(rank); }
  std::vector<Bytes> allGather(std::span<const std::byte> mine, Deadline deadline) override {
    return mesh_.allGather(mine, look(), deadline);
  }
  std::vector<Fd> exchangeFds(const Fd& mine, Deadline deadline) override {
    return mesh_.exchangeFds(mine, look(), deadline);
  }
  std::vector<std::shared_ptr<void>> share(std::shared_ptr<void>, Deadline) override {
    fail(ErrorCode::internal, "processes cannot share an object");
  }
  std::uint64_t gone() noexcept override { return mesh_.gone(); }
  std::unique_ptr<Peers> group(std::span<const int> members, Deadline deadline) override {
    return mesh_.group(members, look(), deadline);
  }
  void shrink(const Build& build, Deadline deadline) override {
    mesh_.shrink(build, look(), deadline);
  }

 private:
  Mesh mesh_;
};

}  // namespace

std::unique_ptr<Peers> peersOver(std::vector<Link> links, int rank) {
  return std::make_unique<MeshPeers>(std::move(links), rank);
}

}  // namespace lockstep
