// What ccbench asks of a rival's library: a C ABI, so that the rival is a module opened by dlopen
// and ccbench itself needs none of it, to build or to run.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lockstep::bench {

/// Changes whenever BaselineModule does; ccbench refuses a module that says another number.
inline constexpr std::uint32_t kBaselineAbi = 4;
/// A module exports one function of this name and of type BaselineEntry, with C linkage and default
/// visibility: `extern "C" const lockstep::bench::BaselineModule* lockstepBaseline()`.
inline constexpr const char* kBaselineEntry = "lockstepBaseline";
/// File name of a module: this, the rival's name ("mpi"), ".so", in the folder of the ccbench
/// binary.
inline constexpr const char* kBaselinePrefix = "lockstep_baseline_";

/// What a call returns when it failed because another rank is gone.
inline constexpr int kBaselinePeerGone = 2;
/// What `init` returns when the rival is not here, or cannot be used.
inline constexpr int kBaselineMissing = 3;

/// The ranks of a run, for a rival that has no launcher of its own to tell it.
struct BaselineGroup {
  int rank;
  int worldSize;
  int timeoutMs;  ///< that any wait between ranks may take
  void* context;  ///< of `allGather`
  /// Collective: hands over `bytes` of `mine` (the same number on all ranks) and receives
  /// everybody's in `all`, rank by rank. 0, or else `init` has to fail.
  int (*allGather)(void* context, const void* mine, void* all, std::size_t bytes);
};

/// The functions of a module. All are called by one thread per rank, `init` first and `finalize`
/// last; ranks of a module for GPUs may be threads of one process.
/// Those that return a status return 0 when they succeeded; otherwise kBaselinePeerGone or any
/// other number, and `lastError` says why. No exception
/// leaves a module. `collective`, `type` and `reduction` are the numbers of bench::Operation,
/// lockstep::DataType and lockstep::Reduction.
struct BaselineModule {
  std::uint32_t abi;  ///< kBaselineAbi

  /// Joins the group. `group` is null when the rival's own launcher (mpirun) started the ranks, and
  /// need not outlive the call.
  int (*init)(const BaselineGroup* group);
  int (*rank)();
  int (*worldSize)();
  /// Name and version ("Open MPI 4.1.4"); valid until finalize.
  const char* (*describe)();
  /// The text of the last failure in this process; never null.
  const char* (*lastError)();
  /// 1 when the rival has this combination (MPI has no floats of 16 or 8 bits to reduce, no avg and
  /// no premultiplied sum), else 0. A collective that does not reduce takes any reduction.
  int (*supports)(std::uint8_t collective, std::uint8_t type, std::uint8_t reduction);
  /// 1 when the rival does it in place (`inPlace` 1) as Lockstep does, or out of place (0), else 0;
  /// at least one of both. What it does out of place is timed so, as Lockstep's is.
  int (*takes)(std::uint8_t collective, int inPlace);
  /// Memory for the benchmark's buffers when the rival has a kind of its own that it moves faster;
  /// ordinary memory otherwise, zeroed. Null when there is none left. Freed by `deallocate`.
  void* (*allocate)(std::size_t bytes);
  void (*deallocate)(void* memory);
  /// As lockstep::Communicator::run; a barrier takes nothing, sends and receives go around a ring.
  int (*run)(std::uint8_t collective, const void* in, void* out, std::size_t count,
             std::uint8_t type, std::uint8_t reduction, int root);
  /// Leaves the group. Nothing else of the module is called afterwards.
  int (*finalize)();

  /// Of a module for GPUs, which has neither `allocate` nor `run`: as `run`, but puts the call into
  /// a stream (cudaStream_t) and returns; buffers are device memory of ccbench. The thread's
  /// current context is the one of the rank's GPU, at `init` and `finalize` too.
  int (*enqueue)(std::uint8_t collective, const void* in, void* out, std::size_t count,
                 std::uint8_t type, std::uint8_t reduction, int root, void* stream) = nullptr;
};

using BaselineEntry = const BaselineModule* (*)();

}  // namespace lockstep::bench
