// Kernels on the host: the text that a GPU would get, compiled by the host's compiler and run with
// a thread per block, over memory that all "GPUs" share.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "executor/cuda/generate.hpp"
#include "executor/cuda/prelude/layout.cuh"

namespace lockstep::testing {

/// A shared object made of kernels' texts. Throws std::runtime_error with the compiler's words.
class HostModule {
 public:
  template <class Launch>
  using EntryOf = void (*)(const Launch&);
  using Entry = EntryOf<device::Launch>;

  explicit HostModule(std::span<const cuda::Kernel> kernels);
  ~HostModule();
  HostModule(const HostModule&) = delete;
  HostModule& operator=(const HostModule&) = delete;

  Entry entry(const std::string& name) const { return entryOf<device::Launch>(name); }
  /// A kernel that is told something else.
  template <class Launch>
  EntryOf<Launch> entryOf(const std::string& name) const {
    return reinterpret_cast<EntryOf<Launch>>(symbol(name));
  }
  /// Says which block the calling thread plays.
  void playBlock(unsigned x, unsigned y, unsigned blocks) const { play_(x, y, blocks); }

 private:
  void* symbol(const std::string& name) const;

  void* library_ = nullptr;
  void (*play_)(unsigned, unsigned, unsigned) = nullptr;
};

/// One rank's buffers in a call.
struct Operands {
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
};

/// The segments and private memory of all ranks of a world.
class HostWorld {
 public:
  explicit HostWorld(device::Geometry geometry, std::size_t scratchBytes = std::size_t{1} << 20);

  /// Gives every rank its keys, the same at both ends, by `module`'s kernel of cuda::keysKernel().
  void prepareKeys(const HostModule& module);

  std::byte* heap(int rank) const;
  device::World& world(int rank) { return worlds_[static_cast<std::size_t>(rank)]; }
  const device::Geometry& geometry() const { return geometry_; }
  device::Control& control(int rank) const;
  device::Report report(int rank) const { return control(rank).report; }
  device::LaneState& lane(int rank, unsigned lane) const;

  /// What a call is told, but for its buffers.
  struct Shape {
    std::size_t count = 0, tileElements = 0;
    int root = 0, divisor = 1;
    unsigned blocks = 1;
    std::uint64_t fingerprint = 1;
    std::chrono::milliseconds patience{20000};
    std::size_t inBytes = 0, outBytes = 0;  ///< of plans that expose
  };
  device::Launch launchOf(int rank, const Shape& shape, Operands operands) const;
  /// Runs `entry` on all ranks at once, a thread per block. A rank may have another shape or
  /// another kernel (`entries`), or none.
  void run(const HostModule& module, const std::vector<HostModule::Entry>& entries,
           const std::vector<device::Launch>& launches, const std::vector<unsigned>& blocks) const;
  void run(const HostModule& module, HostModule::Entry entry, const Shape& shape,
           std::span<const Operands> operands) const;

 private:
  struct Freer {
    void operator()(std::byte* memory) const;
  };
  using Memory = std::unique_ptr<std::byte, Freer>;
  static Memory zeroed(std::size_t bytes);

  device::Geometry geometry_;
  std::size_t scratchBytes_;
  std::vector<Memory> memory_;
  std::vector<device::World> worlds_;
};

/// Elements of a tile so that the largest message of `kernel` fits a slot of `capacity` bytes.
std::size_t tileElementsFor(const cuda::Kernel& kernel, std::size_t capacity);

}  // namespace lockstep::testing
