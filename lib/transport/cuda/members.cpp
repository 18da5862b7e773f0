#include "transport/cuda/members.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/cuda/multicast.hpp"
#include "transport/cuda/together.hpp"

namespace lockstep::cuda {

namespace {

/// What the driver maps at once on every GPU; memory of cuMemAlloc that has a multiple of it shares
/// its pages with no other allocation, as IPC wants it.
constexpr std::uint64_t kLeastGranularity = std::uint64_t{2} << 20;

bool has(DeviceAttribute attribute, Device device) {
  int value = 0;
  check(driver().deviceGetAttribute(&value, attribute, device), "ask GPU {} what it supports",
        device);
  return value != 0;
}

Uuid uuidOf(Device device) {
  Uuid uuid = {};
  check(driver().deviceGetUuid(&uuid, device), "ask GPU {} who it is", device);
  return uuid;
}

std::uint64_t multicastGranularity(const PrimaryContext& context, int world) {
  try {
    return MulticastObject::granularity(context, static_cast<unsigned>(world), kLeastGranularity);
  } catch (const Error&) {
    return 1;  // there will be none; creating one says why
  }
}

std::uint64_t fabricGranularity(const PrimaryContext& context) {
  try {
    return Allocation::granularity(context, ShareableHandle::fabric);
  } catch (const Error&) {
    return 1;  // allocating it says why
  }
}

std::uint64_t granularityOf(const PrimaryContext& context, int world, bool multicast) {
  std::uint64_t most = kLeastGranularity;
  if (has(DeviceAttribute::virtualMemoryManagement, context.device()))
    most = std::max<std::uint64_t>(
        most, Allocation::granularity(context, ShareableHandle::posixDescriptor));
  if (Allocation::offersFabric(context)) most = std::max(most, fabricGranularity(context));
  if (multicast && world > 1) most = std::max(most, multicastGranularity(context, world));
  return most;
}

/// The GPU's ordinal in this process, if it sees it.
std::optional<Device> find(const Uuid& uuid) {
  int count = 0;
  check(driver().deviceGetCount(&count), "count the GPUs");
  for (Device device = 0; device < count; ++device)
    if (const Uuid one = uuidOf(device); std::memcmp(&one, &uuid, sizeof uuid) == 0) return device;
  return std::nullopt;
}

}  // namespace

bool sameDevice(const Member& a, const Member& b) {
  return std::memcmp(&a.uuid, &b.uuid, sizeof a.uuid) == 0;
}

Member describeMember(const PrimaryContext& context, int world, std::uint64_t bytes) {
  Member member;
  member.bytes = bytes;
  member.uuid = uuidOf(context.device());
  member.ordinal = context.device();
  const bool multicast =
      driver().hasMulticast() && has(DeviceAttribute::multicastSupported, context.device());
  member.multicast = multicast ? 1 : 0;
  member.granularity = granularityOf(context, world, multicast);
  return member;
}

void checkReach(const PrimaryContext& context, int rank, std::span<const Member> members) {
  const Member& self = members[static_cast<std::size_t>(rank)];
  for (std::size_t r = 0; r < members.size(); ++r) {
    if (sameDevice(members[r], self)) continue;
    const auto device = find(members[r].uuid);
    if (!device) continue;
    int can = 0;
    check(driver().deviceCanAccessPeer(&can, context.device(), *device),
          "ask whether GPU {} can reach GPU {}", context.device(), *device);
    if (can == 0)
      throw PeersUnreachable(
          rank,
          fmt::format("no peer access from GPU {} to GPU {} of rank {}: the path between them "
                      "(PCIe or the CPUs' link) has none, or confidential computing forbids "
                      "it; `nvidia-smi topo -p2p r` shows which GPUs reach each other",
                      context.device(), *device, r));
  }
}

}  // namespace lockstep::cuda
