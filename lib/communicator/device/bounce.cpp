#include "communicator/device/bounce.hpp"

#include <algorithm>
#include <utility>

#include "base/fail.hpp"
#include "base/secret.hpp"

namespace lockstep::gpu {
namespace {

/// Of a rank's larger buffer, per piece: large enough that a copy's latency (some 10 us in the
/// clear, 330 us measured under confidential computing on B300) is little of it.
constexpr std::size_t kPieceBytes = std::size_t{8} << 20;

}  // namespace

Bounce::Bounce(Communicator control, cuda::PrimaryContext context,
               std::function<void(cuda::StreamHandle)> wait)
    : control_(std::move(control)),
      context_(std::move(context)),
      wait_(std::move(wait)),
      inward_(cuda::Stream::create(context_)),
      outward_(cuda::Stream::create(context_)) {}

Bounce::~Bounce() {
  for (Stage& stage : stages_)
    for (const cuda::HostMemory* memory : {&stage.in, &stage.out})
      if (memory->bytes() != 0) wipe(memory->data(), memory->bytes());
}

void Bounce::makeRoom(std::size_t inBytes, std::size_t outBytes) {
  for (Stage& stage : stages_) {
    if (stage.in.bytes() < inBytes) stage.in = cuda::HostMemory::allocate(context_, inBytes);
    if (stage.out.bytes() < outBytes) stage.out = cuda::HostMemory::allocate(context_, outBytes);
  }
}

void Bounce::run(const cuda::Described& call, double factor, const Buffers& buffers,
                 cuda::StreamHandle stream) {
  if (cuda::isCapturing(context_, stream))
    fail(ErrorCode::unsupported,
         "{}: GPUs that cannot reach each other exchange through their hosts, which no CUDA graph "
         "captures",
         toString(call));
  wait_(stream);
  const std::size_t element = sizeOf(call.type);
  const std::size_t blocks = std::max({buffers.inBlocks, buffers.outBlocks, std::size_t{1}});
  const std::size_t each = std::max<std::size_t>(1, kPieceBytes / element / blocks);
  const std::size_t most = std::min<std::size_t>(each, call.count);
  makeRoom(buffers.inBlocks * most * element, buffers.outBlocks * most * element);
  const auto pieceAt = [&](std::size_t first) {
    return Piece{first, std::min<std::size_t>(most, call.count - first)};
  };
  fetch(call, buffers, pieceAt(0), stages_[0]);
  std::size_t k = 0;
  for (std::size_t first = 0; first < call.count || k == 0; first += most, ++k) {
    Stage& stage = stages_[k % 2];
    const Piece piece = pieceAt(first);
    wait_(inward_.handle());
    // The other stage's results must be out before it is filled again: its `out` is written by the
    // next exchange only, its `in` was read by the last one, which is over.
    if (first + most < call.count)
      fetch(call, buffers, pieceAt(first + most), stages_[(k + 1) % 2]);
    control_.run(call.collective, stage.in.data(), stage.out.data(), piece.elements, call.type,
                 call.reduction, call.root, factor);
    wait_(outward_.handle());
    deliver(call, buffers, piece, stage);
  }
  wait_(outward_.handle());
}

void Bounce::fetch(const cuda::Described& call, const Buffers& buffers, Piece piece, Stage& stage) {
  const cuda::Current current(context_);
  const std::size_t element = sizeOf(call.type), bytes = piece.elements * element;
  for (std::size_t block = 0; bytes != 0 && block < buffers.inBlocks; ++block)
    cuda::check(
        cuda::driver().memcpyDtoHAsync(static_cast<std::byte*>(stage.in.data()) + block * bytes,
                                       buffers.in + (block * call.count + piece.first) * element,
                                       bytes, inward_.handle()),
        "copy {} bytes from the GPU", bytes);
}

void Bounce::deliver(const cuda::Described& call, const Buffers& buffers, Piece piece,
                     Stage& stage) {
  const cuda::Current current(context_);
  const std::size_t element = sizeOf(call.type), bytes = piece.elements * element;
  for (std::size_t block = 0; bytes != 0 && block < buffers.outBlocks; ++block)
    cuda::check(cuda::driver().memcpyHtoDAsync(
                    buffers.out + (block * call.count + piece.first) * element,
                    static_cast<const std::byte*>(stage.out.data()) + block * bytes, bytes,
                    outward_.handle()),
                "copy {} bytes to the GPU", bytes);
}

}  // namespace lockstep::gpu
