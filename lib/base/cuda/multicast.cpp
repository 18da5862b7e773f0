#include "base/cuda/multicast.hpp"

#include "base/cuda/library.hpp"
#include "base/fail.hpp"

namespace lockstep::cuda {

namespace {

const Driver& withMulticast() {
  const Driver& d = driver();
  if (!d.hasMulticast())
    fail(ErrorCode::unsupported,
         "no multicast: the driver, of CUDA {}, has no cuMulticastCreate, which came with CUDA "
         "12.1; install a newer one",
         versionText(d.version));
  return d;
}

MulticastProperties properties(unsigned devices, std::size_t bytes, ShareableHandle shareable) {
  MulticastProperties p;
  p.numDevices = devices;
  p.size = bytes;
  p.handleTypes = static_cast<unsigned long long>(shareable);
  return p;
}

}  // namespace

std::shared_ptr<const MulticastObject> MulticastObject::create(const PrimaryContext& context,
                                                               unsigned devices, std::size_t bytes,
                                                               ShareableHandle shareable) {
  const Driver& d = withMulticast();
  const Current current(context);
  const MulticastProperties p = properties(devices, bytes, shareable);
  AllocationHandle handle = 0;
  check(d.multicastCreate(&handle, &p), "make a multicast object of {} bytes for {} GPUs", bytes,
        devices);
  return std::shared_ptr<const MulticastObject>(new MulticastObject(
      std::shared_ptr<const Allocation>(new Allocation(context, handle, bytes, shareable))));
}

std::shared_ptr<const MulticastObject> MulticastObject::importFd(const PrimaryContext& context,
                                                                 const Fd& fd, std::size_t bytes) {
  withMulticast();
  return std::shared_ptr<const MulticastObject>(
      new MulticastObject(Allocation::importFd(context, fd, bytes)));
}

std::shared_ptr<const MulticastObject> MulticastObject::importFabric(const PrimaryContext& context,
                                                                     const FabricHandle& fabric,
                                                                     std::size_t bytes) {
  withMulticast();
  return std::shared_ptr<const MulticastObject>(
      new MulticastObject(Allocation::importFabric(context, fabric, bytes)));
}

std::size_t MulticastObject::granularity(const PrimaryContext& context, unsigned devices,
                                         std::size_t bytes) {
  const Driver& d = withMulticast();
  const Current current(context);
  const MulticastProperties p = properties(devices, bytes, ShareableHandle::posixDescriptor);
  std::size_t granularity = 0;
  // The recommended one is up to 512 MiB, more than most heaps.
  check(d.multicastGetGranularity(&granularity, &p, Granularity::minimum),
        "ask for the granularity of multicast objects for {} GPUs", devices);
  return granularity;
}

void MulticastObject::addDevice() const {
  const Current current(context());
  check(driver().multicastAddDevice(object_->handle(), context().device()),
        "add GPU {} to a multicast object", context().device());
}

MulticastBinding MulticastBinding::bind(std::shared_ptr<const MulticastObject> object,
                                        std::size_t offset,
                                        std::shared_ptr<const Allocation> memory) {
  const Current current(object->context());
  check(driver().multicastBindMem(object->object()->handle(), offset, memory->handle(), 0,
                                  memory->bytes(), 0),
        "bind {} bytes of GPU {} to a multicast object", memory->bytes(),
        memory->context().device());
  MulticastBinding binding;
  binding.object_ = std::move(object);
  binding.memory_ = std::move(memory);
  binding.offset_ = offset;
  return binding;
}

MulticastBinding::MulticastBinding(MulticastBinding&& other) noexcept = default;

MulticastBinding& MulticastBinding::operator=(MulticastBinding&& other) noexcept {
  if (this == &other) return *this;
  unbind();
  object_ = std::move(other.object_);
  memory_ = std::move(other.memory_);
  offset_ = other.offset_;
  return *this;
}

MulticastBinding::~MulticastBinding() {
  unbind();
}

void MulticastBinding::unbind() noexcept {
  if (!object_) return;
  const Current current(object_->context(), std::nothrow);
  findDriver()->multicastUnbind(object_->object()->handle(), memory_->context().device(), offset_,
                                memory_->bytes());
}

}  // namespace lockstep::cuda
