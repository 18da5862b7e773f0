#include "transport/cuda/ways.hpp"

#include <functional>
#include <set>
#include <utility>

#include "base/cuda/memory.hpp"
#include "base/fail.hpp"

namespace lockstep::cuda {

namespace {

using Views = std::vector<SegmentView>;

std::size_t index(int rank) {
  return static_cast<std::size_t>(rank);
}

/// Memory of its own, zeroed, or another rank's, not touched.
SegmentView mapFor(const PrimaryContext& context, std::shared_ptr<const Allocation> memory) {
  auto map = std::make_shared<const MappedMemory>(MappedMemory::map(context, memory));
  const DevicePtr base = map->address();
  return {base, std::move(memory), std::move(map)};
}

SegmentView createSegment(const Wish& wish, ShareableHandle shareable) {
  SegmentView mine = mapFor(wish.context, Allocation::create(wish.context, wish.bytes, shareable));
  zero(wish.context, mine.base, wish.bytes);
  return mine;
}

// ---- ranks that are threads: one mapping serves all, at one address, as a race detector wants it

/// Lets every rank's device use this rank's mapping.
void allowAll(const Wish& wish, const SegmentView& mine) {
  std::set<int> devices;
  for (const Member& member : wish.members) devices.insert(member.ordinal);
  std::vector<AccessDescriptor> access;
  for (const int device : devices)
    access.push_back({{LocationType::device, device}, AccessFlags::readWrite});
  const Current current(wish.context);
  check(driver().memSetAccess(mine.base, wish.bytes, access.data(), access.size()),
        "let the GPUs of all ranks use memory of GPU {}", wish.context.device());
}

/// A multicast object of several processes takes only memory that could be exported, so this asks
/// for such where there is any.
ShareableHandle shareableOn(const PrimaryContext& context) {
  int can = 0;
  check(driver().deviceGetAttribute(&can, DeviceAttribute::handleTypePosixFileDescriptor,
                                    context.device()),
        "ask GPU {} what it supports", context.device());
  return can != 0 ? ShareableHandle::posixDescriptor : ShareableHandle::none;
}

std::optional<Refusal> mapOnce(const Wish& wish, Views& views) {
  const auto mine = std::make_shared<SegmentView>();
  if (auto refusal = together(wish.peers, wish.deadline, [&] {
        *mine = createSegment(wish, shareableOn(wish.context));
        allowAll(wish, *mine);
      }))
    return refusal;
  const auto all = wish.peers.share(mine, wish.deadline);
  for (std::size_t r = 0; r < views.size(); ++r)
    views[r] = *static_cast<const SegmentView*>(all[r].get());
  return std::nullopt;
}

// ---- ranks that are processes: the driver's virtual memory, passed as file descriptors

/// Maps all segments but this rank's own, each as `import` gets it. Collective.
std::optional<Refusal> mapOthers(
    const Wish& wish, Views& views,
    const std::function<std::shared_ptr<const Allocation>(std::size_t rank)>& import) {
  return together(wish.peers, wish.deadline, [&] {
    for (std::size_t r = 0; r < views.size(); ++r)
      if (r != index(wish.peers.rank())) views[r] = mapFor(wish.context, import(r));
  });
}

std::optional<Refusal> mapDescriptors(const Wish& wish, Views& views) {
  SegmentView& mine = views[index(wish.peers.rank())];
  Fd file;
  if (auto refusal = together(wish.peers, wish.deadline, [&] {
        mine = createSegment(wish, ShareableHandle::posixDescriptor);
        file = mine.memory->exportFd();
      }))
    return refusal;
  const std::vector<Fd> files = wish.peers.exchangeFds(file, wish.deadline);
  return mapOthers(wish, views, [&](std::size_t r) {
    return Allocation::importFd(wish.context, files[r], wish.bytes);
  });
}

// ---- where descriptors are refused (some containers and virtual GPUs): fabric handles, which are
// bytes. Descriptors are asked for first, since they take no IMEX channel.

std::optional<Refusal> mapFabric(const Wish& wish, Views& views) {
  SegmentView& mine = views[index(wish.peers.rank())];
  std::vector<FabricHandle> handles;
  const auto tell = [&] {
    if (!Allocation::offersFabric(wish.context))
      fail(ErrorCode::unsupported, "GPU {} has no fabric handles, says its driver",
           wish.context.device());
    mine = createSegment(wish, ShareableHandle::fabric);
    return mine.memory->exportFabric();
  };
  if (auto refusal = togetherTell<FabricHandle>(wish.peers, wish.deadline, tell, handles))
    return refusal;
  return mapOthers(wish, views, [&](std::size_t r) {
    return Allocation::importFabric(wish.context, handles[r], wish.bytes);
  });
}

// ---- where there are none: CUDA IPC, which no multicast object takes

SegmentView allocateForIpc(const Wish& wish, IpcMemoryHandle& handle) {
  const auto memory =
      std::make_shared<const DeviceMemory>(DeviceMemory::allocate(wish.context, wish.bytes));
  zero(wish.context, memory->address(), wish.bytes);
  handle = memory->exportIpc();
  return {memory->address(), nullptr, memory};
}

std::optional<Refusal> mapIpc(const Wish& wish, Views& views) {
  std::vector<IpcMemoryHandle> handles;
  const auto tell = [&] {
    IpcMemoryHandle handle{};
    views[index(wish.peers.rank())] = allocateForIpc(wish, handle);
    return handle;
  };
  if (auto refusal = togetherTell<IpcMemoryHandle>(wish.peers, wish.deadline, tell, handles))
    return refusal;
  return together(wish.peers, wish.deadline, [&] {
    for (int r = 0; r < wish.peers.worldSize(); ++r) {
      if (r == wish.peers.rank()) continue;
      const auto memory =
          std::make_shared<const IpcMemory>(IpcMemory::open(wish.context, handles[index(r)]));
      views[index(r)] = {memory->address(), nullptr, memory};
    }
  });
}

constexpr Way kThreads[] = {{"VMM, one mapping for all threads", mapOnce}};
constexpr Way kProcesses[] = {
    {"VMM, POSIX fds", mapDescriptors}, {"VMM, fabric handles", mapFabric}, {"CUDA IPC", mapIpc}};

}  // namespace

std::span<const Way> waysBetween(const Peers& peers) {
  if (peers.sameProcess()) return kThreads;
  return kProcesses;
}

}  // namespace lockstep::cuda
