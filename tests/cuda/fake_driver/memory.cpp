#include "cuda/fake_driver/memory.hpp"

#include <array>
#include <atomic>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cuda/fake_driver/contexts.hpp"
#include "cuda/fake_driver/limits.hpp"
#include "cuda/fake_driver/multicast.hpp"

namespace lockstep::cuda::fake {
namespace {

/// Which device a memfd is memory of is in its name, so whoever imports it knows.
constexpr std::string_view kNameOfMemory = "lockstep-fake-gpu-";

/// What this process has of each device.
std::atomic<std::size_t>& inUse(int device) {
  static std::array<std::atomic<std::size_t>, 64> all;
  return all[static_cast<std::size_t>(device)];
}

void fillWithJunk(int file, std::size_t bytes) {
  const std::vector<unsigned char> junk(std::min(bytes, std::size_t{1} << 20), kJunk);
  require(::pwrite(file, junk.data(), junk.size(), 0) == static_cast<ssize_t>(junk.size()),
          Result::outOfMemory);
}

/// The name of a memfd; empty for any other file.
std::string nameOf(int fd) {
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  char target[256] = {};
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target - 1);
  const std::string_view text(target, length < 0 ? 0 : static_cast<std::size_t>(length));
  constexpr std::string_view kMemfd = "/memfd:";
  return std::string(text.starts_with(kMemfd) ? text.substr(kMemfd.size()) : std::string_view());
}

}  // namespace

Physical::~Physical() {
  if (!imported && multicast == nullptr) inUse(device) -= bytes;
}

std::shared_ptr<Physical> makePhysical(std::size_t bytes, int device) {
  auto physical = std::make_shared<Physical>();
  physical->device = device;
  physical->bytes = bytes;
  require((inUse(device) += bytes) <= memoryBytes(), Result::outOfMemory);
  const std::string name = std::string(kNameOfMemory) + std::to_string(device);
  physical->file = Fd(::memfd_create(name.c_str(), MFD_CLOEXEC));
  require(physical->file && ::ftruncate(physical->file.get(), static_cast<off_t>(bytes)) == 0,
          Result::outOfMemory);
  fillWithJunk(physical->file.get(), bytes);
  return physical;
}

std::shared_ptr<Physical> importPhysical(int fd) {
  const std::string name = nameOf(fd);
  if (name.starts_with(kNameOfMulticast)) return importMulticast(fd);
  require(name.starts_with(kNameOfMemory));
  auto physical = std::make_shared<Physical>();
  physical->imported = true;
  physical->file = Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  require(bool(physical->file), Result::operatingSystem);
  struct stat status {};
  require(::fstat(fd, &status) == 0, Result::operatingSystem);
  physical->bytes = static_cast<std::size_t>(status.st_size);
  physical->device = std::atoi(name.c_str() + kNameOfMemory.size());
  physical->handleTypes = static_cast<int>(ShareableHandle::posixDescriptor);
  requireDevice(physical->device);
  return physical;
}

Elsewhere Elsewhere::of(const Physical& physical) {
  Elsewhere there;
  there.process = ::getpid();
  there.fd = physical.file.get();
  return there;
}

std::shared_ptr<Physical> Elsewhere::open() const {
  require(std::memcmp(magic, Elsewhere().magic, sizeof magic) == 0);
  const std::string path = "/proc/" + std::to_string(process) + "/fd/" + std::to_string(fd);
  const Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  require(bool(file));
  return importPhysical(file.get());
}

AddressSpace& space() {
  static auto* const all = new AddressSpace;
  return *all;
}

AllocationHandle AddressSpace::addHandle(std::shared_ptr<Physical> physical) {
  handles.emplace(lastHandle += 16, Handle{std::move(physical), 1});
  return lastHandle;
}

std::shared_ptr<Physical> AddressSpace::find(AllocationHandle handle) const {
  const auto found = handles.find(handle);
  require(found != handles.end());
  return found->second.physical;
}

const std::pair<const DevicePtr, Mapped>* AddressSpace::at(DevicePtr address) const {
  auto after = mappings.upper_bound(address);
  if (after == mappings.begin()) return nullptr;
  const auto& mapping = *--after;
  return address - mapping.first < mapping.second.bytes ? &mapping : nullptr;
}

bool isPinned(const void* address) {
  AddressSpace& all = space();
  const std::lock_guard lock(all.mutex);
  auto after = all.pinned.upper_bound(const_cast<void*>(address));
  if (after == all.pinned.begin()) return false;
  --after;
  return toAddress(address) - toAddress(after->first) < after->second;
}

void requireMapped(DevicePtr address, std::size_t bytes) {
  if (isPinned(toPointer(address))) return;
  const DevicePtr end = address + bytes;
  const std::lock_guard lock(space().mutex);
  while (address < end) {
    const auto* mapping = space().at(address);
    require(mapping != nullptr && mapping->second.access != 0);
    address = mapping->first + mapping->second.bytes;
  }
}

}  // namespace lockstep::cuda::fake
