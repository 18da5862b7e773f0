#include "cuda/fake_driver/multicast.hpp"

#include <algorithm>
#include <new>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/contexts.hpp"
#include "cuda/fake_driver/limits.hpp"

namespace lockstep::cuda::fake {
namespace {

constexpr std::size_t kPage = 4096;

std::shared_ptr<MulticastShared> mapShared(const Fd& file, std::size_t at) {
  void* page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(),
                      static_cast<off_t>(at));
  require(page != MAP_FAILED, Result::operatingSystem);
  return {static_cast<MulticastShared*>(page), [](void* mapped) { ::munmap(mapped, kPage); }};
}

std::shared_ptr<Physical> makeObject(Fd file, std::size_t bytes) {
  require(bool(file), Result::operatingSystem);
  auto object = std::make_shared<Physical>();
  object->multicast = std::make_shared<MulticastState>();
  object->multicast->shared = mapShared(file, bytes);
  object->bytes = bytes;
  object->file = std::move(file);
  return object;
}

void requireProperties(const MulticastProperties* properties) {
  require(properties != nullptr && properties->flags == 0);
  // "One device" is an invalid argument to the real driver too.
  require(properties->numDevices >= 2 && static_cast<int>(properties->numDevices) <= deviceCount());
}

/// Under the lock of the address space.
std::shared_ptr<Physical> findObject(AllocationHandle handle) {
  auto object = space().find(handle);
  require(object->multicast != nullptr);
  return object;
}

bool fits(const Physical& physical, std::size_t offset, std::size_t bytes) {
  return offset % kGranularity == 0 && bytes % kGranularity == 0 && bytes > 0 &&
         offset <= physical.bytes && bytes <= physical.bytes - offset;
}

}  // namespace

std::shared_ptr<Physical> importMulticast(int fd) {
  struct stat status {};
  require(::fstat(fd, &status) == 0 && status.st_size > static_cast<off_t>(kPage));
  auto object = makeObject(Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)),
                           static_cast<std::size_t>(status.st_size) - kPage);
  object->imported = true;
  object->handleTypes = static_cast<int>(ShareableHandle::posixDescriptor);
  return object;
}

void multicastGetGranularity(std::size_t* granularity, const MulticastProperties* properties,
                             Granularity) {
  require(granularity != nullptr);
  requireProperties(properties);
  *granularity = kGranularity;
}

void multicastCreate(AllocationHandle* handle, const MulticastProperties* properties) {
  require(handle != nullptr);
  requireProperties(properties);
  require(properties->size > 0 && properties->size % kGranularity == 0);
  requireHandleTypes(properties->handleTypes);
  Fd file(::memfd_create(std::string(kNameOfMulticast).c_str(), MFD_CLOEXEC));
  require(::ftruncate(file.get(), static_cast<off_t>(properties->size + kPage)) == 0,
          Result::outOfMemory);
  auto object = makeObject(std::move(file), properties->size);
  object->handleTypes = static_cast<int>(properties->handleTypes);
  auto* shared = ::new (object->multicast->shared.get()) MulticastShared;
  shared->bytes = properties->size;
  shared->devices = properties->numDevices;
  const std::lock_guard lock(space().mutex);
  *handle = space().addHandle(std::move(object));
}

void multicastAddDevice(AllocationHandle handle, Device device) {
  requireDevice(device);
  const std::lock_guard lock(space().mutex);
  MulticastShared& shared = *findObject(handle)->multicast->shared;
  const DeviceSet bit = DeviceSet{1} << device;
  const DeviceSet before = shared.added.load();
  require((before & bit) == 0);
  require(static_cast<unsigned>(__builtin_popcountll(before)) < shared.devices);
  shared.added |= bit;
}

void multicastBindMem(AllocationHandle handle, std::size_t offset, AllocationHandle memory,
                      std::size_t memoryOffset, std::size_t bytes, unsigned long long flags) {
  if (isSet("LOCKSTEP_FAKE_BIND_BLOCKS"))
    for (;;) ::pause();
  require(flags == 0);
  const std::lock_guard lock(space().mutex);
  const auto object = findObject(handle);
  const auto physical = space().find(memory);
  require(physical->multicast == nullptr);
  require(fits(*object, offset, bytes) && fits(*physical, memoryOffset, bytes));
  const DeviceSet added = object->multicast->shared->added.load();
  require((added >> physical->device & 1) != 0);
  require(static_cast<unsigned>(__builtin_popcountll(added)) == object->multicast->shared->devices,
          Result::illegalState);
  for (const auto& other : object->multicast->bindings)
    require(other.device != physical->device || offset >= other.offset + other.bytes ||
            other.offset >= offset + bytes);
  object->multicast->bindings.push_back({physical->device, offset, bytes, physical});
}

void multicastUnbind(AllocationHandle handle, Device device, std::size_t offset,
                     std::size_t bytes) {
  const std::lock_guard lock(space().mutex);
  auto& bindings = findObject(handle)->multicast->bindings;
  const auto gone = std::ranges::find_if(bindings, [&](const auto& binding) {
    return binding.device == device && binding.offset == offset && binding.bytes == bytes;
  });
  require(gone != bindings.end());
  bindings.erase(gone);
}

}  // namespace lockstep::cuda::fake
