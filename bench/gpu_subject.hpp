// What is measured on GPUs, as one rank holds it: buffers in device memory, calls in a stream.
#pragma once

#include <memory>
#include <optional>

#include "base/clock.hpp"
#include "base/cuda/memory.hpp"
#include "base/cuda/stream.hpp"
#include "bench/gpu.hpp"
#include "bench/rank_threads.hpp"
#include "bench/subject.hpp"
#include <lockstep/device.hpp>

namespace lockstep::bench {

/// What the subjects of a rank share.
struct GpuBuffers {
  /// `onDevice` false: the host's view only, since every subject has registered memory of its own.
  GpuBuffers(int device, std::size_t bytes, bool onDevice);

  cuda::PrimaryContext context;
  OrdinaryBuffers host;        ///< what the host reads and writes
  cuda::DeviceMemory in, out;  ///< ordinary device memory
};

/// Seconds between two points of a stream.
class StreamClock {
 public:
  explicit StreamClock(const cuda::PrimaryContext& context);
  /// Puts the first point, what `work` puts, and the second into `stream`, then calls `finish`,
  /// which waits for them. By the host's clock where the GPU's is of no use: under confidential
  /// computing, times between events can be negative.
  template <class Work, class Finish>
  double seconds(cuda::StreamHandle stream, Work work, Finish finish) {
    const auto start = Clock::now();
    first_.record(stream);
    work();
    last_.record(stream);
    finish();
    const std::chrono::duration<double> byHost = Clock::now() - start;
    const double microseconds = last_.microsecondsSince(first_);
    return microseconds > 0 ? microseconds * 1e-6 : byHost.count();
  }

 private:
  cuda::Event first_, last_;
};

class GpuSubject : public Subject {
 public:
  std::byte* in() override { return in_; }
  std::byte* out() override { return out_; }
  std::byte* hostOf(std::byte* at) override;
  void fetch(std::byte* at, std::size_t bytes) override;
  void store(std::byte* at, std::size_t bytes) override;
  void run(const Task& task, const void* in, void* out) override;
  double secondsPerCall(const Task& task, const void* in, void* out, std::int64_t calls) override;
  double copyRate() override;
  CallBytes counters() const override { return {}; }

 protected:
  GpuSubject(const RunConfig& config, std::shared_ptr<GpuBuffers> buffers, std::size_t bytes);
  /// Buffers of `bytes` and kGuardBytes.
  void use(std::byte* in, std::byte* out);
  const cuda::PrimaryContext& context() const { return buffers_->context; }

  virtual cuda::StreamHandle stream() const = 0;
  /// Puts calls into the stream.
  virtual void enqueue(const Task& task, const void* in, void* out, std::int64_t calls) = 0;
  /// Called before enqueue(), by all ranks.
  virtual void prepare(const void* /*in*/, void* /*out*/) {}
  /// Whether the stream is this rank's to fill and to time: else another rank launches for it.
  virtual bool launches() const { return true; }
  /// Puts what lets ranks begin together into the stream.
  virtual void lineUp() = 0;
  /// Waits for the stream, with a bound. Throws what went wrong in it.
  virtual void finish() = 0;

 private:
  struct Recorded {
    Operation op;
    DataType type;
    Reduction reduction;
    const void* in;
    void* out;
    std::size_t count;
    std::int64_t calls;
    bool operator==(const Recorded&) const = default;
  };
  const cuda::GraphExec& recorded(const Task& task, const void* in, void* out, std::int64_t calls);

  bool graph_;
  std::shared_ptr<GpuBuffers> buffers_;
  std::byte *in_ = nullptr, *out_ = nullptr;
  std::size_t bytes_;
  StreamClock clock_;
  std::optional<Recorded> recordedFor_;
  cuda::GraphExec exec_;
};

/// Lockstep on GPUs.
class DeviceSubject final : public GpuSubject {
 public:
  /// Collective. `bytes`: of the largest message. `together`: where rank 0 launches for all, else
  /// null.
  DeviceSubject(Communicator control, const RunConfig& config, std::shared_ptr<GpuBuffers> buffers,
                std::size_t bytes, std::shared_ptr<SideBySide> together);
  ~DeviceSubject() override;
  DeviceSubject(const DeviceSubject&) = delete;
  DeviceSubject& operator=(const DeviceSubject&) = delete;

  Communicator& control() { return control_; }
  const Contender& contender() const override { return contender_; }
  bool supports(const Task& task) const override;
  /// What is sent cannot be received into at the same time.
  bool takes(Operation op, bool inPlace) const override {
    return collectiveOf(op).has_value() || !inPlace;
  }
  void barrier() override { control_.barrier(); }
  PlanText plan(const Task& task) const override;

 private:
  cuda::StreamHandle stream() const override;
  void enqueue(const Task& task, const void* in, void* out, std::int64_t calls) override;
  void prepare(const void* in, void* out) override;
  bool launches() const override { return together_ == nullptr || control_.rank() == 0; }
  void lineUp() override;
  void finish() override;
  void transfer(const Task& task, const std::byte* in, std::byte* out);
  /// Puts the ends of all ranks side by side.
  void shelve(DeviceCommunicator mine);

  Communicator control_;
  std::shared_ptr<SideBySide> together_;
  std::optional<DeviceCommunicator> own_;
  DeviceCommunicator* communicator_ = nullptr;  ///< own_, or this rank's of together_
  bool registered_;
  DeviceBuffer registeredIn_, registeredOut_;
  Contender contender_;
};

}  // namespace lockstep::bench
