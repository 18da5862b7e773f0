// The public face: forwards to DeviceImpl.
#include "communicator/device/impl.hpp"
#include <lockstep/device.hpp>

namespace lockstep {

DeviceCommunicator::DeviceCommunicator(std::shared_ptr<DeviceImpl> impl) : impl_(std::move(impl)) {}
DeviceCommunicator::DeviceCommunicator(DeviceCommunicator&&) noexcept = default;
DeviceCommunicator& DeviceCommunicator::operator=(DeviceCommunicator&&) noexcept = default;
DeviceCommunicator::~DeviceCommunicator() = default;

DeviceCommunicator DeviceCommunicator::create(Communicator& control, const DeviceOptions& options) {
  return DeviceCommunicator(std::make_shared<DeviceImpl>(CommunicatorImpl::of(control), options));
}

int DeviceCommunicator::rank() const noexcept {
  return impl_->rank();
}
int DeviceCommunicator::worldSize() const noexcept {
  return impl_->worldSize();
}
const DeviceInfo& DeviceCommunicator::device() const noexcept {
  return impl_->info();
}
const std::string& DeviceCommunicator::multicastPath() const noexcept {
  return impl_->multicastPath();
}
const std::string& DeviceCommunicator::provenance() const noexcept {
  return impl_->provenance();
}
std::string DeviceCommunicator::kernels() const {
  return impl_->describeKernels();
}
DeviceStream DeviceCommunicator::stream() const noexcept {
  return impl_->ownStream();
}

void DeviceCommunicator::run(Collective collective, const void* in, void* out, std::size_t count,
                             DataType type, Reduction reduction, int root, DeviceStream stream) {
  const Contract& contract = contractOf(collective);
  if (!contract.hasData) {
    count = 0;
    type = DataType::u8;
  }
  impl_->run({{.collective = collective,
               .type = type,
               .reduction = contract.reduces ? reduction : Reduction::sum,
               .root = contract.rooted ? root : 0,
               .count = count},
              in,
              out},
             stream);
}

void DeviceCommunicator::allReduce(const void* in, void* out, std::size_t count, DataType type,
                                   Reduction reduction, DeviceStream stream) {
  run(Collective::allReduce, in, out, count, type, reduction, 0, stream);
}
void DeviceCommunicator::allGather(const void* in, void* out, std::size_t count, DataType type,
                                   DeviceStream stream) {
  run(Collective::allGather, in, out, count, type, Reduction::sum, 0, stream);
}
void DeviceCommunicator::reduceScatter(const void* in, void* out, std::size_t count, DataType type,
                                       Reduction reduction, DeviceStream stream) {
  run(Collective::reduceScatter, in, out, count, type, reduction, 0, stream);
}
void DeviceCommunicator::allToAll(const void* in, void* out, std::size_t count, DataType type,
                                  DeviceStream stream) {
  run(Collective::allToAll, in, out, count, type, Reduction::sum, 0, stream);
}
void DeviceCommunicator::broadcast(const void* in, void* out, std::size_t count, DataType type,
                                   int root, DeviceStream stream) {
  run(Collective::broadcast, in, out, count, type, Reduction::sum, root, stream);
}
void DeviceCommunicator::barrier(DeviceStream stream) {
  run(Collective::barrier, nullptr, nullptr, 0, DataType::u8, Reduction::sum, 0, stream);
}

DeviceBuffer DeviceCommunicator::alloc(std::size_t bytes) {
  return impl_->alloc(bytes);
}
void DeviceCommunicator::wait(DeviceStream stream) {
  impl_->wait(stream);
}
void DeviceCommunicator::check() {
  impl_->check();
}
void DeviceCommunicator::abort() noexcept {
  impl_->abort();
}

Plan DeviceCommunicator::plan(Collective collective, std::size_t count, DataType type,
                              bool registered) const {
  return impl_->plan({.collective = collective,
                      .type = type,
                      .reduction = Reduction::sum,
                      .root = 0,
                      .count = count},
                     registered);
}

}  // namespace lockstep
