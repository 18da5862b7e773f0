// Collectives of GPUs that cannot reach each other: through the memory of their hosts, by the
// host's own communicator. In a sealed mode that is what confidential computing does where it has
// no peer access: data leaves the GPU over the driver's (encrypted) path into private memory, and
// is sealed between the ranks there.
#pragma once

#include <array>
#include <cstddef>
#include <functional>

#include "base/cuda/memory.hpp"
#include "base/cuda/stream.hpp"
#include "executor/cuda/call.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep::gpu {

class Bounce {
 public:
  /// `wait`: until a stream is empty, bounded, or throws.
  Bounce(Communicator control, cuda::PrimaryContext context,
         std::function<void(cuda::StreamHandle)> wait);
  Bounce(const Bounce&) = delete;
  Bounce& operator=(const Bounce&) = delete;
  /// Wipes what passed through.
  ~Bounce();

  /// The buffers of a call on the device, in blocks.
  struct Buffers {
    cuda::DevicePtr in = 0, out = 0;
    std::size_t inBlocks = 0, outBlocks = 0;  ///< 0: this rank has none
  };
  /// `factor`: this rank's, of a premultiplied sum.
  /// Returns when `out` is complete: blocking, and not for a stream that is being captured. Throws
  /// what the host's collectives throw, and unsupported.
  void run(const cuda::Described& call, double factor, const Buffers& buffers,
           cuda::StreamHandle stream);

 private:
  /// What one piece needs of pinned memory.
  struct Stage {
    cuda::HostMemory in, out;
  };
  struct Piece {
    std::size_t first = 0, elements = 0;  ///< of every block
  };
  void makeRoom(std::size_t inBytes, std::size_t outBytes);
  void fetch(const cuda::Described& call, const Buffers& buffers, Piece piece, Stage& stage);
  void deliver(const cuda::Described& call, const Buffers& buffers, Piece piece, Stage& stage);

  Communicator control_;
  cuda::PrimaryContext context_;
  std::function<void(cuda::StreamHandle)> wait_;
  cuda::Stream inward_, outward_;  ///< from and to the device
  std::array<Stage, 2> stages_;    ///< one is copied while the other is exchanged
};

}  // namespace lockstep::gpu
