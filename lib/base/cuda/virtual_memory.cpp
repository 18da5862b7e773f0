#include "base/cuda/virtual_memory.hpp"

#include <cstdint>

#include "base/fail.hpp"

namespace lockstep::cuda {

namespace {

AllocationProperties properties(const PrimaryContext& context, ShareableHandle shareable) {
  AllocationProperties p;
  p.requestedHandleTypes = shareable;
  p.location.id = context.device();
  return p;
}

/// For people.
const char* nameOf(ShareableHandle shareable) {
  switch (shareable) {
    case ShareableHandle::posixDescriptor:
      return "file descriptor";
    case ShareableHandle::fabric:
      return "fabric handle";
    case ShareableHandle::none:
      break;
  }
  return "nothing";
}

}  // namespace

std::shared_ptr<const Allocation> Allocation::create(const PrimaryContext& context,
                                                     std::size_t bytes, ShareableHandle shareable) {
  const Current current(context);
  const AllocationProperties p = properties(context, shareable);
  AllocationHandle handle = 0;
  check(driver().memCreate(&handle, bytes, &p, 0), "allocate {} bytes{}{} on GPU {}", bytes,
        shareable == ShareableHandle::none ? "" : " to be shared by ",
        shareable == ShareableHandle::none ? "" : nameOf(shareable), context.device());
  return std::shared_ptr<const Allocation>(new Allocation(context, handle, bytes, shareable));
}

std::shared_ptr<const Allocation> Allocation::importHandle(const PrimaryContext& context,
                                                           void* shared, ShareableHandle shareable,
                                                           std::size_t bytes) {
  const Current current(context);
  AllocationHandle handle = 0;
  check(driver().memImportFromShareableHandle(&handle, shared, shareable),
        "import {} bytes of device memory from a {}", bytes, nameOf(shareable));
  return std::shared_ptr<const Allocation>(new Allocation(context, handle, bytes, shareable));
}

std::shared_ptr<const Allocation> Allocation::importFd(const PrimaryContext& context, const Fd& fd,
                                                       std::size_t bytes) {
  // The descriptor itself goes where a pointer is expected.
  void* const value = reinterpret_cast<void*>(static_cast<std::intptr_t>(fd.get()));
  return importHandle(context, value, ShareableHandle::posixDescriptor, bytes);
}

std::shared_ptr<const Allocation> Allocation::importFabric(const PrimaryContext& context,
                                                           const FabricHandle& fabric,
                                                           std::size_t bytes) {
  FabricHandle copy = fabric;
  return importHandle(context, &copy, ShareableHandle::fabric, bytes);
}

bool Allocation::offersFabric(const PrimaryContext& context) {
  int offered = 0;
  const Result result =
      driver().deviceGetAttribute(&offered, DeviceAttribute::handleTypeFabric, context.device());
  if (result == Result::invalidValue) return false;  // older than CUDA 12.3
  check(result, "ask GPU {} what it supports", context.device());
  return offered != 0;
}

std::size_t Allocation::granularity(const PrimaryContext& context, ShareableHandle shareable) {
  const Current current(context);
  const AllocationProperties p = properties(context, shareable);
  std::size_t bytes = 0;
  check(driver().memGetAllocationGranularity(&bytes, &p, Granularity::minimum),
        "ask for the granularity of memory on GPU {}", context.device());
  return bytes;
}

Fd Allocation::exportFd() const {
  const Current current(context());
  int fd = -1;
  check(driver().memExportToShareableHandle(&fd, handle(), ShareableHandle::posixDescriptor, 0),
        "export {} bytes of GPU {} as a file descriptor", bytes_, context().device());
  return Fd(fd);
}

FabricHandle Allocation::exportFabric() const {
  const Current current(context());
  FabricHandle fabric{};
  check(driver().memExportToShareableHandle(&fabric, handle(), ShareableHandle::fabric, 0),
        "export {} bytes of GPU {} as a fabric handle", bytes_, context().device());
  return fabric;
}

AddressRange::AddressRange(PrimaryContext context, DevicePtr address, std::size_t bytes) noexcept
    : context_(std::move(context)), address_(address), bytes_(bytes) {}

std::shared_ptr<const AddressRange> AddressRange::reserve(const PrimaryContext& context,
                                                          std::size_t bytes,
                                                          std::size_t alignment) {
  const Current current(context);
  DevicePtr address = 0;
  check(driver().memAddressReserve(&address, bytes, alignment, 0, 0),
        "reserve {} bytes of addresses", bytes);
  return std::shared_ptr<const AddressRange>(new AddressRange(context, address, bytes));
}

AddressRange::~AddressRange() {
  const Current current(context_, std::nothrow);
  findDriver()->memAddressFree(address_, bytes_);
}

MappedMemory MappedMemory::map(std::shared_ptr<const AddressRange> range, std::size_t offset,
                               std::shared_ptr<const Allocation> allocation) {
  const std::size_t bytes = allocation->bytes();
  if (offset > range->bytes() || bytes > range->bytes() - offset)
    fail(ErrorCode::invalidArgument, "{} bytes at {} do not fit a range of {}", bytes, offset,
         range->bytes());
  const Current current(range->context());
  const Device device = range->context().device();
  const DevicePtr address = range->address() + offset;
  check(driver().memMap(address, bytes, 0, allocation->handle(), 0),
        "map {} bytes of GPU {} for GPU {}", bytes, allocation->context().device(), device);
  MappedMemory memory;  // from here on unmaps
  memory.range_ = std::move(range);
  memory.allocation_ = std::move(allocation);
  memory.address_ = address;
  AccessDescriptor access;
  access.location.id = device;
  check(driver().memSetAccess(address, bytes, &access, 1), "give GPU {} access to {} bytes", device,
        bytes);
  return memory;
}

MappedMemory MappedMemory::map(const PrimaryContext& context,
                               std::shared_ptr<const Allocation> allocation) {
  auto range = AddressRange::reserve(context, allocation->bytes());
  return map(std::move(range), 0, std::move(allocation));
}

MappedMemory::MappedMemory(MappedMemory&& other) noexcept
    : range_(std::move(other.range_)),
      allocation_(std::move(other.allocation_)),
      address_(std::exchange(other.address_, 0)) {}

MappedMemory& MappedMemory::operator=(MappedMemory&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  range_ = std::move(other.range_);
  allocation_ = std::move(other.allocation_);
  address_ = std::exchange(other.address_, 0);
  return *this;
}

MappedMemory::~MappedMemory() {
  unmap();
}

void MappedMemory::unmap() noexcept {
  if (address_ == 0) return;
  const Current current(range_->context(), std::nothrow);
  findDriver()->memUnmap(address_, allocation_->bytes());
}

}  // namespace lockstep::cuda
