// Collectives on GPUs: the same schedules as the Communicator's, run by kernels that are generated
// for the communicator and compiled when it is made. Nothing of CUDA is needed to build or link:
// the driver is found at run time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <lockstep/communicator.hpp>
#include <lockstep/types.hpp>

namespace lockstep {

/// What there is to run on.
struct DeviceInfo {
  int ordinal = 0;
  std::string name;  ///< "NVIDIA H200"
  int computeMajor = 0, computeMinor = 0;
  int multiprocessors = 0;
  std::size_t memoryBytes = 0;
  bool emulated = false;  ///< a driver of Lockstep's tests, not a GPU
};

/// The GPUs of this machine. `none`: why there are none, for people ("no GPU because ..").
struct Devices {
  std::vector<DeviceInfo> list;
  std::string none;
};
/// Never throws for a missing driver, library or device: that is `none`.
LOCKSTEP_API Devices devices();

/// A CUDA stream (CUstream or cudaStream_t) of the communicator's device. nullptr: CUDA's default
/// stream; where ranks of one process share a GPU, the communicator's own (in the default stream
/// one rank's kernel would wait for the other's to end).
using DeviceStream = void*;

/// How a DeviceCommunicator is made. Mode, timeout, reproducible, algorithm and protocol are those
/// of the Communicator it is made from. All ranks must give the same values, but for `device`.
struct DeviceOptions {
  /// Ordinal of this rank's GPU; -1: its rank modulo the number of GPUs. Several ranks may share
  /// one.
  int device = -1;
  /// Memory per rank for alloc(), shared with the peers. Rounded up to the driver's granularity.
  std::size_t heapBytes = std::size_t{64} << 20;
  /// Thread blocks per rank of a large message; 0: chosen from the GPU and the ranks that share it.
  /// Never more than its multiprocessors divided by these ranks: blocks wait for each other.
  int blocks = 0;
  /// Bytes of payload of a slot of a channel, 4 KiB to 256 KiB; 0: chosen.
  std::size_t slotBytes = 0;
  /// Kernels of these are compiled when the communicator is made, for every size and both kinds of
  /// buffers; of what else is called, by its first call. Empty: all collectives, and transfers.
  std::vector<Collective> collectives;
  std::vector<DataType> types{DataType::bf16, DataType::f16, DataType::f32};
  std::vector<Reduction> reductions{Reduction::sum};  ///< avg is a sum here
};

class DeviceImpl;

/// Device memory of a communicator that its peers read and write in place: the same offset on every
/// rank. Gives it back when destroyed, on all ranks alike (it is collective in effect: every rank
/// destroys its buffers in the same order relative to alloc).
class LOCKSTEP_API DeviceBuffer {
 public:
  DeviceBuffer() = default;
  /// Device address, at a multiple of 512 bytes; nullptr for a default-constructed one.
  void* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }

 private:
  friend class DeviceImpl;
  std::shared_ptr<void> owner_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// What a fused all-reduce goes on with: x = sum + residual; residual = x; out = x * weight /
/// sqrt(mean of x^2 over the row + epsilon). In f32, of the rounded sum; of the rounded x where it
/// is scaled.
struct RmsNorm {
  void* residual = nullptr;      ///< rows, as `out`; read and written
  const void* weight = nullptr;  ///< one row
  std::size_t hidden = 0;        ///< elements of a row
  float epsilon = 1e-6F;
};

/// One rank's membership in a group of GPUs. Every rank makes the same calls in the same order, on
/// streams of its own device; calls return once the kernel is in the stream (which may be under
/// capture into a CUDA graph). Buffers are device memory: ordinary (it goes through slots) or of
/// alloc() (read in place). Ranks must give buffers of the same kind for a call. In place is each
/// rank's own affair, but for allToAll in buffers of alloc(): there all ranks work so, or none.
///
/// Calls of one communicator are in one stream, or in streams that the caller orders (events, edges
/// of a graph): two of its kernels at once are an error that wait() reports, never a nonce used
/// twice. A result is valid once wait() or check() has returned after it: who only synchronises the
/// stream may be looking at a call that gave up.
///
/// A kernel that waits for a peer longer than Options::timeout, meets a call that is not its own,
/// or opens a record that does not verify, ends by itself and ends its peers'; check() and wait()
/// then throw, and so does every later call.
class LOCKSTEP_API DeviceCommunicator {
 public:
  /// Collective over `control`, which must stay unused by others meanwhile; it keeps a share of it.
  /// Kernels are compiled here (in parallel, kept on disk): see DeviceOptions::collectives.
  /// What one rank cannot do is an error of all, which names it; `control` lives on. After
  /// integrity, keyExchange, timeout, aborted and peerDied it has failed, too. Throws
  /// invalidArgument (options), unsupported (mode cc-masked, no GPU because .., no peer access
  /// between .. and ..), mismatch (options differ), system (the driver says ..), and what
  /// collectives on `control` throw.
  static DeviceCommunicator create(Communicator& control, const DeviceOptions& options = {});

  DeviceCommunicator(DeviceCommunicator&&) noexcept;
  DeviceCommunicator& operator=(DeviceCommunicator&&) noexcept;
  /// Once it and its buffers are gone, its memory is. Calls on other streams than stream() must be
  /// done by then, graphs that hold calls must not be launched again. Waits for calls on stream(),
  /// and where ranks are processes for the others to come here too: at most Options::timeout, and
  /// not for ranks that have failed or died.
  ~DeviceCommunicator();

  /// One that was moved from has rank -1 in a world of 0, and its calls throw invalidArgument.
  int rank() const noexcept;
  int worldSize() const noexcept;
  /// This rank's GPU.
  const DeviceInfo& device() const noexcept;
  /// "multimem on a multicast object" or "emulated by a loop over peers, because ..".
  const std::string& multicastPath() const noexcept;
  /// Where numbers taken with it come from: "gpu", "gpu-loopback" (ranks share a GPU), or "emulated
  /// device" (no GPU at all); ", emulated" where the trust boundary of a sealed mode is.
  const std::string& provenance() const noexcept;

  /// "AES-256-GCM in kernels (..)", or "none" in the clear.
  std::string cipher() const;
  /// As Communicator::keySource: what authenticates the ranks.
  std::string keySource() const;
  /// How the kernels came about: how many, from disk or compiled, in what time.
  std::string kernels() const;
  /// The communicator's own stream.
  DeviceStream stream() const noexcept;

  /// As Communicator's functions of the same names, but for device memory and in stream order.
  /// Errors of arguments are thrown at once: invalidArgument.
  void allReduce(const void* in, void* out, std::size_t count, DataType type, Reduction reduction,
                 DeviceStream stream);
  /// As Communicator's. Kernels multiply as they begin, in private memory, so buffers of alloc()
  /// are not read in place; a graph keeps the factor that was captured.
  void allReduce(const void* in, void* out, std::size_t count, DataType type, PremultipliedSum sum,
                 DeviceStream stream);
  void allGather(const void* in, void* out, std::size_t count, DataType type, DeviceStream stream);
  void reduceScatter(const void* in, void* out, std::size_t count, DataType type,
                     Reduction reduction, DeviceStream stream);
  void reduceScatter(const void* in, void* out, std::size_t count, DataType type,
                     PremultipliedSum sum, DeviceStream stream);
  void allToAll(const void* in, void* out, std::size_t count, DataType type, DeviceStream stream);
  void broadcast(const void* in, void* out, std::size_t count, DataType type, int root,
                 DeviceStream stream);
  void reduce(const void* in, void* out, std::size_t count, DataType type, Reduction reduction,
              int root, DeviceStream stream);
  void reduce(const void* in, void* out, std::size_t count, DataType type, PremultipliedSum sum,
              int root, DeviceStream stream);
  void barrier(DeviceStream stream);

  // Point to point. A send meets the receive of the same count and type that its receiver makes for
  // it, those of one direction between two ranks in order; `count` may be 0. Between two
  // collectives, which both ranks must have made, or not, alike. A count or type that differs is a
  // mismatch, which the receiver's wait() throws. May be captured into a graph. Buffers may begin
  // anywhere. Errors of arguments are thrown at once, before anything is sent: invalidArgument for
  // a null pointer (unless count is 0), a rank that is not in the world, or this rank.

  /// The kernel ends when `data` may be written again; what few messages hold (4 slots of each
  /// block) may not have been received by then. What is next in the stream waits for that, so a
  /// loop of large sends to several ranks waits for each in turn: those are an exchange().
  void send(const void* data, std::size_t count, DataType type, int to, DeviceStream stream);
  /// The kernel ends when `data` holds what `from` sent.
  void receive(void* data, std::size_t count, DataType type, int from, DeviceStream stream);
  /// All of them side by side, in one kernel: none waits for another, but for those of one
  /// direction between two ranks, which go in order, in a kernel each. This rank may be among them
  /// if it is both sender and receiver: a copy, and mismatch, at once, where counts or types
  /// differ. Buffers that are received into must overlap no other.
  void exchange(std::span<const Send> sends, std::span<const Receive> receives,
                DeviceStream stream);
  /// Sends inCounts[r] elements at in + inOffsets[r] to every rank r, and receives outCounts[r]
  /// from it to out + outOffsets[r]; offsets are in elements. Each span has worldSize() entries.
  /// What r sends must be what this rank expects. `in` and `out` may not overlap. An exchange, and
  /// not one of the collectives.
  void allToAllV(const void* in, std::span<const std::size_t> inCounts,
                 std::span<const std::size_t> inOffsets, void* out,
                 std::span<const std::size_t> outCounts, std::span<const std::size_t> outOffsets,
                 DataType type, DeviceStream stream);

  /// Any of them by its name. What a collective does not take is ignored. `factor`: this rank's,
  /// for Reduction::preMulSum.
  void run(Collective collective, const void* in, void* out, std::size_t count, DataType type,
           Reduction reduction, int root, DeviceStream stream, double factor = 1.0);
  /// One call of several ranks that this process plays on one GPU, in one launch: `ranks` (1 to 8),
  /// with ins[i] and outs[i] for ranks[i], on a stream of that GPU (nullptr: that of ranks[0]). It
  /// is one call of each of them; ranks that are not among them make theirs as ever. What one
  /// launch holds runs at once, where launches of several streams of a busy GPU might wait for each
  /// other. `factors`: of each, for Reduction::preMulSum; empty: 1. Throws invalidArgument, also
  /// for ranks of several GPUs, or with buffers of different kinds.
  static void runTogether(std::span<DeviceCommunicator> ranks, Collective collective,
                          std::span<const void* const> ins, std::span<void* const> outs,
                          std::size_t count, DataType type, Reduction reduction, int root,
                          DeviceStream stream, std::span<const double> factors = {});

  /// An all-reduce (sum) of `rows` x `norm.hidden` elements and what follows it in a transformer,
  /// in one kernel. f32, f16 or bf16. `in == out` is in place.
  void allReduceRmsNorm(const void* in, void* out, std::size_t rows, DataType type,
                        const RmsNorm& norm, DeviceStream stream);

  /// Device memory that peers read in place, not initialised; in sealed modes private memory.
  /// Collective: every rank asks for the same size. Throws mismatch, and invalidArgument when the
  /// heap has no room for it (DeviceOptions::heapBytes).
  DeviceBuffer alloc(std::size_t bytes);

  /// Waits until what is in `stream` is done, or has failed: bounded by Options::timeout, ended by
  /// a peer's death. Throws timeout (names the rank that is late, and the call), mismatch (names
  /// both calls; in sealed modes by words in shared memory that others may have written, which is
  /// no proof), integrity, aborted, peerDied, system.
  void wait(DeviceStream stream);
  /// Throws what a kernel has reported so far; does not wait.
  void check();
  /// Ends every rank's kernels and calls. Any thread may call it.
  void abort() noexcept;

  /// What a call would run.
  Plan plan(Collective collective, std::size_t count, DataType type, bool registered) const;

 private:
  explicit DeviceCommunicator(std::shared_ptr<DeviceImpl> impl);
  DeviceImpl& impl() const;
  std::shared_ptr<DeviceImpl> impl_;
};

}  // namespace lockstep
