// Memory that needs no addresses of its own: cuMemAlloc, pinned host memory, and memory that
// another process opened by CUDA's interprocess handles.
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>

#include "cuda/fake_driver/api.hpp"
#include "cuda/fake_driver/contexts.hpp"
#include "cuda/fake_driver/memory.hpp"
#include "cuda/fake_driver/streams.hpp"

namespace lockstep::cuda::fake {
namespace {

constexpr std::size_t kPage = 4096;

std::size_t pages(std::size_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

/// Anywhere, with a page behind it that nobody may touch.
DevicePtr mapAnywhere(std::shared_ptr<Physical> physical, Origin origin, int device) {
  const std::size_t bytes = pages(physical->bytes);
  void* at = ::mmap(nullptr, bytes + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(at != MAP_FAILED, Result::outOfMemory);
  require(
      ::mmap(at, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, physical->file.get(), 0) != MAP_FAILED,
      Result::outOfMemory);
  const DeviceSet access = DeviceSet{1} << device;
  protect(at, bytes, access);
  const std::lock_guard lock(space().mutex);
  space().mappings.emplace(toAddress(at),
                           Mapped{physical->bytes, std::move(physical), origin, access});
  return toAddress(at);
}

/// Throws unless a mapping of this origin begins there.
void unmapAt(DevicePtr address, Origin origin) {
  Mapped gone;
  const std::lock_guard lock(space().mutex);
  const auto found = space().mappings.find(address);
  require(found != space().mappings.end() && found->second.origin == origin);
  gone = std::move(found->second);
  space().mappings.erase(found);
  ::munmap(toPointer(address), pages(gone.bytes) + kPage);
}

static_assert(sizeof(Elsewhere) <= sizeof(IpcMemoryHandle));

}  // namespace

void memAlloc(DevicePtr* address, std::size_t bytes) {
  refuseInCapture();
  require(address != nullptr && bytes > 0);
  const int device = currentContext()->device;
  *address = mapAnywhere(makePhysical(bytes, device), Origin::allocated, device);
}

void memFree(DevicePtr address) {
  refuseInCapture();
  synchronize(*currentContext());  // as the driver does
  unmapAt(address, Origin::allocated);
}

void memHostAlloc(void** address, std::size_t bytes, unsigned flags) {
  refuseInCapture();
  currentContext();
  constexpr unsigned kWriteCombined = 4;
  require(address != nullptr && bytes > 0);
  require((flags & ~(kHostPortable | kHostDeviceMap | kWriteCombined)) == 0);
  void* at =
      ::mmap(nullptr, pages(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(at != MAP_FAILED, Result::outOfMemory);
  const std::lock_guard lock(space().mutex);
  space().pinned.emplace(at, bytes);
  *address = at;
}

void memFreeHost(void* address) {
  refuseInCapture();
  synchronize(*currentContext());
  const std::lock_guard lock(space().mutex);
  const auto found = space().pinned.find(address);
  require(found != space().pinned.end());
  ::munmap(address, pages(found->second));
  space().pinned.erase(found);
}

void memHostGetDevicePointer(DevicePtr* device, void* host, unsigned flags) {
  require(device != nullptr && flags == 0 && isPinned(host));
  *device = toAddress(host);
}

void ipcGetMemHandle(IpcMemoryHandle* handle, DevicePtr address) {
  require(handle != nullptr);
  const std::lock_guard lock(space().mutex);
  const auto found = space().mappings.find(address);
  require(found != space().mappings.end() && found->second.origin == Origin::allocated);
  const Elsewhere content = Elsewhere::of(*found->second.physical);
  *handle = {};
  std::memcpy(static_cast<void*>(handle), &content, sizeof content);
}

void ipcOpenMemHandle(DevicePtr* address, IpcMemoryHandle handle, unsigned flags) {
  require(address != nullptr && flags == kIpcLazyEnablePeerAccess);
  const int device = currentContext()->device;
  Elsewhere content;
  std::memcpy(static_cast<void*>(&content), &handle, sizeof content);
  // A process cannot open what it gave away itself.
  require(content.process != ::getpid(), Result::invalidContext);
  auto physical = content.open();
  require(canAccess(device, physical->device), Result::peerAccessUnsupported);
  *address = mapAnywhere(std::move(physical), Origin::opened, device);
}

void ipcCloseMemHandle(DevicePtr address) {
  synchronize(*currentContext());
  unmapAt(address, Origin::opened);
}

}  // namespace lockstep::cuda::fake
