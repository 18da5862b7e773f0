// One rank of a group of GPUs: owns the memory, the kernels and the way in and out of a call.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/cuda/memory.hpp"
#include "base/cuda/stream.hpp"
#include "communicator/communicator_impl.hpp"
#include "communicator/device/bounce.hpp"
#include "communicator/device/choice.hpp"
#include "communicator/device/kernels.hpp"
#include "communicator/device/secret_memory.hpp"
#include "executor/cuda/call.hpp"
#include "executor/cuda/transfer.hpp"
#include "transport/cuda/heap_allocator.hpp"
#include "transport/cuda/multicast.hpp"
#include "transport/cuda/segments.hpp"
#include "transport/cuda/together.hpp"
#include <lockstep/device.hpp>

namespace lockstep {

class DeviceImpl : public std::enable_shared_from_this<DeviceImpl> {
 public:
  DeviceImpl(std::shared_ptr<CommunicatorImpl> control, const DeviceOptions& options);
  ~DeviceImpl();
  DeviceImpl(const DeviceImpl&) = delete;
  DeviceImpl& operator=(const DeviceImpl&) = delete;

  struct Request {
    cuda::Described call;
    const void* in = nullptr;
    void* out = nullptr;
    device::Norm norm{};  ///< of an all-reduce that goes on with RMSNorm: rows of `hidden`
    double factor = 1;    ///< this rank's, of a premultiplied sum
  };

  void run(const Request& request, DeviceStream stream);
  /// All ranks of `ranks` in one launch; they are on one GPU, in one process.
  static void runTogether(std::span<DeviceImpl* const> ranks, std::span<const Request> requests,
                          DeviceStream stream);
  // Sends and receives (transfers.cpp).
  void send(const Send& send, DeviceStream stream);
  void receive(const Receive& receive, DeviceStream stream);
  void exchange(std::span<const Send> sends, std::span<const Receive> receives,
                DeviceStream stream);
  void allToAllV(const void* in, const CommunicatorImpl::Parts& inParts, void* out,
                 const CommunicatorImpl::Parts& outParts, DataType type, DeviceStream stream);
  DeviceBuffer alloc(std::size_t bytes);
  void wait(DeviceStream stream);
  void check();
  void abort() noexcept;
  Plan plan(const cuda::Described& call, bool registered);

  int rank() const { return control_->rank(); }
  int worldSize() const { return control_->worldSize(); }
  const DeviceInfo& info() const { return info_; }
  const std::string& multicastPath() const { return multicastPath_; }
  const std::string& provenance() const { return provenance_; }
  std::string describeKernels() const { return kernels_.describe(); }
  const cuda::PrimaryContext& context() const { return context_; }
  DeviceStream ownStream() const { return stream_.handle(); }
  /// What others see of it; for tests.
  const cuda::Segments& segments() const { return *segments_; }
  const device::Geometry& geometry() const { return geometry_; }
  std::string cipher() const;
  std::string keySource() const { return control_->keySource(); }

 private:
  /// What is the same for all calls of a shape.
  struct Prepared {
    const gpu::LoadedKernel* kernel = nullptr;
    cuda::Cut cut;
    std::uint64_t fingerprint = 0;
    std::array<std::byte, 16> digest{};
    std::string algorithm, protocol, reason;
  };
  using Shape =
      std::tuple<Collective, DataType, Reduction, int, std::uint64_t, bool, bool, unsigned>;

  void agree(const DeviceOptions& options);
  void openDevice(const DeviceOptions& options);
  cuda::Cache cacheFor() const;
  void makeWorld();
  void makeKeys();
  void compileKernels(const DeviceOptions& options);
  void prepareKernels(const DeviceOptions& options);
  void step(Deadline until, const std::function<void()>& part);
  void conclude(const std::optional<cuda::Refusal>& refusal);

  // ---- the end (leave.cpp) ----
  void leave();
  void tellOthers();
  void meetOthers();
  bool othersLeft() const;

  cuda::StreamHandle streamOf(DeviceStream stream) const;
  bool inSegments(const void* at, std::size_t bytes) const;
  [[noreturn]] void refuse(const cuda::Described& call, std::string_view why) const;
  void checkCall(const cuda::Described& call) const;
  void checkArguments(const Request& request) const;
  bool inHeap(const void* at, std::size_t bytes) const;
  const Prepared& prepared(const Request& request, cuda::StreamHandle stream);
  /// Which kernel a call takes.
  struct Chosen {
    gpu::Choice choice;
    cuda::KernelRequest request;
    unsigned hidden = 0;  ///< of a row, where it goes on with RMSNorm
  };
  Chosen choose(const cuda::Described& call, bool registered, bool inPlace, unsigned hidden) const;
  Prepared prepare(const cuda::Described& call, const Chosen& chosen);
  gpu::Situation situationOf(const cuda::Described& call, bool registered) const;
  cuda::KernelRequest requestFor(const cuda::Described& call, const gpu::Choice& choice,
                                 bool inPlace, bool rmsNorm) const;
  device::Call callOf(const Request& request, const Prepared& prepared) const;
  std::size_t blockBytes(const cuda::Described& call) const {
    return call.count * sizeOf(call.type);
  }
  std::size_t bytesIn(const cuda::Described& call) const;
  std::size_t bytesOut(const cuda::Described& call) const;

  // ---- sends and receives (transfers.cpp) ----
  void start(std::span<const Pending> transfers, DeviceStream stream);
  void startThroughHost(std::span<const Pending> transfers, cuda::StreamHandle stream);
  void checkTransfers(std::span<const Pending> transfers) const;
  const gpu::LoadedKernel& transferKernel(cuda::StreamHandle stream);
  device::TransferLaunch launchOf(std::span<const Pending> transfers, unsigned round) const;
  device::Transfer transferOf(const Pending& transfer) const;

  void waitIdle(cuda::StreamHandle handle);
  void bounce(const std::string& why);
  void runThroughHost(const Request& request, cuda::StreamHandle stream);
  device::Control readControl(int rank) const;
  device::Verdict readVerdict() const;
  void endAll(int dead) noexcept;
  void writeAbort(int dead) noexcept;
  void checkUsable() const;
  /// What the kernel of rank `by` reported.
  [[noreturn]] void fail(int by, const device::Report& report);
  std::string callOfRank(int rank) const;
  bool madeOtherCalls(int a, int b) const;
  std::uint64_t goneTooEarly() const;
  Deadline deadline() const { return Deadline::in(control_->options().timeout); }

  std::shared_ptr<CommunicatorImpl> control_;
  cuda::PrimaryContext context_;
  DeviceInfo info_;
  device::Geometry geometry_;
  std::size_t scratchBytes_ = 0;
  std::optional<cuda::Segments> segments_;  ///< none where GPUs cannot reach each other
  std::optional<gpu::Bounce> bounce_;       ///< then there is this
  std::optional<cuda::Multicast> multicast_;
  std::optional<cuda::HeapAllocator> heap_;
  std::string multicastPath_, provenance_;
  cuda::DeviceMemory world_, lanes_, verdict_, scratch_;
  std::optional<gpu::SecretMemory> keys_;
  cuda::Stream stream_;           ///< the communicator's own
  cuda::Stream service_;          ///< for what must get through while kernels spin
  bool sharesInProcess_ = false;  ///< another rank of this process is on the same GPU
  gpu::Kernels kernels_;
  const gpu::LoadedKernel* transferKernel_ = nullptr;
  std::array<std::byte, 16> transferDigest_{};
  std::map<Shape, Prepared> prepared_;
  std::atomic<bool> failed_{false};
};

}  // namespace lockstep
