#include "transport/shm/regions.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <span>
#include <string>

#include "base/fail.hpp"
#include "bootstrap/rank_set.hpp"

namespace lockstep::shm {

namespace {

std::vector<std::byte> toBytes(const std::vector<std::uint64_t>& ids) {
  std::vector<std::byte> bytes(ids.size() * sizeof(std::uint64_t));
  if (!ids.empty()) std::memcpy(bytes.data(), ids.data(), bytes.size());
  return bytes;
}

bool contains(std::span<const std::byte> bytes, std::uint64_t id) {
  for (std::size_t i = 0; i + sizeof id <= bytes.size(); i += sizeof id) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + i, sizeof value);
    if (value == id) return true;
  }
  return false;
}

}  // namespace

void compareSizes(Peers& peers, std::size_t bytes, Deadline deadline) {
  const auto said = peers.allGather(std::as_bytes(std::span(&bytes, 1)), deadline);
  std::map<std::size_t, RankSet> ranksOf;
  for (std::size_t r = 0; r < said.size(); ++r) {
    std::size_t theirs = 0;
    if (said[r].size() == sizeof theirs) std::memcpy(&theirs, said[r].data(), sizeof theirs);
    ranksOf[theirs] |= rankBit(static_cast<int>(r));
  }
  if (ranksOf.size() == 1) return;
  std::string text;
  for (const auto& [size, ranks] : ranksOf)
    text += fmt::format("{}{} for {} bytes", text.empty() ? "" : ", ", describe(ranks), size);
  fail(ErrorCode::mismatch, "alloc: the ranks asked for different sizes, {}; ask for the same",
       text);
}

void Regions::collect(Peers& peers, Deadline deadline) {
  std::vector<std::uint64_t> dropped;
  for (const auto& region : regions_)
    if (region.use_count() == 1) dropped.push_back(region->id);  // only we hold it
  const auto all = peers.allGather(toBytes(dropped), deadline);
  ++edition_;
  std::erase_if(regions_, [&](const std::shared_ptr<Region>& region) {
    return std::all_of(all.begin(), all.end(),
                       [&](const auto& theirs) { return contains(theirs, region->id); });
  });
}

std::shared_ptr<Region> Regions::add(Peers& peers, std::size_t bytes, Deadline deadline) {
  collect(peers, deadline);
  compareSizes(peers, bytes, deadline);
  // From here on ranks may fail one by one. The attempt uses the id up, so that it never names
  // different memory on different ranks; and a rank that fails ends its communicator, which the
  // others notice at their next call.
  auto region = std::make_shared<Region>();
  region->id = nextId_++;
  map(*region, peers, bytes, deadline);
  regions_.push_back(region);
  ++edition_;
  return region;
}

void Regions::map(Region& region, Peers& peers, std::size_t bytes, Deadline deadline) {
  const Fd file = createSharedMemory("lockstep-buffer", bytes);
  const std::vector<Fd> files = peers.exchangeFds(file, deadline);
  region.bytes = bytes;
  region.rank = peers.rank();
  region.maps.resize(files.size());
  for (std::size_t r = 0; r < files.size(); ++r) {
    const bool own = static_cast<int>(r) == peers.rank();
    if (!own) checkSharedMemory(files[r], bytes);
    region.maps[r] = Mapping::ofFile(own ? file : files[r], bytes, Mapping::Access::readWrite);
  }
  region.open.emplace(region.mine(), bytes);
}

Location Regions::locate(const void* data, std::size_t bytes) const {
  const auto* begin = static_cast<const std::byte*>(data);
  for (const auto& region : regions_) {
    const std::byte* base = region->mine();
    if (begin >= base && begin + bytes <= base + region->bytes)
      return {region->id, static_cast<std::uint64_t>(begin - base)};
  }
  return {Location::kAddress, reinterpret_cast<std::uintptr_t>(data)};
}

std::byte* Regions::resolve(int rank, Location where, std::size_t bytes) const {
  for (const auto& region : regions_) {
    if (region->id != where.region) continue;
    // The location is a peer's word: believe nothing of it.
    if (where.offset > region->bytes || bytes > region->bytes - where.offset) return nullptr;
    return region->maps[static_cast<std::size_t>(rank)].data() + where.offset;
  }
  return nullptr;
}

}  // namespace lockstep::shm
