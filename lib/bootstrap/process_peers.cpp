// Peers that are processes of one host: all-gathers go by the meeting point, descriptors and the
// news of a death by the mesh of Unix sockets.
#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.hpp"
#include "base/printable.hpp"
#include "bootstrap/join_key.hpp"
#include "bootstrap/meeting_connection.hpp"
#include "bootstrap/mesh.hpp"
#include "bootstrap/peers.hpp"
#include "bootstrap/socket.hpp"
#include "bootstrap/unix_mesh.hpp"

namespace lockstep {

namespace {

/// What each rank tells the others before they connect. Texts end with a NUL.
struct Introduction {
  std::array<char, 40> bootId;  ///< of the running kernel, so: of the host
  std::array<char, 65> hostName;
  std::uint64_t networkNamespace;  ///< abstract sockets do not reach beyond; 0: unknown
  std::uint32_t user;
  MeshAddress mesh;
};

template <std::size_t N>
void copyText(std::array<char, N>& to, const std::string& from) {
  std::memcpy(to.data(), from.data(), std::min(from.size(), N - 1));
}

template <std::size_t N>
std::string readText(const std::array<char, N>& from) {
  return printable({from.data(), ::strnlen(from.data(), N)});
}

Introduction introduce(const MeshAddress& mesh) {
  Introduction self{};
  std::string bootId;
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  if (!file && outOfDescriptors(errno)) failErrno("cannot tell which host this is");
  std::getline(file, bootId);
  copyText(self.bootId, bootId);
  ::gethostname(self.hostName.data(), self.hostName.size() - 1);
  struct stat status {};
  if (::stat("/proc/self/ns/net", &status) == 0) self.networkNamespace = status.st_ino;
  self.user = ::geteuid();
  self.mesh = mesh;
  return self;
}

std::vector<Introduction> decodeIntroductions(const std::vector<Bytes>& gathered) {
  std::vector<Introduction> all(gathered.size());
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (gathered[r].size() != sizeof(Introduction))
      fail(ErrorCode::bootstrap,
           "rank {} introduced itself in another way; do all ranks run the same version of "
           "Lockstep?",
           r);
    std::memcpy(&all[r], gathered[r].data(), sizeof(Introduction));
  }
  return all;
}

/// Every rank sees the same introductions, so all of them throw here, or none.
void checkOneHost(std::span<const Introduction> all) {
  const Introduction& first = all.front();
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r].bootId != first.bootId)
      fail(ErrorCode::unsupported,
           "ranks 0 and {} run on different hosts ({} and {}); this version connects ranks of one "
           "host",
           r, readText(first.hostName), readText(all[r].hostName));
    if (all[r].networkNamespace != first.networkNamespace)
      fail(ErrorCode::unsupported,
           "ranks 0 and {} run in different network namespaces of one host (containers {} and "
           "{}?); run them in one, or give the containers the host's network",
           r, readText(first.hostName), readText(all[r].hostName));
    if (all[r].user != first.user)
      fail(ErrorCode::unsupported,
           "ranks 0 and {} run as different users ({} and {}); run all ranks as one user", r,
           first.user, all[r].user);
  }
}

class ProcessPeers final : public Peers {
 public:
  ProcessPeers(const MeetingId& id, int rank, int worldSize, const JoinKey* key, Deadline deadline)
      : rank_(rank), meeting_(id, rank, worldSize, key, deadline) {
    MeshDoor door;
    const Introduction self = introduce(door.address());
    const auto all = decodeIntroductions(meeting_.allGather(
        std::as_bytes(std::span(&self, 1)), [] { return RankSet{0}; }, deadline));
    checkOneHost(all);
    std::vector<MeshAddress> addresses;
    for (const Introduction& one : all) addresses.push_back(one.mesh);
    mesh_.emplace(door.connect(
                      rank, addresses, key, [this] { meeting_.check(); }, deadline),
                  rank);
  }

  int rank() const override { return rank_; }
  int worldSize() const override { return mesh_->worldSize(); }
  bool sameProcess() const override { return false; }
  pid_t pidOf(int rank) const override { return mesh_->pidOf(rank); }
  int pidfdOf(int rank) const override { return mesh_->pidfdOf(rank); }

  std::vector<Bytes> allGather(std::span<const std::byte> mine, Deadline deadline) override {
    return meeting_.allGather(
        mine,
        [this] {
          look()();
          return gone();
        },
        deadline);
  }
  std::vector<Fd> exchangeFds(const Fd& mine, Deadline deadline) override {
    return mesh_->exchangeFds(mine, look(), deadline);
  }
  std::vector<std::shared_ptr<void>> share(std::shared_ptr<void>, Deadline) override {
    fail(ErrorCode::internal, "processes cannot share an object");
  }
  std::uint64_t gone() noexcept override { return mesh_->gone(); }
  std::unique_ptr<Peers> group(std::span<const int> members, Deadline deadline) override {
    return mesh_->group(members, look(), deadline);
  }
  void shrink(const Build& build, Deadline deadline) override {
    mesh_->shrink(build, look(), deadline);
  }

 private:
  int rank_;
  MeetingConnection meeting_;
  std::optional<Mesh> mesh_;  ///< once met
};

}  // namespace

std::unique_ptr<Peers> joinProcesses(const std::string& meetingPoint, int rank, int worldSize,
                                     Deadline deadline, std::span<const std::byte> psk) {
  const MeetingId id = MeetingId::parse(meetingPoint);
  if (worldSize < 1 || worldSize > kMaxWorld)
    fail(ErrorCode::invalidArgument, "a world has 1 to {} ranks, not {}", kMaxWorld, worldSize);
  if (rank < 0 || rank >= worldSize)
    fail(ErrorCode::invalidArgument, "there is no rank {} in a world of {}; ranks count from 0",
         rank, worldSize);
  if (!id.keyed) return std::make_unique<ProcessPeers>(id, rank, worldSize, nullptr, deadline);
  if (psk.empty())
    throw Error(ErrorCode::keyExchange, rank, {},
                "this meeting point lets in nobody without the pre-shared key: give this rank the "
                "one that the id was made with (Options::psk)");
  const JoinKey key(psk, id.token);
  return std::make_unique<ProcessPeers>(id, rank, worldSize, &key, deadline);
}

}  // namespace lockstep
