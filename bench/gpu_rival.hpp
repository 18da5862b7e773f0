// A rival's library on GPUs (NCCL) as a subject: in ccbench's device memory, on a stream of its
// own.
#pragma once

#include "bench/gpu_subject.hpp"
#include "bench/rival.hpp"

namespace lockstep::bench {

class GpuRivalSubject final : public GpuSubject {
 public:
  /// Collective. `beside`: what it is measured beside, whose communicator also lines the ranks up.
  GpuRivalSubject(const RunConfig& config, DeviceSubject& beside,
                  std::shared_ptr<GpuBuffers> buffers, std::size_t bytes);

  const Contender& contender() const override { return contender_; }
  bool supports(const Task& task) const override;
  bool takes(Operation op, bool inPlace) const override;
  void barrier() override { control_.barrier(); }
  PlanText plan(const Task&) const override { return {}; }
  /// As Rival::finish.
  void leave();

 private:
  cuda::StreamHandle stream() const override { return stream_.handle(); }
  void enqueue(const Task& task, const void* in, void* out, std::int64_t calls) override;
  void lineUp() override;
  void finish() override;

  Communicator& control_;
  cuda::Stream stream_;
  Rival rival_;
  std::chrono::duration<double> patience_;
  Contender contender_;
};

}  // namespace lockstep::bench
