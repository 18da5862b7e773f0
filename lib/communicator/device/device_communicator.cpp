// The public face: forwards to DeviceImpl.
#include <memory>
#include <utility>

#include "base/fail.hpp"
#include "communicator/device/impl.hpp"
#include <lockstep/device.hpp>

namespace lockstep {
namespace {

/// Without what the collective does not take.
cuda::Described described(Collective collective, std::size_t count, DataType type,
                          Reduction reduction, int root) {
  if (static_cast<std::size_t>(collective) >= kCollectives)
    fail(ErrorCode::invalidArgument, "no such collective ({})", static_cast<int>(collective));
  const Contract& contract = contractOf(collective);
  return {.collective = collective,
          .type = contract.hasData ? type : DataType::u8,
          .reduction = contract.reduces ? reduction : Reduction::sum,
          .root = contract.rooted ? root : 0,
          .count = contract.hasData ? count : 0};
}

/// What a communicator that was moved from has to tell.
const std::string& nothing() {
  static const std::string none;
  return none;
}

}  // namespace

DeviceCommunicator::DeviceCommunicator(std::shared_ptr<DeviceImpl> impl) : impl_(std::move(impl)) {}
DeviceCommunicator::DeviceCommunicator(DeviceCommunicator&&) noexcept = default;
DeviceCommunicator& DeviceCommunicator::operator=(DeviceCommunicator&&) noexcept = default;
DeviceCommunicator::~DeviceCommunicator() = default;

DeviceCommunicator DeviceCommunicator::create(Communicator& control, const DeviceOptions& options) {
  if (control.options().mode == Mode::ccMasked)
    fail(ErrorCode::unsupported,
         "mode cc-masked is for hosts: no kernel masks sums; use cc or cc-multicast on GPUs");
  const std::shared_ptr<CommunicatorImpl>& host = CommunicatorImpl::of(control);
  std::shared_ptr<DeviceImpl> impl;
  host->talk("creation of a communicator of GPUs",
             [&] { impl = std::make_shared<DeviceImpl>(host, options); });
  return DeviceCommunicator(std::move(impl));
}

DeviceImpl& DeviceCommunicator::impl() const {
  if (impl_ == nullptr)
    fail(ErrorCode::invalidArgument,
         "this communicator of GPUs was moved elsewhere: use the one it was moved to");
  return *impl_;
}

int DeviceCommunicator::rank() const noexcept {
  return impl_ == nullptr ? -1 : impl_->rank();
}
int DeviceCommunicator::worldSize() const noexcept {
  return impl_ == nullptr ? 0 : impl_->worldSize();
}
const DeviceInfo& DeviceCommunicator::device() const noexcept {
  static const DeviceInfo none;
  return impl_ == nullptr ? none : impl_->info();
}
const std::string& DeviceCommunicator::multicastPath() const noexcept {
  return impl_ == nullptr ? nothing() : impl_->multicastPath();
}
const std::string& DeviceCommunicator::provenance() const noexcept {
  return impl_ == nullptr ? nothing() : impl_->provenance();
}
std::string DeviceCommunicator::kernels() const {
  return impl().describeKernels();
}
DeviceStream DeviceCommunicator::stream() const noexcept {
  return impl_ == nullptr ? DeviceStream() : impl_->ownStream();
}

void DeviceCommunicator::run(Collective collective, const void* in, void* out, std::size_t count,
                             DataType type, Reduction reduction, int root, DeviceStream stream,
                             double factor) {
  impl().run({described(collective, count, type, reduction, root), in, out, {}, factor}, stream);
}

void DeviceCommunicator::runTogether(std::span<DeviceCommunicator> ranks, Collective collective,
                                     std::span<const void* const> ins, std::span<void* const> outs,
                                     std::size_t count, DataType type, Reduction reduction,
                                     int root, DeviceStream stream,
                                     std::span<const double> factors) {
  if (ins.size() != ranks.size() || outs.size() != ranks.size())
    fail(ErrorCode::invalidArgument, "{} ranks in one launch, but {} and {} buffers", ranks.size(),
         ins.size(), outs.size());
  if (!factors.empty() && factors.size() != ranks.size())
    fail(ErrorCode::invalidArgument, "{} ranks in one launch, but {} factors", ranks.size(),
         factors.size());
  const cuda::Described call = described(collective, count, type, reduction, root);
  std::vector<DeviceImpl*> impls;
  std::vector<DeviceImpl::Request> requests;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    impls.push_back(&ranks[i].impl());
    requests.push_back({call, ins[i], outs[i], {}, factors.empty() ? 1.0 : factors[i]});
  }
  DeviceImpl::runTogether(impls, requests, stream);
}

void DeviceCommunicator::allReduce(const void* in, void* out, std::size_t count, DataType type,
                                   Reduction reduction, DeviceStream stream) {
  run(Collective::allReduce, in, out, count, type, reduction, 0, stream);
}
void DeviceCommunicator::allReduce(const void* in, void* out, std::size_t count, DataType type,
                                   PremultipliedSum sum, DeviceStream stream) {
  run(Collective::allReduce, in, out, count, type, Reduction::preMulSum, 0, stream, sum.factor);
}
void DeviceCommunicator::allGather(const void* in, void* out, std::size_t count, DataType type,
                                   DeviceStream stream) {
  run(Collective::allGather, in, out, count, type, Reduction::sum, 0, stream);
}
void DeviceCommunicator::reduceScatter(const void* in, void* out, std::size_t count, DataType type,
                                       Reduction reduction, DeviceStream stream) {
  run(Collective::reduceScatter, in, out, count, type, reduction, 0, stream);
}
void DeviceCommunicator::reduceScatter(const void* in, void* out, std::size_t count, DataType type,
                                       PremultipliedSum sum, DeviceStream stream) {
  run(Collective::reduceScatter, in, out, count, type, Reduction::preMulSum, 0, stream, sum.factor);
}
void DeviceCommunicator::allToAll(const void* in, void* out, std::size_t count, DataType type,
                                  DeviceStream stream) {
  run(Collective::allToAll, in, out, count, type, Reduction::sum, 0, stream);
}
void DeviceCommunicator::broadcast(const void* in, void* out, std::size_t count, DataType type,
                                   int root, DeviceStream stream) {
  run(Collective::broadcast, in, out, count, type, Reduction::sum, root, stream);
}
void DeviceCommunicator::reduce(const void* in, void* out, std::size_t count, DataType type,
                                Reduction reduction, int root, DeviceStream stream) {
  run(Collective::reduce, in, out, count, type, reduction, root, stream);
}
void DeviceCommunicator::reduce(const void* in, void* out, std::size_t count, DataType type,
                                PremultipliedSum sum, int root, DeviceStream stream) {
  run(Collective::reduce, in, out, count, type, Reduction::preMulSum, root, stream, sum.factor);
}
void DeviceCommunicator::barrier(DeviceStream stream) {
  run(Collective::barrier, nullptr, nullptr, 0, DataType::u8, Reduction::sum, 0, stream);
}

void DeviceCommunicator::allReduceRmsNorm(const void* in, void* out, std::size_t rows,
                                          DataType type, const RmsNorm& norm, DeviceStream stream) {
  constexpr std::size_t kMostHidden = std::size_t{1} << 24;
  if (norm.hidden == 0 || norm.hidden > kMostHidden || rows > (std::size_t{1} << 40) / norm.hidden)
    fail(ErrorCode::invalidArgument, "RMSNorm of {} rows of {} elements; a row has 1 to {}", rows,
         norm.hidden, kMostHidden);
  DeviceImpl::Request request{
      described(Collective::allReduce, rows * norm.hidden, type, Reduction::sum, 0),
      in,
      out,
      {},
      1};
  request.norm.residual = static_cast<device::u8*>(norm.residual);
  request.norm.weight = static_cast<const device::u8*>(norm.weight);
  request.norm.hidden = static_cast<unsigned>(norm.hidden);
  request.norm.epsilon = norm.epsilon;
  impl().run(request, stream);
}

std::string DeviceCommunicator::cipher() const {
  return impl().cipher();
}
std::string DeviceCommunicator::keySource() const {
  return impl().keySource();
}

void DeviceCommunicator::send(const void* data, std::size_t count, DataType type, int to,
                              DeviceStream stream) {
  impl().send({data, count, type, to}, stream);
}
void DeviceCommunicator::receive(void* data, std::size_t count, DataType type, int from,
                                 DeviceStream stream) {
  impl().receive({data, count, type, from}, stream);
}
void DeviceCommunicator::exchange(std::span<const Send> sends, std::span<const Receive> receives,
                                  DeviceStream stream) {
  impl().exchange(sends, receives, stream);
}
void DeviceCommunicator::allToAllV(const void* in, std::span<const std::size_t> inCounts,
                                   std::span<const std::size_t> inOffsets, void* out,
                                   std::span<const std::size_t> outCounts,
                                   std::span<const std::size_t> outOffsets, DataType type,
                                   DeviceStream stream) {
  impl().allToAllV(in, {inCounts, inOffsets}, out, {outCounts, outOffsets}, type, stream);
}

DeviceBuffer DeviceCommunicator::alloc(std::size_t bytes) {
  return impl().alloc(bytes);
}
void DeviceCommunicator::wait(DeviceStream stream) {
  impl().wait(stream);
}
void DeviceCommunicator::check() {
  impl().check();
}
void DeviceCommunicator::abort() noexcept {
  if (impl_ != nullptr) impl_->abort();
}

Plan DeviceCommunicator::plan(Collective collective, std::size_t count, DataType type,
                              bool registered) const {
  return impl().plan(described(collective, count, type, Reduction::sum, 0), registered);
}

}  // namespace lockstep
