// Registered memory: regions that every rank allocated together and mapped from every other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/mapping.hpp"
#include "bootstrap/peers.hpp"
#include "transport/shm/open_buffers.hpp"

namespace lockstep::shm {

/// Where a buffer is, in terms another rank understands.
struct Location {
  static constexpr std::uint64_t kAddress = 0;  ///< `offset` is an address in the owner's process
  static constexpr std::uint64_t kNothing = ~std::uint64_t{0};  ///< there is no such buffer
  std::uint64_t region = kAddress;                              ///< id of a region otherwise
  std::uint64_t offset = 0;
  friend bool operator==(const Location&, const Location&) = default;
};

/// One region as this rank sees it.
struct Region {
  std::uint64_t id = 0;
  std::size_t bytes = 0;
  std::vector<Mapping> maps;  ///< by rank; mine among them
  int rank = 0;
  std::optional<OpenBuffer> open;  ///< says that others use mine
  std::byte* mine() const { return maps[static_cast<std::size_t>(rank)].data(); }
};

/// Collective: throws mismatch, on all ranks and with all sizes, unless every rank allocates as
/// much.
void compareSizes(Peers& peers, std::size_t bytes, Deadline deadline);

class Regions {
 public:
  /// Collective. `bytes` of zeroed memory that all ranks can reach; the same size everywhere.
  /// Regions that every rank has dropped are unmapped on this occasion.
  std::shared_ptr<Region> add(Peers& peers, std::size_t bytes, Deadline deadline);

  /// Where my buffer [data, data + bytes) is. No system call, no allocation.
  Location locate(const void* data, std::size_t bytes) const;
  /// Changes whenever a region comes or goes: what resolve has said may then no longer hold.
  std::uint64_t edition() const { return edition_; }
  /// A peer's buffer in my address space; nullptr when the location is not inside a region we
  /// share.
  std::byte* resolve(int rank, Location where, std::size_t bytes) const;

 private:
  void collect(Peers& peers, Deadline deadline);
  static void map(Region& region, Peers& peers, std::size_t bytes, Deadline deadline);
  std::vector<std::shared_ptr<Region>> regions_;  ///< ids ascending
  std::uint64_t nextId_ = 1;
  std::uint64_t edition_ = 1;
};

}  // namespace lockstep::shm
