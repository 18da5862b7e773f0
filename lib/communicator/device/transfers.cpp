// Sends and receives: what is asked for becomes launches of one kernel, and copies for what a rank
// sends to itself.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "base/secret.hpp"
#include "communicator/device/impl.hpp"
#include "communicator/pending.hpp"
#include <lockstep/group.hpp>

namespace lockstep {
namespace {

bool sends(const Pending& transfer) {
  return transfer.direction == host::Transfer::Direction::send;
}

cuda::DevicePtr addressOf(const Pending& transfer) {
  return reinterpret_cast<cuda::DevicePtr>(transfer.data);
}

/// Calls `f(send, receive)` for what `rank` sends to itself: the first meets the first receive, and
/// so on. Throws where there is no counterpart, or another.
template <class F>
void forOwn(int rank, std::span<const Pending> transfers, F f) {
  const auto next = [&](std::size_t from, bool sending) {
    while (from < transfers.size() &&
           (transfers[from].peer != rank || sends(transfers[from]) != sending))
      ++from;
    return from;
  };
  std::size_t s = next(0, true), r = next(0, false);
  for (; s < transfers.size() && r < transfers.size();
       s = next(s + 1, true), r = next(r + 1, false)) {
    const Pending &send = transfers[s], &receive = transfers[r];
    if (send.count != receive.count || send.type != receive.type)
      throw Error(ErrorCode::mismatch, rank, "device exchange",
                  fmt::format("rank {} sends itself {} of {}, and receives {} of {}", rank,
                              send.count, name(send.type), receive.count, name(receive.type)));
    f(send, receive);
  }
  if (s < transfers.size() || r < transfers.size())
    fail(ErrorCode::invalidArgument,
         "rank {} sends itself what it does not receive, or the other way round; both must be in "
         "one exchange",
         rank);
}

}  // namespace

void DeviceImpl::send(const Send& s, DeviceStream stream) {
  const Pending transfer = control_->pendingSend(s.data, s.count, s.type, s.to);
  start({&transfer, 1}, stream);
}

void DeviceImpl::receive(const Receive& r, DeviceStream stream) {
  const Pending transfer = control_->pendingReceive(r.data, r.count, r.type, r.from);
  start({&transfer, 1}, stream);
}

void DeviceImpl::exchange(std::span<const Send> sent, std::span<const Receive> received,
                          DeviceStream stream) {
  std::vector<Pending> transfers;
  transfers.reserve(sent.size() + received.size());
  for (const Send& s : sent)
    transfers.push_back(control_->pendingSend(s.data, s.count, s.type, s.to));
  for (const Receive& r : received)
    transfers.push_back(control_->pendingReceive(r.data, r.count, r.type, r.from));
  start(transfers, stream);
}

void DeviceImpl::allToAllV(const void* in, const CommunicatorImpl::Parts& inParts, void* out,
                           const CommunicatorImpl::Parts& outParts, DataType type,
                           DeviceStream stream) {
  start(control_->pendingAllToAllV(in, inParts, out, outParts, type), stream);
}

device::Transfer DeviceImpl::transferOf(const Pending& transfer) const {
  device::Transfer result;
  result.data = static_cast<device::u8*>(transfer.data);
  result.bytes = transfer.bytes();
  result.messageBytes = cuda::messageBytesOf(geometry_, result.bytes);
  result.peer = static_cast<device::u8>(transfer.peer);
  result.sends = sends(transfer) ? 1 : 0;
  result.type = static_cast<device::u8>(transfer.type);
  return result;
}

/// A kernel takes one transfer of each direction to each rank; of several, it is the `round`-th.
device::TransferLaunch DeviceImpl::launchOf(std::span<const Pending> transfers,
                                            unsigned round) const {
  device::TransferLaunch launch;
  launch.world = world_.pointer<device::World>();
  launch.patience =
      static_cast<std::uint64_t>(std::chrono::nanoseconds(control_->options().timeout).count());
  std::memcpy(launch.digest, transferDigest_.data(), sizeof launch.digest);
  std::array<std::array<unsigned, device::kMaxWorld>, 2> seen{};
  unsigned sending = 0;
  for (const Pending& transfer : transfers) {
    if (transfer.peer == rank()) continue;
    const std::size_t direction = sends(transfer) ? 1 : 0;
    if (seen[direction][static_cast<std::size_t>(transfer.peer)]++ != round) continue;
    launch.list[launch.count++] = transferOf(transfer);
    sending += sends(transfer) ? 1 : 0;
  }
  launch.what = cuda::packTransfers(sending, static_cast<unsigned>(launch.count) - sending);
  return launch;
}

void DeviceImpl::checkTransfers(std::span<const Pending> transfers) const {
  for (const Pending& transfer : transfers) {
    if (transfer.count > device::Transfer::kMostBytes / sizeOf(transfer.type))
      lockstep::fail(ErrorCode::invalidArgument, "{}: so many elements no GPU's memory holds",
                     toString(transfer));
    if (isSealed(control_->options().mode) && transfer.count != 0 &&
        inSegments(transfer.data, transfer.bytes()))
      lockstep::fail(ErrorCode::invalidArgument,
                     "{}: the buffer lies in memory that ranks share; sealed, it must be private",
                     toString(transfer));
  }
  forOwn(rank(), transfers, [](const Pending&, const Pending&) {});
}

const gpu::LoadedKernel& DeviceImpl::transferKernel(cuda::StreamHandle stream) {
  if (transferKernel_ != nullptr) return *transferKernel_;
  const cuda::Kernel kernel = cuda::transferKernel(isSealed(control_->options().mode));
  if (!kernels_.has(kernel) && cuda::isCapturing(context_, stream))
    lockstep::fail(ErrorCode::invalidArgument,
                   "sends and receives: their kernel is not compiled yet, and cannot be while the "
                   "stream is captured; make such a call once before");
  return *(transferKernel_ = &kernels_.get(kernel));
}

void DeviceImpl::start(std::span<const Pending> transfers, DeviceStream stream) {
  checkUsable();
  checkTransfers(transfers);
  const cuda::StreamHandle where = streamOf(stream);
  if (bounce_) {
    startThroughHost(transfers, where);
    return;
  }
  const gpu::LoadedKernel& kernel = transferKernel(where);
  try {
    forOwn(rank(), transfers, [&](const Pending& send, const Pending& receive) {
      if (send.count == 0 || send.data == receive.data) return;
      const cuda::Current current(context_);
      cuda::check(
          cuda::driver().memcpyDtoDAsync(addressOf(receive), addressOf(send), send.bytes(), where),
          "copy {} bytes on GPU {}", send.bytes(), context_.device());
    });
    for (unsigned round = 0;; ++round) {
      device::TransferLaunch launch = launchOf(transfers, round);
      if (launch.count == 0) return;
      unsigned blocks = 1;
      for (std::size_t i = 0; i < launch.count; ++i)
        blocks = std::max(blocks, cuda::blocksOf(geometry_, launch.list[i]));
      void* parameters[]{&launch};
      kernel.function.launch({.gridX = blocks, .gridY = 1, .threads = kernel.kernel.threads}, where,
                             parameters);
    }
  } catch (...) {  // the others would wait for it
    this->abort();
    throw;
  }
}

/// By the host's own sends and receives, from and to private memory.
void DeviceImpl::startThroughHost(std::span<const Pending> transfers, cuda::StreamHandle stream) {
  if (cuda::isCapturing(context_, stream))
    lockstep::fail(ErrorCode::unsupported,
                   "GPUs that cannot reach each other exchange through their hosts, which no CUDA "
                   "graph captures");
  try {
    waitIdle(stream);
    std::vector<SecretPages> stages;
    Group group;
    const Communicator control = CommunicatorImpl::wrap(control_);
    for (const Pending& transfer : transfers) {
      std::byte* const stage =
          stages.emplace_back(std::max<std::size_t>(1, transfer.bytes())).data();
      if (!sends(transfer)) {
        group.receive(control, stage, transfer.count, transfer.type, transfer.peer);
        continue;
      }
      if (transfer.count != 0)
        cuda::copyToHost(context_, service_, {stage, transfer.bytes()}, addressOf(transfer));
      group.send(control, stage, transfer.count, transfer.type, transfer.peer);
    }
    group.start().wait();
    for (std::size_t i = 0; i < transfers.size(); ++i)
      if (!sends(transfers[i]) && transfers[i].count != 0)
        cuda::copyToDevice(context_, service_, addressOf(transfers[i]),
                           {stages[i].data(), transfers[i].bytes()});
  } catch (...) {
    failed_ = true;
    throw;
  }
}

}  // namespace lockstep
