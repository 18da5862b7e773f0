#include "bench/gpu_rival.hpp"

#include <thread>

#include "base/fail.hpp"

namespace lockstep::bench {
namespace {

template <class Enum>
std::uint8_t number(Enum value) {
  return static_cast<std::uint8_t>(value);
}

/// The rival finds its GPU by the thread's current context, as CUDA's runtime does.
Rival join(const RunConfig& config, Communicator& control, const cuda::PrimaryContext& context) {
  const cuda::Current current(context);
  return Rival(config.rivals.front(), control, static_cast<int>(config.timeoutSeconds * 1000));
}

}  // namespace

GpuRivalSubject::GpuRivalSubject(const RunConfig& config, DeviceSubject& beside,
                                 std::shared_ptr<GpuBuffers> buffers, std::size_t bytes)
    : GpuSubject(config, std::move(buffers), bytes),
      control_(beside.control()),
      stream_(cuda::Stream::create(context())),
      rival_(join(config, control_, context())),
      patience_(config.timeoutSeconds) {
  contender_.name = rival_.name();
  contender_.describe = rival_.module().describe();
  contender_.provenance = beside.contender().provenance;
  contender_.cipher = contender_.keySource = "none";
  contender_.rival = true;
}

bool GpuRivalSubject::supports(const Task& task) const {
  return rival_.module().supports(number(task.op), number(task.type), number(task.reduction)) != 0;
}

bool GpuRivalSubject::takes(Operation op, bool inPlace) const {
  return rival_.module().takes(number(op), inPlace ? 1 : 0) != 0;
}

void GpuRivalSubject::enqueue(const Task& task, const void* in, void* out, std::int64_t calls) {
  const cuda::Current current(context());
  for (std::int64_t i = 0; i < calls; ++i)
    rival_.check(rival_.module().enqueue(number(task.op), in, out, task.count, number(task.type),
                                         number(task.reduction), task.root, stream()),
                 name(task.op));
}

/// It has no barrier; one element of what the output holds is nothing to it.
void GpuRivalSubject::lineUp() {
  enqueue({.op = Operation::allReduce, .type = DataType::f32, .count = 1}, out(), out(), 1);
}

void GpuRivalSubject::finish() {
  const Deadline deadline = Deadline::in(std::chrono::duration_cast<Clock::duration>(patience_));
  for (int looks = 0; !cuda::idle(context(), stream()); ++looks) {
    if (looks > 100) std::this_thread::sleep_for(std::chrono::microseconds(20));
    if (deadline.passed())
      fail(ErrorCode::timeout, "{} did not finish a call in {} s", rival_.name(),
           patience_.count());
  }
}

void GpuRivalSubject::leave() {
  const cuda::Current current(context());
  rival_.finish();
}

}  // namespace lockstep::bench
