// Virtual memory management: allocations, addresses, and which lies at which.
#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/contexts.hpp"
#include "cuda/fake_driver/limits.hpp"
#include "cuda/fake_driver/memory.hpp"

namespace lockstep::cuda::fake {
namespace {

constexpr int kDescriptor = static_cast<int>(ShareableHandle::posixDescriptor);
constexpr int kFabric = static_cast<int>(ShareableHandle::fabric);

bool isGranular(std::uint64_t bytes) {
  return bytes % kGranularity == 0;
}

void requireProperties(const AllocationProperties* properties) {
  require(properties != nullptr);
  require(properties->type == AllocationType::pinned);
  require(properties->location.type == LocationType::device);
  requireDevice(properties->location.id);
}

/// Addresses that nothing lies at.
void clear(void* at, std::size_t bytes, int flags) {
  require(::mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1,
                 0) != MAP_FAILED,
          Result::operatingSystem);
}

/// Throws unless [address, address + bytes) is whole mappings, one after the other.
void requireWholeMappings(const AddressSpace& all, DevicePtr address, std::size_t bytes) {
  require(bytes > 0);
  for (const DevicePtr end = address + bytes; address != end;) {
    const auto found = all.mappings.find(address);
    require(found != all.mappings.end() && found->second.origin == Origin::mapped);
    require(found->second.bytes <= end - address);
    address += found->second.bytes;
  }
}

void requireInReservation(const AddressSpace& all, DevicePtr address, std::size_t bytes) {
  auto after = all.reservations.upper_bound(address);
  require(after != all.reservations.begin());
  --after;
  require(address + bytes <= after->first + after->second);
}

bool isFree(const AddressSpace& all, DevicePtr address, std::size_t bytes) {
  const auto next = all.mappings.lower_bound(address);
  return all.at(address) == nullptr &&
         (next == all.mappings.end() || next->first >= address + bytes);
}

}  // namespace

void requireHandleTypes(unsigned long long types) {
  require((types & ~(0ULL | kDescriptor | kFabric)) == 0, Result::notSupported);
  require((types & kDescriptor) == 0 || !isSet("LOCKSTEP_FAKE_NO_FD_EXPORT"), Result::notSupported);
  if ((types & kFabric) == 0) return;
  require(isSet("LOCKSTEP_FAKE_FABRIC"), Result::notSupported);
  require(!isSet("LOCKSTEP_FAKE_NO_IMEX"), Result::notPermitted);
}

void memGetAllocationGranularity(std::size_t* granularity, const AllocationProperties* properties,
                                 Granularity) {
  require(granularity != nullptr);
  requireProperties(properties);
  *granularity = kGranularity;
}

void memCreate(AllocationHandle* handle, std::size_t bytes, const AllocationProperties* properties,
               unsigned long long flags) {
  require(handle != nullptr && flags == 0 && bytes > 0 && isGranular(bytes));
  requireProperties(properties);
  const int types = static_cast<int>(properties->requestedHandleTypes);
  requireHandleTypes(static_cast<unsigned>(types));
  auto physical = makePhysical(bytes, properties->location.id);
  physical->handleTypes = types;
  const std::lock_guard lock(space().mutex);
  *handle = space().addHandle(std::move(physical));
}

void memRelease(AllocationHandle handle) {
  Handle gone;  // its memory goes without the lock
  const std::lock_guard lock(space().mutex);
  const auto found = space().handles.find(handle);
  require(found != space().handles.end());
  if (--found->second.references > 0) return;
  gone = std::move(found->second);
  space().handles.erase(found);
}

void memRetainAllocationHandle(AllocationHandle* handle, void* address) {
  require(handle != nullptr);
  AddressSpace& all = space();
  const std::lock_guard lock(all.mutex);
  const auto* mapping = all.at(toAddress(address));
  require(mapping != nullptr && mapping->second.origin == Origin::mapped);
  for (auto& [known, entry] : all.handles)
    if (entry.physical == mapping->second.physical) {
      ++entry.references;
      *handle = known;
      return;
    }
  *handle = all.addHandle(mapping->second.physical);
}

void memExportToShareableHandle(void* out, AllocationHandle handle, ShareableHandle type,
                                unsigned long long flags) {
  require(out != nullptr && flags == 0);
  requireHandleTypes(static_cast<unsigned>(type));
  const std::lock_guard lock(space().mutex);
  const auto physical = space().find(handle);
  require((physical->handleTypes & static_cast<int>(type)) != 0);
  if (type == ShareableHandle::fabric) {
    static_assert(sizeof(Elsewhere) <= sizeof(FabricHandle));
    const Elsewhere there = Elsewhere::of(*physical);
    *static_cast<FabricHandle*>(out) = {};
    std::memcpy(out, &there, sizeof there);
    return;
  }
  const int copy = ::fcntl(physical->file.get(), F_DUPFD_CLOEXEC, 0);
  require(copy >= 0, Result::operatingSystem);
  *static_cast<int*>(out) = copy;
}

void memImportFromShareableHandle(AllocationHandle* handle, void* osHandle, ShareableHandle type) {
  require(handle != nullptr);
  requireHandleTypes(static_cast<unsigned>(type));
  require(type != ShareableHandle::none);
  std::shared_ptr<Physical> physical;
  if (type == ShareableHandle::fabric) {
    Elsewhere there;
    std::memcpy(static_cast<void*>(&there), osHandle, sizeof there);
    physical = there.open();
    physical->handleTypes = kFabric;
  } else {
    physical = importPhysical(static_cast<int>(reinterpret_cast<std::intptr_t>(osHandle)));
  }
  const std::lock_guard lock(space().mutex);
  *handle = space().addHandle(std::move(physical));
}

void memAddressReserve(DevicePtr* address, std::size_t bytes, std::size_t alignment, DevicePtr,
                       unsigned long long flags) {
  require(address != nullptr && flags == 0 && bytes > 0 && isGranular(bytes));
  require((alignment & (alignment - 1)) == 0);
  alignment = std::max(alignment, kGranularity);
  // Nothing can lie right behind it: what runs over its end is caught.
  const std::size_t room = bytes + alignment + kGranularity;
  void* start =
      ::mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(start != MAP_FAILED, Result::outOfMemory);
  const DevicePtr aligned = (toAddress(start) + alignment - 1) / alignment * alignment;
  const DevicePtr end = aligned + bytes + kGranularity;
  if (aligned > toAddress(start)) ::munmap(start, aligned - toAddress(start));
  if (toAddress(start) + room > end) ::munmap(toPointer(end), toAddress(start) + room - end);
  const std::lock_guard lock(space().mutex);
  space().reservations.emplace(aligned, bytes);
  *address = aligned;
}

void memAddressFree(DevicePtr address, std::size_t bytes) {
  AddressSpace& all = space();
  const std::lock_guard lock(all.mutex);
  const auto found = all.reservations.find(address);
  require(found != all.reservations.end() && found->second == bytes);
  require(isFree(all, address, bytes));
  ::munmap(toPointer(address), bytes + kGranularity);
  all.reservations.erase(found);
}

void memMap(DevicePtr address, std::size_t bytes, std::size_t offset, AllocationHandle handle,
            unsigned long long flags) {
  require(flags == 0 && bytes > 0 && isGranular(bytes) && isGranular(address));
  AddressSpace& all = space();
  const std::lock_guard lock(all.mutex);
  const auto physical = all.find(handle);
  // "offset must be zero" for memory; a multicast object has none of its own.
  require(offset == 0 || physical->multicast != nullptr);
  require(isGranular(offset) && offset <= physical->bytes && bytes <= physical->bytes - offset);
  requireInReservation(all, address, bytes);
  require(isFree(all, address, bytes));
  require(::mmap(toPointer(address), bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, physical->file.get(),
                 static_cast<off_t>(offset)) != MAP_FAILED,
          Result::operatingSystem);
  all.mappings.emplace(address, Mapped{bytes, physical, Origin::mapped, 0});
}

void memUnmap(DevicePtr address, std::size_t bytes) {
  AddressSpace& all = space();
  std::vector<Mapped> gone;
  const std::lock_guard lock(all.mutex);
  requireWholeMappings(all, address, bytes);
  clear(toPointer(address), bytes, MAP_FIXED);
  const auto first = all.mappings.lower_bound(address);
  const auto last = all.mappings.lower_bound(address + bytes);
  for (auto it = first; it != last; ++it) gone.push_back(std::move(it->second));
  all.mappings.erase(first, last);
}

void memSetAccess(DevicePtr address, std::size_t bytes, const AccessDescriptor* descriptors,
                  std::size_t count) {
  require(descriptors != nullptr && count > 0);
  AddressSpace& all = space();
  const std::lock_guard lock(all.mutex);
  requireWholeMappings(all, address, bytes);
  bool writable = false;
  for (auto it = all.mappings.lower_bound(address);
       it != all.mappings.end() && it->first < address + bytes; ++it) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto& [location, flags] = descriptors[i];
      require(location.type == LocationType::device);
      requireDevice(location.id);
      const DeviceSet bit = DeviceSet{1} << location.id;
      if (flags == AccessFlags::none) it->second.access &= ~bit;
      if (flags == AccessFlags::none) continue;
      require(canAccess(location.id, it->second.physical->device), Result::peerAccessUnsupported);
      it->second.access |= bit;
      writable = writable || flags == AccessFlags::readWrite;
    }
    protect(toPointer(it->first), it->second.bytes, it->second.access, writable);
  }
}

}  // namespace lockstep::cuda::fake
