// Kernels on the host: the text that a GPU would get, compiled by the host's compiler and run with
// a thread per block, over memory that all "GPUs" share.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "executor/cuda/generate.hpp"
#include "executor/cuda/prelude/layout.cuh"

namespace lockstep::testing {

/// How a module is made.
struct HostBuild {
  unsigned threads = 1;                           ///< of a block
  std::string flags = "-O1";                      ///< of the compiler
  std::string root = LOCKSTEP_SOURCE_DIR "/lib";  ///< where executor/cuda/prelude lies
};

/// A shared object made of kernels' texts. Throws std::runtime_error with the compiler's words.
class HostModule {
 public:
  template <class Launch>
  using EntryOf = void (*)(const Launch&);
  using Entry = EntryOf<device::Launch>;

  explicit HostModule(std::span<const cuda::Kernel> kernels, const HostBuild& build = {});
  ~HostModule();
  HostModule(const HostModule&) = delete;
  HostModule& operator=(const HostModule&) = delete;

  Entry entry(const std::string& name) const { return entryOf<device::Launch>(name); }
  /// A kernel that is told something else.
  template <class Launch>
  EntryOf<Launch> entryOf(const std::string& name) const {
    return reinterpret_cast<EntryOf<Launch>>(symbol(name));
  }
  /// Runs `body`, which calls a kernel, on all threads of block `x` of `blocks`.
  void runBlock(unsigned x, unsigned blocks, const std::function<void()>& body) const;
  /// The address of what a module exports.
  void* symbol(const std::string& name) const;

 private:
  unsigned threads_;
  void* library_ = nullptr;
  void (*play_)(unsigned, unsigned, unsigned) = nullptr;
  // Of modules whose blocks have several threads.
  void* (*newBlock_)(unsigned) = nullptr;
  void (*playThread_)(void*, unsigned) = nullptr;
  void (*deleteBlock_)(void*) = nullptr;
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
  /// Worlds with another `salt` have other keys.
  void prepareKeys(const HostModule& module, unsigned salt = 0);

  std::byte* heap(int rank) const;
  device::World& world(int rank) { return worlds_[static_cast<std::size_t>(rank)]; }
  const device::Geometry& geometry() const { return geometry_; }
  device::Control& control(int rank) const;
  const device::Verdict& verdict(int rank) const {
    return verdicts_[static_cast<std::size_t>(rank)];
  }
  const device::Report& report(int rank) const { return verdict(rank).report; }
  /// That a call failed, as no rank of a real world ever does.
  void forget(int rank);
  /// Control, channels and heap: what all ranks, and whoever attacks them, can reach.
  std::span<std::byte> segment(int rank) const;
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
  /// another kernel (`entries`), or none. `inTurn`: block after block, where none waits for
  /// another.
  void run(const HostModule& module, const std::vector<HostModule::Entry>& entries,
           const std::vector<device::Launch>& launches, const std::vector<unsigned>& blocks,
           bool inTurn = false) const;
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
  std::vector<device::Verdict> verdicts_;
};

/// Elements of a tile so that the largest message of `kernel` fits a slot of `capacity` bytes.
std::size_t tileElementsFor(const cuda::Kernel& kernel, std::size_t capacity);

}  // namespace lockstep::testing
