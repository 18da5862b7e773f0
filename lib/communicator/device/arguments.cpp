// What a caller gives: how large its buffers are, where they lie, and what cannot be.
#include <fmt/format.h>

#include "base/fail.hpp"
#include "communicator/device/impl.hpp"
#include "communicator/premultiply.hpp"

namespace lockstep {

std::size_t DeviceImpl::bytesIn(const cuda::Described& call) const {
  const Contract& contract = contractOf(call.collective);
  if (!contract.hasData || (contract.inAtRoot && rank() != call.root)) return 0;
  return blockBytes(call) * (contract.inPerRank ? geometry_.world : 1);
}

std::size_t DeviceImpl::bytesOut(const cuda::Described& call) const {
  const Contract& contract = contractOf(call.collective);
  if (!contract.hasData || (contract.outAtRoot && rank() != call.root)) return 0;
  return blockBytes(call) * (contract.outPerRank ? geometry_.world : 1);
}

bool DeviceImpl::inHeap(const void* at, std::size_t bytes) const {
  const auto* heap = reinterpret_cast<const std::byte*>(  // NOLINT: a device's address
      segments_->mine() + device::Offsets{geometry_}.heap());
  const auto* begin = static_cast<const std::byte*>(at);
  return begin >= heap && begin <= heap + geometry_.heapBytes &&
         bytes <= static_cast<std::size_t>(heap + geometry_.heapBytes - begin);
}

bool DeviceImpl::inSegments(const void* at, std::size_t bytes) const {
  if (!segments_) return false;
  const auto begin = reinterpret_cast<cuda::DevicePtr>(at);
  for (int r = 0; r < worldSize(); ++r)
    if (begin < segments_->base(r) + segments_->bytes() && segments_->base(r) < begin + bytes)
      return true;
  return false;
}

[[noreturn]] void DeviceImpl::refuse(const cuda::Described& call, std::string_view why) const {
  lockstep::fail(ErrorCode::invalidArgument, "{}: {}", toString(call), why);
}

/// What all ranks give alike.
void DeviceImpl::checkCall(const cuda::Described& call) const {
  const Contract& contract = contractOf(call.collective);
  if (static_cast<std::size_t>(call.type) >= kDataTypes)
    lockstep::fail(ErrorCode::invalidArgument, "no such type ({})", static_cast<int>(call.type));
  if (static_cast<std::size_t>(call.reduction) >= kReductions)
    lockstep::fail(ErrorCode::invalidArgument, "no such reduction ({})",
                   static_cast<int>(call.reduction));
  if (contract.rooted && (call.root < 0 || call.root >= worldSize()))
    refuse(call, fmt::format("there is no rank {} in a world of {}", call.root, worldSize()));
  constexpr std::uint64_t kMost = std::uint64_t{1} << 48;  // more than any GPU's memory
  if (call.count > kMost / sizeOf(call.type) / geometry_.world)
    refuse(call, "so many elements no GPU's memory holds");
}

/// What is this rank's own: its pointers, and its factor.
void DeviceImpl::checkArguments(const Request& request) const {
  const cuda::Described& call = request.call;
  checkCall(call);
  if (call.reduction == Reduction::preMulSum)
    checkFactor(call.collective, call.type, request.factor);
  const auto bad = [&](const char* why) { refuse(call, why); };
  const std::size_t in = bytesIn(call), out = bytesOut(call);
  if ((in != 0 && request.in == nullptr) || (out != 0 && request.out == nullptr))
    bad("a buffer is null");
  const auto address = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p); };
  if ((in != 0 && address(request.in) % sizeOf(call.type) != 0) ||
      (out != 0 && address(request.out) % sizeOf(call.type) != 0))
    bad("a buffer does not begin at an element");
  if (isSealed(control_->options().mode) &&
      ((in != 0 && inSegments(request.in, in)) || (out != 0 && inSegments(request.out, out))))
    bad("a buffer lies in memory that ranks share; sealed, it must be private");
  if (request.norm.hidden != 0 &&
      (request.norm.residual == nullptr || request.norm.weight == nullptr))
    bad("RMSNorm needs a residual and a weight");
  if (in == 0 || out == 0) return;
  const auto* own = static_cast<const std::byte*>(in > out ? request.in : request.out) +
                    (in != out ? static_cast<std::size_t>(rank()) * blockBytes(call) : 0);
  const bool inPlace = static_cast<const void*>(own) == (in > out ? request.out : request.in);
  const bool apart = address(request.in) + in <= address(request.out) ||
                     address(request.out) + out <= address(request.in);
  if (!apart && !inPlace && request.in != request.out) bad("in and out overlap");
  if (request.in == request.out && in != out && own != request.in && !inPlace)
    bad("in place, the smaller buffer is this rank's own block of the larger");
}

}  // namespace lockstep
